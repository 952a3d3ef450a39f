"""Which pictures each step of a run sees, and how."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .draws import Draws, generator


class Order:
    """Which pictures each step sees: every epoch all of them, in an order of its own.

    Args:
        count: how many pictures there are.
        seed: the run's.
        left_out: places of those that are never shown.
    """

    def __init__(self, count: int, seed: int, left_out: Sequence[int] = ()) -> None:
        self.shown = sorted(set(range(count)) - set(left_out))
        self.seed = seed
        self._epoch, self._places = -1, torch.empty(0, dtype=torch.long)

    def batch(self, step: int, size: int) -> list[int]:
        """The indices of a step's pictures."""
        return [self._at(step * size + i) for i in range(size)]

    def part(self, draws: Draws) -> list[int]:
        """The indices of those of a step's pictures that some draws are for."""
        return self.batch(draws.step, draws.total)[draws.part.start : draws.part.stop]

    def _at(self, place: int) -> int:
        epoch, within = divmod(place, len(self.shown))
        if epoch != self._epoch:
            drawn = generator(self.seed, epoch, "order")
            self._places = torch.randperm(len(self.shown), generator=drawn)
            self._epoch = epoch
        return self.shown[int(self._places[within])]


def shown(
    pictures: np.ndarray,
    order: Order,
    draws: Draws,
    mirror: bool,
    device: torch.device,
    dtype: torch.dtype,
) -> Tensor:
    """Pictures as networks see them, `[n, 3, side, side]` in -1..1.

    Args:
        pictures: uint8 `[n, 3, side, side]`.
        order: which of them.
        draws: of those.
        mirror: show some of them mirrored.
        device: where to.
        dtype: of the result.
    """

    def read() -> Tensor:
        batch = torch.from_numpy(np.stack([pictures[i] for i in order.part(draws)]))
        return batch.contiguous(memory_format=torch.channels_last)

    real = draws.give(read, device).to(dtype) / 127.5 - 1
    if mirror:
        turn = draws.give(lambda: draws.uniform("mirror", 1, 1, 1) < 0.5, device)
        real = torch.where(turn, real.flip(3), real)
    return real
