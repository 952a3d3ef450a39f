"""A critic that scores the parts of a picture: PatchGAN (Isola et al. 2017, arXiv 1611.07004).

It tells real pictures from rebuilt ones by texture and sharpness; what a picture shows is left to
the comparison of features.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..gan.networks.layers import SLOPE
from ..gan.networks.sizes import check_sizes

_WIDEST = 8  # times the first layer's channels
_GROUPS = 32  # of channels that are normalised together (Wu and He 2018)


@dataclass(frozen=True)
class PatchCriticSpec:
    """Everything that decides the shapes of a critic.

    Attributes:
        width: channels of the first layer; each later one has twice as many, up to eight times.
        layers: how often the side is halved. Each score sees 12, 26, 54, 110 pixels along a side
            for 1, 2, 3, 4.
        img_channels: channels of the picture.

    Raises:
        GenartError: a number is out of bounds.
    """

    width: int = 64
    layers: int = 3
    img_channels: int = 3

    def __post_init__(self) -> None:
        check_sizes("A critic", self, {"width": (1, 1024), "layers": (1, 6)})


class PatchCritic(nn.Module):
    """Scores how real the parts of pictures look, `[n, 3, h, w] -> [n, 1, h / 8, w / 8]`.

    Where the paper normalises over the batch, this one does so over groups of channels of the
    picture itself: a score does not depend on the pictures beside it, nor on how a batch is
    divided. The layers that do not halve are 3x3, so that no picture is too small.

    Args:
        spec: its shapes.
    """

    def __init__(self, spec: PatchCriticSpec | None = None) -> None:
        super().__init__()
        self.spec = spec = spec or PatchCriticSpec()
        width = spec.width
        layers: list[nn.Module] = [
            nn.Conv2d(spec.img_channels, width, 4, 2, 1),
            nn.LeakyReLU(SLOPE),
        ]
        for layer in range(1, spec.layers + 1):
            wider = spec.width * min(2**layer, _WIDEST)
            halves = layer < spec.layers
            kernel, stride = (4, 2) if halves else (3, 1)
            layers += [
                nn.Conv2d(width, wider, kernel, stride, 1, bias=False),
                nn.GroupNorm(math.gcd(_GROUPS, wider), wider),
                nn.LeakyReLU(SLOPE),
            ]
            width = wider
        self.main = nn.Sequential(*layers, nn.Conv2d(width, 1, 3, 1, 1))

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights."""
        for layer in self.main:
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.02, generator=generator)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, pictures: Tensor) -> Tensor:
        """Score the parts of pictures in -1..1."""
        scores: Tensor = self.main(pictures.contiguous())  # `learners.place` says why
        return scores
