"""Pictures that a run never saw, beside those it has."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..errors import GenartError
from ..evaluation.measures import LEAST
from .dataset_report import spread
from .measuring import MADE
from .picture_sets import PictureSet
from .pictures import decoded
from .run_folder import RunFolder


class Joined:
    """Two arrays of pictures as one that is read picture by picture; neither is copied.

    Args:
        first: uint8 [n, 3, h, w], may be memory-mapped.
        second: uint8 [m, 3, h, w].
    """

    def __init__(self, first: np.ndarray, second: np.ndarray) -> None:
        self.first, self.second = first, second
        self.shape = (len(first) + len(second), *first.shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, place: int) -> np.ndarray:
        own = len(self.first)
        found: np.ndarray = self.first[place] if place < own else self.second[place - own]
        return found


def decode_unseen(
    run: RunFolder,
    pictures: PictureSet,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> np.ndarray:
    """Pictures that a run never saw, made square as its own were: uint8 [n, 3, side, side].

    Of many, `MADE` spread over the set.

    Args:
        run: the run.
        pictures: the set.
        progress: called with (done, total); may raise to stop.

    Raises:
        GenartError: when the run learned from some of them, or too few can be read.
    """
    config = run.config
    chosen = spread(pictures.names, MADE)
    some = replace(pictures, names=tuple(name for name in pictures.names if name in chosen))
    found = []
    made = decoded(some, config.resolution, config.fit, config.background, config.seed)
    for done, (_, picture) in enumerate(made, 1):
        found += [] if picture is None else [picture]
        progress(done, len(some))
    if len(found) < LEAST:
        raise GenartError(
            f"{len(found)} of {len(some)} pictures of {pictures.place} can be read: measuring "
            f"needs at least {LEAST}."
        )
    known = {_digest(picture) for picture in run.pictures}
    seen = sum(_digest(picture) in known for picture in found)
    if seen:
        raise GenartError(
            f"{seen} of {len(found)} pictures of {pictures.place} are among those that the run "
            f"{run.path.name!r} has: give others, which it never saw."
        )
    return np.stack(found)


def _digest(picture: np.ndarray) -> bytes:
    return hashlib.sha256(picture.tobytes()).digest()
