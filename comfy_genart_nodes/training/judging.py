"""A run judged: figures of what a GAN makes against pictures it never saw, and whether it copies.

The copying check has two calibrations (`evaluation.nearest`): every training picture against all
others, and with near-duplicates taken as one picture, which alone wakes the check in sets that
hold a picture several times. There, pictures kept apart that have their twin among the training
pictures tell nothing of honest work, and are left out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import GenartError
from ..evaluation.copying import Copying, count_near
from ..evaluation.features import Backbone
from ..evaluation.nearest import Nearest, copying_percentile, leave_one_out, nearest
from ..gan.checkpoint import LoadedGAN
from ..gan.latents import SEED_LIMIT, GANLatent, draw
from . import duplicates
from .cases import Case, sheet
from .measuring import Measuring, classes_like, held_out
from .players import one_hot
from .run_folder import RunFolder
from .unseen import Joined

CASES = 8
NEIGHBOURS = 3
_FOUR = {
    "precision": "made pictures that look like real ones",
    "recall": "real pictures of a kind that it makes",
    "density": "how much they look like many real ones",
    "coverage": "real pictures that have a made one beside them",
}


@dataclass(frozen=True, eq=False)
class Judgement:
    """What was found.

    Attributes:
        about: what was judged.
        figures: as `Measuring` gives them.
        made: how many pictures were made ...
        apart: ... against how many real ones that the run never learned from ...
        given: ... so many of which it did not keep apart itself, but got for this ...
        known: ... and among how many training pictures copies were looked for.
        plain: copying, every training picture for itself ...
        strict: ... and with near-duplicates as one; None where all are near-duplicates.
        twins: training pictures that are near-duplicates of others.
        cases: the pictures nearest to a training picture, the nearest first.
        sheet: those pictures, each beside its nearest training pictures.
    """

    about: str
    figures: dict[str, Any]
    made: int
    apart: int
    given: int
    known: int
    plain: Copying
    strict: Copying | None
    twins: int
    cases: Sequence[Case]
    sheet: Image.Image

    def text(self) -> str:
        """For a person, a line a subject."""
        of = self.figures
        lines = [
            *filter(None, [self.about]),
            f"{self.made} made pictures, {self._others()}, {self.known} trained on",
            f"features: {of['backbone']}; compare only figures of the same features, numbers of "
            "pictures and run",
            f"KID {_figure(of, 'kid')}: 0 where both are of one source; lower is better",
            *(f"{name} {_figure(of, name)}: {told}" for name, told in _FOUR.items()),
            *self._copying(),
        ]
        return "\n".join(lines)

    def _others(self) -> str:
        """How many real pictures the run never learned from, and how they came to be at hand."""
        counts = {"kept apart": self.apart - self.given, "unseen ones given": self.given}
        return " and ".join(f"{count} {how}" for how, count in counts.items() if count)

    def _copying(self) -> list[str]:
        plain, strict = self.plain, self.strict
        if plain.found or (strict and strict.found):
            verdict = "more than chance explains: this GAN copies training pictures"
        else:
            verdict = "no more than chance explains: no sign of copying"
        lines = [
            f"copying: {verdict}",
            "  nearer to a training picture than 99 % of those are to each other: "
            f"{_shares(plain)}",
        ]
        if strict is None:
            lines.append("  all training pictures are near-duplicates of each other")
        elif self.twins:
            lines.append(f"  with {self.twins} near-duplicates as one picture: {_shares(strict)}")
        else:
            lines.append("  and there are no near-duplicates among the training pictures")
        lines.append(
            "  the typical made picture is nearer to a training picture than "
            f"{100 - self.figures['nearest']:.0f} % of those are to each other: near 100 % it is a "
            "copy, about 50 % a new picture of the same kind, near 0 % still unlike them all"
        )
        seeds = ", ".join(str(case.seed) for case in self.cases)
        return [*lines, f"nearest to training pictures, as on the sheet: seeds {seeds}"]


def _figure(figures: dict[str, Any], name: str) -> str:
    """A figure and its interval."""
    low, high = figures[f"{name}_low"], figures[f"{name}_high"]
    return f"{figures[name]:.3g} (95 %: {low:.3g} to {high:.3g})"


def _shares(found: Copying) -> str:
    return (
        f"{_share(found.made, found.made_of)} of the made pictures, "
        f"{_share(found.apart, found.apart_of)} of real ones it never saw"
    )


def _share(count: int, of: int) -> str:
    return f"{100 * count / max(of, 1):.1f} % ({count} of {of})"


def measured_latents(run: RunFolder, gan: LoadedGAN, seed: int, count: int) -> GANLatent:
    """The latents whose pictures are measured: of classes as often as the run's pictures are.

    Args:
        run: what the GAN is measured against.
        gan: the GAN.
        seed: of the first.
        count: how many.

    Raises:
        GenartError: when the GAN makes other pictures than the run's are.
    """
    spec, side = gan.spec, run.config.resolution
    if (spec.resolution, spec.img_channels) != (side, 3):
        raise GenartError(
            f"This GAN makes pictures of side {spec.resolution} in {spec.img_channels} channels, "
            f"and those of the run {run.path.name!r} have side {side} and 3 channels: wire a GAN "
            "of this run."
        )
    seeds = tuple((seed + i) % SEED_LIMIT for i in range(count))
    return GANLatent("z", draw(spec, seeds), _classes(run, spec.c_dim, count), seeds, gan.hash)


def _classes(run: RunFolder, c_dim: int, count: int) -> Tensor | None:
    if not c_dim:
        return None
    labels = run.data.get("labels") or []
    if c_dim != len(run.data.get("classes", ())) or not labels:
        raise GenartError(
            f"This GAN has {c_dim} classes and the run {run.path.name!r} has "
            f"{len(run.data.get('classes', ())) or 'none'}: wire a GAN of this run."
        )
    return one_hot(classes_like(labels, count), c_dim)


def judge(
    run: RunFolder,
    make: Callable[[range], Tensor],
    seeds: Sequence[int],
    device: torch.device,
    backbone: Backbone | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    unseen: np.ndarray | None = None,
    about: str = "",
) -> Judgement:
    """Measure what a GAN makes against a run's pictures.

    Features of the run's pictures are kept in its folder, unless it is being trained or others are
    measured against, too.

    Args:
        run: one that kept pictures apart (`held_out`), unless there are unseen ones.
        make: pictures `[len(numbers), 3, h, w]` in -1..1 of the latents with these numbers.
        seeds: of the latents, as many as pictures are to be made.
        device: where features are computed, where there is no backbone.
        backbone: what sees the pictures; None for EfficientNet-Lite0.
        progress: called with (done, total) after every batch of pictures; may raise to stop.
        unseen: pictures that the GAN never learned from, as `unseen.decode_unseen` gives them.
        about: what is judged, for the first line of the text.

    Raises:
        GenartError: when no pictures were kept apart, or as of `Measuring`.
    """
    measuring = _measuring(run, make, len(seeds), device, backbone, progress, unseen)
    own, made = measuring.own(), measuring.see()
    training = own["training"]
    near = nearest(made, training, NEIGHBOURS)
    closest = near.distance[:, 0]
    aside = nearest(own["held_out"], training).distance[:, 0]
    known = [measuring.pictures[place] for place in measuring.known]
    aparts = [measuring.pictures[place] for place in measuring.apart]
    leaders = look_alikes([*known, *aparts], progress)
    groups, single = leaders[: len(known)], torch.tensor(leaders[len(known) :]) >= len(known)
    strict = None
    if len(set(groups)) > 1:
        strict = count_near(closest, aside[single], leave_one_out(training, groups))
    cases = _worst(near, copying_percentile(closest, own["calibrated"]), seeds)
    return Judgement(
        about=about,
        figures=measuring.figures(made),
        made=len(made),
        apart=len(aside),
        given=0 if unseen is None else len(unseen),
        known=len(known),
        plain=count_near(closest, aside, own["calibrated"]),
        strict=strict,
        twins=len(groups) - len(set(groups)),
        cases=cases,
        sheet=sheet(cases, [_made(make, case) for case in cases], known),
    )


def _measuring(
    run: RunFolder,
    make: Callable[[range], Tensor],
    made: int,
    device: torch.device,
    backbone: Backbone | None,
    progress: Callable[[int, int], None],
    unseen: np.ndarray | None,
) -> Measuring:
    """What measures a run in the way that it measures itself."""
    config = run.config
    if not config.held_out and unseen is None:
        raise GenartError(
            f"The run {run.path.name!r} was trained on all its pictures, so that none is left to "
            "measure against: wire pictures that it never saw into unseen, or train a run with "
            "held_out set, to a tenth of the pictures."
        )
    own = run.pictures
    apart = held_out(len(own), config.held_out, config.seed)
    pictures: np.ndarray | Joined = own
    if unseen is not None:
        pictures, apart = Joined(own, unseen), [*apart, *range(len(own), len(own) + len(unseen))]
    return Measuring(
        run.path,
        pictures,
        apart,
        device,
        make,
        seed=config.seed,
        backbone=backbone,
        made=made,
        progress=progress,
        keep=unseen is None and not run.training,
    )


def look_alikes(
    pictures: Sequence[np.ndarray],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[int]:
    """For each picture, uint8 [3, h, w], the first of its group of near-duplicates.

    Args:
        pictures: all of them.
        progress: called with (done, total); may raise to stop.
    """
    prints = []
    for done, picture in enumerate(pictures):
        progress(done, len(pictures))
        small = Image.fromarray(picture.transpose(1, 2, 0)).resize((duplicates.SIDE,) * 2)
        prints.append(duplicates.fingerprint(np.asarray(small).transpose(2, 0, 1)))
    leaders = list(range(len(prints)))
    for group in duplicates.groups(prints):
        for place in group:
            leaders[place] = group[0]
    return leaders


def _worst(near: Nearest, percentiles: Tensor, seeds: Sequence[int]) -> list[Case]:
    """The nearest made pictures, of each training picture one."""
    cases: dict[int, Case] = {}
    for number in near.distance[:, 0].argsort(stable=True).tolist():
        neighbours = tuple(near.index[number].tolist())
        case = Case(number, seeds[number], float(percentiles[number]), neighbours)
        cases.setdefault(neighbours[0], case)
    return list(cases.values())[:CASES]


def _made(make: Callable[[range], Tensor], case: Case) -> np.ndarray:
    """The picture of a case, uint8 [3, h, w]."""
    (picture,) = make(range(case.number, case.number + 1)).float().cpu()
    return ((picture.clamp(-1, 1) + 1) * 127.5).round().byte().numpy()
