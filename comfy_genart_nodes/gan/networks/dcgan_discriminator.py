"""The DCGAN discriminator (Radford et al. 2015, arXiv 1511.06434).

Strided convolutions with batch normalisation and leaky ReLU down to side 4, then one score.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .dcgan import DCGANSpec, draw_weights
from .layers import SLOPE
from .neighbour_norm import NeighbourNorm


@dataclass(frozen=True)
class DCGANDiscriminatorSpec:
    """Everything that decides the shapes of a DCGAN discriminator.

    Attributes:
        widths: channels at half the picture's side, a quarter, ... and at side 4.
        img_channels: channels of the picture.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512)
    img_channels: int = 3

    @classmethod
    def against(cls, spec: DCGANSpec) -> "DCGANDiscriminatorSpec":
        """The discriminator of the same size as a generator."""
        return cls(widths=spec.widths[::-1], img_channels=spec.img_channels)


class DCGANDiscriminator(nn.Module):
    """Scores how real pictures look, `[n, img_channels, r, r] -> [n, 1]`.

    Args:
        spec: its shapes.
    """

    def __init__(self, spec: DCGANDiscriminatorSpec) -> None:
        super().__init__()
        self.spec = spec
        layers: list[nn.Module] = []
        width = spec.img_channels
        for i, wider in enumerate(spec.widths):
            layers.append(nn.Conv2d(width, wider, 4, 2, 1, bias=i == 0))
            if i:  # the paper leaves the picture itself as it is
                layers.append(NeighbourNorm(wider, track_running_stats=False))
            layers.append(nn.LeakyReLU(SLOPE))
            width = wider
        self.main = nn.Sequential(*layers, nn.Conv2d(width, 1, 4))

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights."""
        draw_weights(self, generator)

    def forward(self, img: Tensor) -> Tensor:
        """Score pictures."""
        return self.main(img).flatten(1)
