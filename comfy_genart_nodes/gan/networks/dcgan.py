"""The DCGAN generator (Radford et al. 2015, arXiv 1511.06434).

z, a picture of one pixel, grows through transposed convolutions with batch normalisation and ReLU.
Modules bear the names of PyTorch's example, which most DCGAN files follow.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...errors import GenartError
from .generator import Look
from .layers import at_least_single
from .neighbour_norm import NeighbourNorm
from .sizes import check_sizes
from .unmapped import Unmapped, UnmappedSpec


@dataclass(frozen=True)
class DCGANSpec(UnmappedSpec):
    """Everything that decides the shapes of a DCGAN generator.

    Attributes:
        widths: channels at side 4, 8, ... and half the picture's.
        z_dim: length of z.
        img_channels: channels of the picture.
        bias: the last convolution has a bias (the others' is that of their normalisation).
    """

    widths: tuple[int, ...] = (512, 256, 128, 64)
    z_dim: int = 100
    img_channels: int = 3
    bias: bool = False

    def __post_init__(self) -> None:
        if not 1 <= len(self.widths) <= 8:
            raise GenartError(
                "A DCGAN makes pictures of side 8, 16, ... 1024 and needs as many widths as "
                f"doublings from side 4, not {len(self.widths)} of them."
            )
        sizes = dict.fromkeys(("widths", "z_dim", "img_channels"), (1, 1 << 14))
        check_sizes("A DCGAN", self, sizes)

    @property
    def resolution(self) -> int:
        """Side of the picture."""
        return 4 << len(self.widths)


def draw_weights(module: nn.Module, generator: torch.Generator) -> None:
    """Draw every convolution and batch normalisation inside a module as the paper does."""
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(layer.weight, std=0.02, generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02, generator=generator)
            nn.init.zeros_(layer.bias)


class DCGAN(Unmapped):
    """A DCGAN generator.

    Args:
        spec: its shapes.
    """

    family = "dcgan"

    def __init__(self, spec: DCGANSpec) -> None:
        super().__init__()
        self.spec: DCGANSpec = spec
        layers: list[nn.Module] = []
        width = spec.z_dim
        for i, wider in enumerate(spec.widths):
            stride, padding = (2, 1) if i else (1, 0)  # one pixel becomes 4x4, then all doubles
            layers += [
                nn.ConvTranspose2d(width, wider, 4, stride, padding, bias=False),
                NeighbourNorm(wider),
                nn.ReLU(inplace=True),
            ]
            width = wider
        layers += [nn.ConvTranspose2d(width, spec.img_channels, 4, 2, 1, bias=spec.bias), nn.Tanh()]
        self.main = nn.Sequential(*layers)

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights."""
        draw_weights(self, generator)

    @property
    def working_bytes(self) -> int:
        """Two float32 copies of the largest features, and the picture's."""
        sides = enumerate((*self.spec.widths, self.spec.img_channels))
        return 2 * max(4 * width * (4 << i) ** 2 for i, width in sides)

    def synthesize(self, ws: Tensor, look: Look) -> Tensor:
        """`ws [n, 1, z_dim]` to pictures `[n, img_channels, h, w]` in -1..1."""
        return at_least_single(self.main(ws[:, 0, :, None, None]))
