"""How a journey goes through its keys, whatever they are, and its frames in pieces that fit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .tracks import Space, Track

Path = Callable[[Tensor], Tensor]
"""From the numbers of frames `[n]`, counted from 0, to what those are, `[n, ...]`."""

_PIECE = 2**18
"""Numbers at a time, if a frame has fewer: smoothing holds twenty copies of them, of 8 bytes."""


@dataclass(frozen=True)
class Journey:
    """What of a path is decided before its keys are there.

    Attributes:
        times: of the keys, in whatever unit; of a loop also that of the return. None: evenly.
        loop: it returns to the first key, and goes round again.
        smooth: through keys without a corner.
        easing: of every way from key to key.
    """

    times: Sequence[float] = ()
    loop: bool = False
    smooth: bool = False
    easing: str = "linear"

    def track(self, keys: Tensor, space: Space) -> Track:
        """The path through keys `[k, ...]`.

        Raises:
            GenartError: as of `Track`.
        """
        ways = max(len(keys) - (not self.loop), 0)
        times = self.times or range(ways + 1)
        at = torch.tensor([*times], dtype=torch.float64)
        return Track(keys, at, space, self.smooth, self.loop, (self.easing,) * ways)

    def through(self, keys: Tensor, space: Space, frames: int) -> Path:
        """The same in so many frames.

        Raises:
            GenartError: as of `Track`.
        """
        track = self.track(keys, space)
        marks = track.frames(frames)
        return lambda numbers: track.at(marks[numbers % frames])

    def shares(self, count: int, frames: int) -> Tensor:
        """How much of each of `count` keys is in each frame, on straight ways: `[frames, count]`.

        Raises:
            GenartError: as of `Track`.
        """
        keys = torch.eye(count, dtype=torch.float64)
        return replace(self, smooth=False).through(keys, "flat", frames)(torch.arange(frames))


def gone(path: Path, numbers: Sequence[int], done: Callable[[int], None]) -> Tensor:
    """Frames of a path, made in pieces: beside the result only a few are held.

    Args:
        path: from numbers to frames.
        numbers: of the frames wanted, one at least.
        done: told after every piece how many are made.

    Returns:
        `[len(numbers), ...]`.
    """
    first = path(torch.tensor(numbers[:1]))
    frames = first.new_empty(len(numbers), *first.shape[1:])
    frames[:1] = first
    step, start = max(1, _PIECE // max(first.numel(), 1)), 1
    done(start)
    while start < len(numbers):
        piece = torch.tensor(numbers[start : start + step])
        frames[start : start + len(piece)] = path(piece)
        start += len(piece)
        done(start)
    return frames
