"""Write the card of a GAN trained on `genart data emoji`: the network, its pictures, its measures.

    python benchmarks/emoji_card.py <output>/genart/emoji_people_64 DIR/people-held-out

Makes, in `models/gan` and under the run's name, `<name>.safetensors` (the generator alone),
`<name>.md`, and `<name>_samples.jpg`, `<name>_progress.jpg`, `<name>_nearest.jpg`. All figures are
functions of the run folder and the held-out pictures: run it again after more training. It knows
the emoji: their source and licence, and which of them are near-duplicates.
"""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sheets import nearest_sheet, progress_sheet, samples_sheet, save

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.evaluation.features import Features
from comfy_genart_nodes.evaluation.kid import kid, kid_subsets
from comfy_genart_nodes.evaluation.nearest import copying_percentile, leave_one_out, nearest
from comfy_genart_nodes.files import written
from comfy_genart_nodes.gan.checkpoint import LoadedGAN, load_gan, read_header, save_gan
from comfy_genart_nodes.gan.latents import from_seeds
from comfy_genart_nodes.gan.sampling import sample
from comfy_genart_nodes.headless.data import PACKAGE, VERSION, subject
from comfy_genart_nodes.training.picture_sets import open_folder
from comfy_genart_nodes.training.pictures import decoded
from comfy_genart_nodes.training.recipes import settings
from comfy_genart_nodes.training.run_folder import RunFolder

LIMIT = 16_000_000  # bytes of a network that ships with the pack
SUBSETS, SUBSET_SIZE = 100, 50
BLANK = "\n\n"
KINDS = {"stylegan2": "StyleGAN2 generator (skip)", "fastgan": "FastGAN generator"}
WANTED = 500  # kimg that a set like this one wants at least
LICENCE = "MIT (the pictures: (c) Microsoft Corporation)"
BEGINS = ("started", "resumed", "unreadable")  # events that open a stretch of training ...
ENDS = ("stopped", "finished", "failed")  # ... and that close it


@dataclass(frozen=True)
class Measured:
    """KID (as it is, not times 1000) and the copying check of one network.

    Attributes:
        kid_held_out: samples against held-out pictures: all, then mean and std over subsets.
        kid_floor: training pictures against held-out pictures, in the same three figures.
        kid_training: samples against training pictures.
        percentiles: of the samples' nearest distances, by calibration: "pictures" and "subjects".
        held_out_percentiles: the same for the held-out pictures, which nobody copied.
        held_out: how many there are.
    """

    kid_held_out: tuple[float, float, float]
    kid_floor: tuple[float, float, float]
    kid_training: tuple[float, float, float]
    percentiles: dict[str, Tensor]
    held_out_percentiles: dict[str, Tensor]
    held_out: int


def in_range(pictures: np.ndarray) -> Tensor:
    """Decoded uint8 pictures `[n, 3, s, s]` as -1..1."""
    return torch.from_numpy(np.array(pictures)).float() / 127.5 - 1


def draw(gan: LoadedGAN, count: int, seed: int = 0) -> Tensor:
    """Samples of the seeds `seed, seed + 1, ...` at psi 1, as 8-bit pictures see them."""
    parts = []
    for start in range(0, count, 32):
        latent = from_seeds(gan.spec, seed + start, min(32, count - start), model=gan.hash)
        parts.append(sample(gan.generator, latent).clamp(-1, 1))
    return ((torch.cat(parts) + 1) * 127.5).round() / 127.5 - 1


def three(a: Tensor, b: Tensor) -> tuple[float, float, float]:
    """KID over the whole sets, then mean and standard deviation over subsets."""
    size = min(SUBSET_SIZE, len(a), len(b))
    generator = torch.Generator().manual_seed(0)
    return kid(a, b), *kid_subsets(a, b, subsets=SUBSETS, subset_size=size, generator=generator)


def measure(samples: Tensor, training: Tensor, held_out: Tensor, names: list[str]) -> Measured:
    """Compare features of samples, training and held-out pictures.

    Args:
        samples: `[n, d]`.
        training: `[m, d]`.
        held_out: `[k, d]`.
        names: file names of the training pictures; one subject's are each other's look-alikes.
    """
    subjects = [subject(Path(name).stem) for name in names]
    number = {key: i for i, key in enumerate(dict.fromkeys(subjects))}
    calibrations = {
        "pictures": leave_one_out(training),
        "subjects": leave_one_out(training, [number[key] for key in subjects]),
    }

    def percentiles(features: Tensor) -> dict[str, Tensor]:
        distance = nearest(features, training).distance[:, 0]
        return {key: copying_percentile(distance, known) for key, known in calibrations.items()}

    return Measured(
        three(samples, held_out),
        three(training, held_out),
        three(samples, training),
        percentiles(samples),
        percentiles(held_out),
        len(held_out),
    )


