"""Which pictures each step of a run sees."""

from collections.abc import Sequence

import torch

from .draws import generator


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

    def _at(self, place: int) -> int:
        epoch, within = divmod(place, len(self.shown))
        if epoch != self._epoch:
            drawn = generator(self.seed, epoch, "order")
            self._places = torch.randperm(len(self.shown), generator=drawn)
            self._epoch = epoch
        return self.shown[int(self._places[within])]
