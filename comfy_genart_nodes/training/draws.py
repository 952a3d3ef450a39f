"""The random numbers of a training step, of which every picture has its own.

All are drawn for the whole batch, as functions of (seed, step, purpose), and a process or a
micro-batch takes the rows of its pictures: how a batch is divided changes nothing, and nothing
random has to be saved.
"""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor


def generator(seed: int, step: int, purpose: str) -> torch.Generator:
    """The random generator of one purpose at one step."""
    digest = hashlib.sha256(f"{seed} {step} {purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


@dataclass(frozen=True)
class Draws:
    """The random numbers of some pictures of a step's batch.

    Attributes:
        seed: the run's.
        step: which step.
        part: the places of the pictures in the batch.
        total: pictures in the whole batch.
    """

    seed: int
    step: int
    part: range
    total: int

    def uniform(self, purpose: str, *shape: int) -> Tensor:
        """Numbers of 0..1, `[len(part), *shape]`."""
        drawn = torch.rand(self.total, *shape, generator=self._of(purpose))
        return drawn[self.part.start : self.part.stop]

    def normal(self, purpose: str, *shape: int) -> Tensor:
        """Normal numbers `[len(part), *shape]`."""
        drawn = torch.randn(self.total, *shape, generator=self._of(purpose))
        return drawn[self.part.start : self.part.stop]

    def integers(self, purpose: str, high: int, *shape: int) -> Tensor:
        """Whole numbers from 0 to `high - 1`, `[len(part), *shape]`."""
        drawn = torch.randint(0, high, (self.total, *shape), generator=self._of(purpose))
        return drawn[self.part.start : self.part.stop]

    def generators(self, purpose: str) -> list[torch.Generator]:
        """A generator for each picture, for what draws layer by layer."""
        return [generator(self.seed, self.step, f"{purpose} {place}") for place in self.part]

    def _of(self, purpose: str) -> torch.Generator:
        return generator(self.seed, self.step, purpose)