def commands(run: RunFolder) -> str:
    """The shell commands that make this run: every setting that is not the recipe's."""
    config, default = run.config.to_json(), settings(run.config.recipe).to_json()
    folder = Path(run.data["folder"]).name
    parts = [f"genart train gan DIR/{folder} --run {run.path.name}"]
    parts += [
        f"--recipe {run.config.recipe}",
        f"--device {run.machine['device']}",
        f"--threads {run.machine['threads']}",
    ]
    for key, value in config.items():
        if value == default[key] or value is None:
            continue
        text = ",".join(value) or "none" if isinstance(value, list) else str(value)
        text = f"{value:g}" if isinstance(value, float) else text
        parts.append(f"--{key.replace('_', '-')}" + ("" if value is True else f" {text}"))
    fetch = "genart data emoji DIR" + ("" if folder == "people" else f" --subset {folder}")
    kept = (part.replace(" ", "\0") for part in parts[1:])  # an option stays with its value
    lines = textwrap.wrap(" ".join(kept), 84, break_on_hyphens=False)
    train = " \\\n        ".join((parts[0], *lines)).replace("\0", " ")
    return f"    {fetch}\n    {train}"


def described(run: RunFolder) -> str:
    """The machine as far as the run folder knows it."""
    machine = run.machine
    return f"{machine['device']}, {machine['threads']} threads, {machine['precision']}"


def stretches(run: RunFolder, step: int) -> tuple[float, int]:
    """Seconds on the wall clock that training took up to a checkpoint, and in how many stretches.

    All counts but the gaps between stretches: sheets, checkpoints, and steps that a killed process
    lost and its successor repeated.
    """
    events = run.events()
    ends = [i for i, e in enumerate(events) if (e["event"], e["step"]) == ("checkpoint", step)]
    events = events[: ends[-1] + 1] if ends else events
    seconds = sum(
        after["time"] - before["time"]
        for before, after in pairwise(events)
        if before["event"] not in ENDS and after["event"] not in BEGINS
    )
    return seconds, sum(event["event"] in ("started", "resumed") for event in events)


def paragraph(text: str) -> str:
    """Text in the lines of a Markdown file."""
    return textwrap.fill(" ".join(text.split()), 100)


def span(seconds: float) -> str:
    """A time in the unit that suits it."""
    return f"{seconds / 60:.1f} minutes" if seconds < 3600 else f"{seconds / 3600:.1f} hours"


def reached(kimg: float, speed: float) -> str:
    """How far training got of what it should, and how long the rest would take."""
    if kimg >= WANTED:
        return f"It was trained for {kimg:.0f} kimg; a set like this wants {WANTED} or more."
    early = ": this is an early state" if kimg < WANTED / 2 else ""
    return (
        f"**Training got as far as {kimg:.0f} of the {WANTED} kimg or more that a set like this "
        f"wants ({100 * kimg / WANTED:.0f} %){early}.** At the speed measured here the "
        f"way from there to {WANTED} kimg takes another {span((WANTED - kimg) * 1000 / speed)}."
    )


def _kid_row(what: str, figures: tuple[float, float, float]) -> str:
    whole, mean, std = (1000 * value for value in figures)
    return f"| {what} | {whole:.2f} | {mean:.2f} ± {std:.2f} |"


def _copy_row(what: str, values: Tensor) -> str:
    low, middle = values.quantile(0.05), values.median()
    below = 100 * (values < 5).double().mean()
    return f"| {what} | {low:.0f} | {middle:.0f} | {below:.0f} % |"


