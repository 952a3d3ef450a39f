"""What every autoencoder of this pack offers, so that trainer and nodes need to know none.

A picture's code is a distribution over latents (Kingma & Welling 2014, arXiv 1312.6114), or one of
a finite number of codes at each place.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...gan.networks.layers import at_least_single

LEAST_LOGVAR, MOST_LOGVAR = -30.0, 20.0
"""What a log variance is held to, as latent diffusion holds it."""


@dataclass(frozen=True, eq=False)
class Coded:
    """What an encoder says of pictures.

    Attributes:
        latents: [n, c, h, w] for the decoder, with gradients: drawn from the distribution, or
            the nearest codes, through which gradients pass straight.
        mean: [n, c, h, w] the likeliest latents; codes where those are finite in number.
        logvar: the logarithm of the variance, of a shape that expands to that of `mean`; None
            where codes are finite in number.
        cost: [] what a codebook learns from; None where there is none.
        raw: [n, c, h, w] before the nearest vector of a codebook was taken; None without one.
    """

    latents: Tensor
    mean: Tensor
    logvar: Tensor | None = None
    cost: Tensor | None = None
    raw: Tensor | None = None

    def kl(self) -> Tensor:
        """Nats of each latent against N(0, 1), [n, c, h, w]; zeros where codes are finite."""
        if self.logvar is None:
            return torch.zeros_like(self.mean)
        return (self.mean.square() + self.logvar.exp() - 1 - self.logvar) / 2


def drawn(mean: Tensor, logvar: Tensor, noise: Tensor | None) -> Coded:
    """The code of a normal distribution.

    Args:
        mean: [n, c, h, w].
        logvar: of a shape that expands to it.
        noise: normal, like `mean`; None for none.
    """
    mean, logvar = at_least_single(mean), at_least_single(logvar)  # nats are small differences
    logvar = logvar.clamp(LEAST_LOGVAR, MOST_LOGVAR)
    latents = mean if noise is None else mean + (logvar / 2).exp() * noise
    return Coded(latents, mean, logvar)


class Autoencoder(nn.Module, ABC):
    """Pictures in -1..1 to latents and back.

    Attributes:
        family: its name in files.
        spec: a frozen dataclass of all that decides its shapes.
        code_count: how many codes a place can have, where they are finite in number.
        has_codebook: whether those are learned.
    """

    family: ClassVar[str]
    spec: Any
    code_count: int | None = None
    has_codebook: bool = False

    @property
    @abstractmethod
    def factor(self) -> int:
        """Pixels along a side for each place of the latents."""

    @property
    @abstractmethod
    def channels(self) -> int:
        """Channels of the latents as they travel."""

    @property
    @abstractmethod
    def numbers(self) -> int:
        """Values that it keeps at a time for each pixel, at most; for memory's sake."""

    @abstractmethod
    def initialise(self, generator: torch.Generator) -> None:
        """Draw all weights."""

    @abstractmethod
    def code(self, pictures: Tensor, noise: Tensor | None) -> Coded:
        """What training needs of pictures `[n, 3, h, w]`.

        Args:
            pictures: about -1..1, sides multiples of the factor.
            noise: normal, `[n, channels, h / factor, w / factor]`; None takes the mean.
        """

    @abstractmethod
    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures `[n, 3, h, w]` to their likeliest latents, the same for equal pictures."""

    @abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """Latents as they travel, `[n, channels, h, w]`, to pictures, about -1..1."""

    @abstractmethod
    def decoder_parameters(self) -> list[nn.Parameter]:
        """What a decoder learns whose latents stay; the layer that makes pictures comes last."""

    def indices(self, latents: Tensor) -> Tensor:
        """Which codes latents are, `[n, k, h, w]`, k of them a place: 0 to `code_count` - 1.

        Raises:
            TypeError: where codes are not finite in number.
        """
        raise TypeError(f"{self.family} has no codes to count")

    def upkeep(self, coded: Coded, generator: torch.Generator) -> None:
        """What is to be done after a step of training; nothing where there is no codebook.

        Args:
            coded: of the step's pictures.
            generator: on the CPU; all that is drawn comes from it.
        """
