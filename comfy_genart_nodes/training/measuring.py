"""Measures of a run while it trains: what its generator makes, against pictures kept apart.

Features of the run's own pictures are computed once and kept in its folder, a file for each kind of
features. Those files may be removed: they are made again.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ..errors import GenartError
from ..evaluation.features import Backbone, Features
from ..evaluation.measures import LEAST, calibration, measure
from ..gan import checkpoint
from .draws import generator
from .shortage import is_shortage

FILE = "features_{}.safetensors"  # by the name of the features
MOST_TRAINING = 5000  # pictures that copies are looked for among
MADE = 500
BATCH = 32
STORED = {"held_out", "training", "calibrated"}


def held_out(count: int, wanted: int, seed: int) -> list[int]:
    """Which pictures are kept apart for measures, and never trained on.

    Args:
        count: pictures there are.
        wanted: how many to keep apart; 0 for none. Those of a smaller number are among those of a
            larger one.
        seed: the run's.

    Returns:
        Their indices, ascending; a function of the arguments alone.

    Raises:
        GenartError: too few to measure with, or more than half of all.
    """
    if wanted == 0:
        return []
    if count < 2 * LEAST:
        raise GenartError(
            f"Measuring needs at least {2 * LEAST} pictures, half of them to train on, and there "
            f"are {count}: add pictures, or neither measure nor hold any out."
        )
    if not LEAST <= wanted <= count // 2:
        raise GenartError(
            f"{wanted} of {count} pictures cannot be held out; choose {LEAST} to {count // 2}, "
            "or 0 for none."
        )
    places = torch.randperm(count, generator=generator(seed, 0, "held out"))
    return sorted(places[:wanted].tolist())


def classes_like(labels: Sequence[int], count: int) -> Tensor:
    """Classes for pictures to measure, as frequent as among those trained on, `[count]`.

    Mixed, so that a part of the pictures has all of them.
    """
    ordered = sorted(labels)
    chosen = torch.tensor([ordered[i * len(ordered) // count] for i in range(count)])
    return chosen[torch.randperm(count, generator=generator(0, 0, "classes"))]


def wanted_apart(count: int) -> int:
    """How many of so many pictures to keep apart where a run does not say: a tenth, 500 at most."""
    return min(max(LEAST, count // 10), MADE)


class Pictures(Protocol):
    """What is read as an array of pictures, uint8 `[n, 3, h, w]`, one at a time."""

    shape: tuple[int, ...]

    def __len__(self) -> int: ...

    def __getitem__(self, place: int, /) -> np.ndarray: ...


class Measuring:
    """Measures one run, again and again in the same way.

    Args:
        folder: the run's; features are kept there.
        pictures: uint8 `[n, 3, h, w]`, may be memory-mapped.
        apart: indices of the pictures that are not trained on, from `held_out`.
        device: where features are computed.
        make: pictures `[len(numbers), 3, h, w]` in -1..1 of the fixed latents with these numbers;
            the same latents at every call.
        seed: the run's.
        backbone: what sees the pictures; None for EfficientNet-Lite0.
        made: how many pictures to make each time.
        progress: called with (done, total) after every batch of pictures; may raise to stop.
        keep: whether to write features into the folder.

    Attributes:
        known: indices of the training pictures that copies are looked for among, ascending.
        backbone: as given, or EfficientNet-Lite0.

    Raises:
        GenartError: the ImageNet features are not installed (the sentence says how), or there are
            too few pictures.
    """

    def __init__(
        self,
        folder: Path,
        pictures: "np.ndarray | Pictures",
        apart: list[int],
        device: torch.device,
        make: Callable[[range], Tensor],
        *,
        seed: int = 0,
        backbone: Backbone | None = None,
        made: int = MADE,
        progress: Callable[[int, int], None] = lambda done, total: None,
        keep: bool = True,
    ) -> None:
        self.pictures, self.make = pictures, make
        self.seed, self.made, self.progress, self.keep = seed, made, progress, keep
        if min(len(apart), len(pictures) - len(apart), made) < LEAST:
            raise GenartError(
                f"Measuring needs at least {LEAST} pictures held out, {LEAST} to train on and "
                f"{LEAST} made, and has {len(apart)}, {len(pictures) - len(apart)} and {made}."
            )
        self.apart = apart
        self.known = self._known()
        self.backbone = Features(device) if backbone is None else backbone
        self.path = folder / FILE.format(self.backbone.name)
        self._features: dict[str, Tensor] = {}

    def __call__(self) -> dict[str, Any]:
        """Make pictures and measure them.

        Every call makes the same latents' pictures and draws the same intervals: figures of two
        moments differ because the generator did.

        Returns:
            What `evaluation.measures.measure` gives, and "backbone", the name of the features.

        Raises:
            GenartError: the made pictures' features are not numbers, or the disk is full.
        """
        return self.figures(self.see())

    def see(self) -> Tensor:
        """Make the pictures; their features `[made, d]`."""
        return self._seen(self._made, self.made)

    def figures(self, made: Tensor) -> dict[str, Any]:
        """What a call gives, of the features of pictures that were made."""
        own = self.own()
        figures = measure(
            made,
            own["held_out"],
            own["training"],
            generator=generator(self.seed, 0, "measures"),
            calibrated=own["calibrated"],
        )
        return {**figures, "backbone": self.backbone.name}

    def _known(self) -> list[int]:
        """The training pictures that copies are looked for among, ascending."""
        trained = sorted(set(range(len(self.pictures))) - set(self.apart))
        order = torch.randperm(len(trained), generator=generator(self.seed, 0, "known"))
        return sorted(trained[i] for i in order[:MOST_TRAINING].tolist())

    def own(self) -> dict[str, Tensor]:
        """Features of the run's own pictures, from the file where it fits.

        Returns:
            "held_out" `[n, d]`; "training" `[k, d]`, of those in `known`; "calibrated" `[k]`, as
            `evaluation.measures.calibration` gives it.
        """
        if self._features:
            return self._features
        header = {
            "backbone": self.backbone.name,
            "held_out": self.apart,
            "pictures": list(self.pictures.shape),
            "seed": self.seed,
        }
        stored: dict[str, Tensor] = {}
        with suppress(GenartError):  # not there, or damaged
            if header.items() <= checkpoint.read_header(self.path).items():
                checkpoint.verify(self.path)
                stored = checkpoint.read(self.path)
        if set(stored) != STORED:
            known = self._seen(lambda part: self._real(self.known, part), len(self.known))
            apart = self._seen(lambda part: self._real(self.apart, part), len(self.apart))
            stored = {"held_out": apart, "training": known, "calibrated": calibration(known)}
            if self.keep:
                checkpoint.write(self.path, stored, header, summed=True)
        self._features = stored
        return stored

    def _seen(self, pictures: Callable[[range], Tensor], count: int) -> Tensor:
        """Features `[count, d]` of pictures that are there a batch at a time."""
        found = []
        for start in range(0, count, BATCH):
            part = range(start, min(start + BATCH, count))
            found.append(self._look(pictures(part)))
            self.progress(part.stop, count)
        return torch.cat(found)

    def _look(self, pictures: Tensor) -> Tensor:
        """Features of pictures; of half of them at a time where memory runs out."""
        try:
            return self.backbone(pictures).float().cpu()
        except (RuntimeError, MemoryError) as error:
            if not is_shortage(error) or len(pictures) == 1:
                raise
        return torch.cat([self._look(part) for part in pictures.chunk(2)])

    def _real(self, indices: list[int], part: range) -> Tensor:
        batch = np.stack([self.pictures[indices[place]] for place in part])
        return torch.from_numpy(batch).float() / 127.5 - 1

    def _made(self, part: range) -> Tensor:
        """Made pictures as a file of 8 bits would hold them, like the real ones."""
        pictures = self.make(part).float().clamp(-1, 1)
        return ((pictures + 1) * 127.5).round() / 127.5 - 1