def card(
    name: str,
    run: RunFolder,
    gan: LoadedGAN,
    measured: Measured,
    *,
    step: int,
    count: int,
    machine: str,
    prose: str,
) -> str:
    """The card's Markdown."""
    config = run.config
    kimg = step * config.batch / 1000
    trained_on = len(run.data["pictures"])
    rounds = kimg * 1000 / trained_on
    folder = Path(run.data["folder"]).name
    source = f'"{folder}" of Microsoft\'s 3D Fluent emoji (npm `{PACKAGE}` {VERSION})'
    seconds, sittings = stretches(run, step)
    parts = "one stretch" if sittings == 1 else f"{sittings} stretches"
    speed = kimg * 1000 / seconds
    parameters = sum(p.numel() for p in gan.generator.parameters()) / 1e6
    size = f"{config.resolution}x{config.resolution}"
    subsets = f"{SUBSETS} pairs of subsets of {min(SUBSET_SIZE, measured.held_out)}"
    most = max(WANTED, kimg)
    going_on = f"""
        Interrupted, the same command goes on from the last checkpoint in its run's folder, and with
        a larger `--kimg` past its end. That folder is not part of the pack: without it the command
        begins anew, and at {speed:.1f} pictures a second it comes to this network after
        {span(seconds)} and to {most:.0f} kimg after {span(most * 1000 / speed)}."""
    about_kid = f"""
        KID x 1000 (lower is nearer) over {Features.name} features of {count} samples (seeds from 0,
        psi 1), {measured.held_out} held-out and {trained_on} training pictures, all at {size}.
        "Subsets": mean and standard deviation over {subsets}. The held-out pictures show subjects
        that are not among the training pictures, so a network that knew the training set by heart
        would get the floor, not 0. The numbers compare only with others over the same features."""
    kid_rows = "\n".join(
        (
            _kid_row("samples / held-out pictures", measured.kid_held_out),
            _kid_row("training pictures / held-out pictures (the floor)", measured.kid_floor),
            _kid_row("samples / training pictures", measured.kid_training),
        )
    )
    copy_rows = "\n".join(
        (
            _copy_row("samples, against pictures", measured.percentiles["pictures"]),
            _copy_row("held-out, against pictures", measured.held_out_percentiles["pictures"]),
            _copy_row("samples, against subjects", measured.percentiles["subjects"]),
            _copy_row("held-out, against subjects", measured.held_out_percentiles["subjects"]),
        )
    )
    return f"""# {name}

{paragraph(reached(kimg, speed))}

{prose + BLANK if prose else ""}![samples]({name}_samples.jpg)

Seeds 0 to 63 at psi 1, none chosen.

| | |
|---|---|
| network | {KINDS[gan.generator.family]}, {size}, {parameters:.1f} M parameters |
| data | {trained_on} pictures, {source} |
| licence of data and weights | {LICENCE} |
| trained | {step} steps of {config.batch} pictures = {kimg:.0f} kimg, {rounds:.0f} times the data |
| time | {span(seconds)} on the wall clock in {parts}: {speed:.1f} pictures a second |
| machine | {machine} |
| seed of the run | {config.seed} |
| SHA-256 of the network | `{gan.hash}` |

## How it was made

{commands(run)}

{paragraph(going_on)}

![progress]({name}_progress.jpg)

The same eight latents as training went on.

## How near it is to pictures it never saw

{paragraph(about_kid)}

| | whole sets | subsets |
|---|---|---|
{kid_rows}

## Is it a copy?

Each sample's distance to its nearest training picture, as a percentile of the training pictures'
own nearest distances. "Against pictures": any other training picture counts as a neighbour there;
"against subjects": only those of another subject do (the set holds each figure in six skin tones
and up to three genders, near-duplicates). Low is close. Low against subjects: the sample shows one
of the training figures, perhaps recoloured, rather than a new one. Low against pictures as well:
it is nearer than the skin tones of one figure are to each other, as a copy would be. At 100: it
lies farther from them than any of them from each other, no copy and no likeness either. The
held-out rows show what new subjects get that nobody copied.

| | 5 % of them are at or under | median | under 5 |
|---|---|---|---|
{copy_rows}

![nearest]({name}_nearest.jpg)

Left: the samples of seeds 0 to 7, each with its four nearest training pictures. Right: the same for
the eight samples of all {count} that lie nearest to one, the worst cases.
"""


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument("held_out", type=Path, help="folder of pictures kept apart")
    parser.add_argument("--machine", help="a word on what it was trained on")
    parser.add_argument("--prose", type=Path, help="Markdown that opens the card")
    parser.add_argument("--checkpoint", type=Path, help="default: the run's last")
    parser.add_argument("--samples", type=int, default=500, help="to measure with")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "models/gan")
    return parser.parse_args()


def main() -> int:
    """Measure a run's checkpoint and write its card."""
    given = arguments()
    run = RunFolder(given.run)
    if not run.checkpoints:
        raise GenartError(f"{given.run} holds no checkpoint yet; train on first.")
    checkpoint = given.checkpoint or run.checkpoints[-1]
    step = int(read_header(checkpoint)["step"])
    if given.samples < 64:
        raise GenartError(f"--samples must be at least 64, not {given.samples}.")
    gan = load_gan(checkpoint)
    pictures = draw(gan, given.samples)
    data = in_range(np.load(run.path / "pictures.npy", mmap_mode="r"))
    kept = open_folder(given.held_out)
    side = run.config.resolution
    readable = [made for _, made in decoded(kept, side) if made is not None]
    held_out = in_range(np.stack(readable))

    features = Features()
    known, fresh = features(data), features(pictures)
    measured = measure(fresh, known, features(held_out), run.data["pictures"])

    name = run.path.name
    target = given.out / f"{name}.safetensors"
    about = {"name": name, "data": f"{PACKAGE} {VERSION}", "licence": LICENCE}
    save_gan(target, gan.generator, {**gan.info, **about})
    if target.stat().st_size > LIMIT:
        raise GenartError(f"{target} is larger than {LIMIT} bytes; train a smaller network.")
    save(samples_sheet(pictures), given.out / f"{name}_samples.jpg")
    save(progress_sheet(run, step), given.out / f"{name}_progress.jpg")
    save(nearest_sheet(pictures, fresh, data, known), given.out / f"{name}_nearest.jpg")
    prose = given.prose.read_text(encoding="utf-8").strip() if given.prose else ""
    text = card(
        name,
        run,
        gan,
        measured,
        step=step,
        count=given.samples,
        machine=", ".join(filter(None, (given.machine, described(run)))),
        prose=prose,
    )
    with written(given.out / f"{name}.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    rows = {"held-out": measured.kid_held_out, "floor": measured.kid_floor}
    print(json.dumps({"kid x 1000": {k: round(1000 * v[0], 2) for k, v in rows.items()}}))
    print(target.with_suffix(".md"))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except GenartError as error:
        sys.exit(f"{error}")
