"""A beta-VAE: one short vector for a whole picture (Higgins et al. 2017), to be traversed.

Residual blocks without normalisation, so that a picture does not depend on its batch; the side is
halved down to 4 to 7, where a linear layer takes it all in.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import GenartError
from ...gan.networks.sizes import check_sizes
from .autoencoder import Autoencoder, Coded, drawn
from .drawing import dampen, draw_weights

_LEAST_SIDE, _MOST_SIDE = 8, 1024
WIDEST = 8
"""How many times the width the widest features have."""
DOUBLING = 4
"""Side of the kernels that double a side."""


@dataclass(frozen=True)
class VectorSpec:
    """Everything that decides the shapes of a `VectorVAE`.

    Attributes:
        resolution: side of the square picture.
        z_dim: length of the vector.
        width: channels at the whole side; each halving doubles them, up to eight times as many.
    """

    resolution: int = 64
    z_dim: int = 32
    width: int = 32

    def __post_init__(self) -> None:
        check_sizes("A beta-VAE", self, {"z_dim": (1, 4096), "width": (1, 512)})
        limits = {"resolution": (_LEAST_SIDE, _MOST_SIDE)}
        check_sizes("A beta-VAE", self, limits)
        if self.resolution != self.side << self.stages:
            raise GenartError(
                f"A beta-VAE cannot have resolution {self.resolution}: it must be 4, 5, 6 or 7 "
                "times a power of two, such as 32, 40, 48, 56 or 64."
            )

    @property
    def stages(self) -> int:
        """How often the side is halved."""
        return self.resolution.bit_length() - 3

    @property
    def side(self) -> int:
        """The least side, 4 to 7."""
        return self.resolution >> self.stages

    @property
    def widths(self) -> list[int]:
        """Channels from the whole side to the least."""
        return [self.width * min(1 << i, WIDEST) for i in range(self.stages + 1)]


class Block(nn.Module):
    """Two convolutions beside a shortcut.

    Args:
        width: channels in and out.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """`[n, width, h, w]` to the same."""
        h = nn.functional.silu(self.first(nn.functional.silu(x)))
        return self.last(h).add_(x)


def _encoder(spec: VectorSpec) -> nn.Sequential:
    widths, stages = spec.widths, []
    for here, below in pairwise(widths):
        stages += [Block(here), nn.Conv2d(here, below, 3, stride=2, padding=1)]
    last = widths[-1] * spec.side**2
    ways = [Block(widths[-1]), nn.SiLU(), nn.Flatten(), nn.Linear(last, 2 * spec.z_dim)]
    return nn.Sequential(nn.Conv2d(3, widths[0], 3, padding=1), *stages, *ways)


def _decoder(spec: VectorSpec) -> nn.Sequential:
    widths, side = spec.widths[::-1], spec.side
    layers: list[nn.Module] = [
        nn.Linear(spec.z_dim, widths[0] * side**2),
        nn.Unflatten(1, (widths[0], side, side)),
        Block(widths[0]),
    ]
    for here, above in pairwise(widths):
        layers += [nn.ConvTranspose2d(here, above, DOUBLING, stride=2, padding=1), Block(above)]
    return nn.Sequential(*layers, nn.SiLU(), nn.Conv2d(widths[-1], 3, 3, padding=1))


class VectorVAE(Autoencoder):
    """A picture to the mean and the variance of a vector, and back.

    Args:
        spec: its shapes.
    """

    family = "vector"

    def __init__(self, spec: VectorSpec) -> None:
        super().__init__()
        self.spec: VectorSpec = spec
        self.vector_encoder = _encoder(spec)
        self.vector_decoder = _decoder(spec)

    @property
    def factor(self) -> int:
        """The picture's side: one place stands for all of it."""
        return self.spec.resolution

    @property
    def channels(self) -> int:
        """Length of the vector."""
        return self.spec.z_dim

    @property
    def numbers(self) -> int:
        """Eight maps of the whole side: what a block holds, and what convolutions take."""
        return 8 * self.spec.width

    def initialise(self, generator: torch.Generator) -> None:
        """Draw all weights: blocks begin as their shortcuts, pictures nearly grey."""
        draw_weights(self, generator)
        for block in self.modules():
            if isinstance(block, Block):
                nn.init.zeros_(block.last.weight)
        ends: list[Any] = [self.vector_encoder[-1], self.vector_decoder[-1]]
        for end in ends:
            dampen(end.weight)

    def code(self, pictures: Tensor, noise: Tensor | None) -> Coded:
        """As of `Autoencoder`; noise is `[n, z_dim, 1, 1]`."""
        mean, logvar = self._moments(pictures).chunk(2, dim=1)
        return drawn(mean, logvar, noise)

    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures of its side to `[n, z_dim, 1, 1]`."""
        return self._moments(pictures)[:, : self.spec.z_dim]

    def decode(self, latents: Tensor) -> Tensor:
        """`[n, z_dim, 1, 1]` to pictures of its side.

        Raises:
            GenartError: when latents have more places than one.
        """
        if latents.shape[2:] != (1, 1):
            raise GenartError(
                f"This beta-VAE decodes one vector a picture, and these latents have "
                f"{latents.shape[2]}x{latents.shape[3]} of them: encode pictures with it, or "
                "sample its prior."
            )
        return self.vector_decoder(latents.flatten(1))

    def decoder_parameters(self) -> list[nn.Parameter]:
        """Those of the decoder."""
        return list(self.vector_decoder.parameters())

    def _moments(self, pictures: Tensor) -> Tensor:
        """Mean and log variance, `[n, 2 * z_dim, 1, 1]`."""
        side = self.spec.resolution
        if pictures.shape[2:] != (side, side):
            raise GenartError(
                f"This beta-VAE takes pictures of {side}x{side} pixels, not "
                f"{pictures.shape[3]}x{pictures.shape[2]}: scale them to that first."
            )
        x = pictures.contiguous(memory_format=torch.channels_last)
        return self.vector_encoder(x)[:, :, None, None]
