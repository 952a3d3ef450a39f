"""Random numbers of training: the same for each picture, whatever the batch is divided into.

What belongs to each picture is drawn for the whole batch, as functions of (seed, step, purpose),
and a process or a micro-batch takes the rows of its pictures: how a batch is divided changes
nothing, and nothing random has to be saved.
"""

import hashlib
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..gan.networks.generator import Noise, NoiseMode
from ..transfer import Giver, give

_TOGETHER = 4  # neighbours in the batch whose noise one generator draws


def generator(seed: int, step: int, purpose: str) -> torch.Generator:
    """The random generator of one purpose at one step."""
    digest = hashlib.sha256(f"{seed} {step} {purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


@dataclass(eq=False)
class Draws:
    """The random numbers of some pictures of a step's batch, on the CPU.

    Attributes:
        seed: the run's.
        step: which step.
        part: the places of the pictures in the batch.
        total: pictures in the whole batch.
        give: brings what is made of them to a device; what it is given to call may be called again
            for a later step.
    """

    seed: int
    step: int
    part: range
    total: int
    give: Giver = give

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

    def noise(self, purpose: str, *shape: int) -> Tensor:
        """Normal numbers `[len(part), *shape]`, of which little more is drawn than asked for."""
        first, end = self.part.start // _TOGETHER, -(-self.part.stop // _TOGETHER)
        drawn = torch.empty((end - first) * _TOGETHER, *shape)
        for block, some in zip(range(first, end), drawn.split(_TOGETHER), strict=True):
            torch.randn(some.shape, generator=self._of(f"{purpose} {block}"), out=some)
        start = self.part.start - first * _TOGETHER
        return drawn[start : start + len(self.part)]

    def only(self, picture: int) -> "Draws":
        """Those of one of the pictures, for this step alone."""
        place = self.part[picture]
        return replace(self, part=range(place, place + 1))

    def _of(self, purpose: str) -> torch.Generator:
        return generator(self.seed, self.step, purpose)


@dataclass(frozen=True, eq=False, kw_only=True)
class StepNoise(Noise):
    """The noise of a step's pictures, layer by layer.

    Attributes:
        draws: theirs.
        purpose: what for.
        layers: how many have asked, its one element.
    """

    mode: NoiseMode = "random"
    draws: Draws
    purpose: str
    layers: list[int] = field(default_factory=lambda: [0])

    def draw(self, count: int, height: int, width: int, device: torch.device) -> Tensor:
        """Normal noise `[count, 1, height, width]`."""
        purpose = f"{self.purpose} {self.layers[0]}"
        self.layers[0] += 1
        return self.draws.give(lambda: self.draws.noise(purpose, 1, height, width), device)

    def pick(self, picture: int) -> "StepNoise":
        """The noise of one picture of the batch."""
        return replace(self, draws=self.draws.only(picture), layers=[*self.layers])

    def twin(self) -> "StepNoise":
        """Noise that draws what this one will draw, and does not move it on."""
        return replace(self, layers=[*self.layers])
