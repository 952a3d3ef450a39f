"""The FastGAN discriminator (Liu et al. 2021, arXiv 2101.04775), which teaches itself to see.

Small decoders rebuild real pictures from its features, the whole one and a part: it must look at
all of a picture, not only at what tells a few apart from generated ones. It scores overlapping
parts of a picture, and once more the smaller picture that a large generator makes beside.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .crop import crop
from .fastgan import SMALL, DoublingConv, FastGANSpec
from .gate import Gate
from .layers import SLOPE, at_least_single, full_precision
from .neighbour_norm import NeighbourNorm

_SIDE = 8  # of the last features
_SHOWN = 128  # largest side of rebuilt pictures
_DECODED = 4  # the last features have so many times the channels of a decoder's first layer
_FIRST = 10  # steps of the power iteration from a random direction


@dataclass(frozen=True)
class FastGANDiscriminatorSpec:
    """Everything that decides the shapes of a FastGAN discriminator.

    Attributes:
        widths: channels at half the picture's side, a quarter, ... and at side 8.
        img_channels: channels of the picture.
    """

    widths: tuple[int, ...] = (64, 128, 128, 256, 512)
    img_channels: int = 3

    @classmethod
    def against(cls, spec: FastGANSpec) -> "FastGANDiscriminatorSpec":
        """The discriminator of the same size as a generator."""
        return cls(widths=spec.widths[-2:0:-1], img_channels=spec.img_channels)

    @property
    def resolution(self) -> int:
        """Side of the picture."""
        return _SIDE << len(self.widths)


class SpectralConv(nn.Conv2d):
    """A convolution without bias whose weight, as a matrix, has norm one (Miyato et al. 2018).

    Training moves the estimate of the norm on after every step (`follow`), however many passes
    that took.
    """

    direction: Tensor

    def __init__(
        self, c_in: int, c_out: int, kernel: int, stride: int = 1, padding: int = 0
    ) -> None:
        super().__init__(c_in, c_out, kernel, stride, padding, bias=False)
        self.register_buffer("direction", torch.empty(c_out))

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights."""
        nn.init.normal_(self.weight, std=0.02, generator=generator)
        nn.init.normal_(self.direction, generator=generator)
        for _ in range(_FIRST):
            self.follow()

    @torch.no_grad()
    def follow(self) -> None:
        """Take one step of the power iteration."""
        self.direction.copy_(self._directions()[0])

    def _directions(self) -> tuple[Tensor, Tensor]:
        """Which way the weight is longest, after it and before it."""
        weight = self.weight.detach().flatten(1)
        across = F.normalize(self.direction @ weight, dim=0)
        return F.normalize(weight @ across, dim=0), across

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        with full_precision(x):
            along, across = self._directions()
            norm = along @ self.weight.flatten(1) @ across
        return F.conv2d(x, self.weight / norm, None, self.stride, self.padding)


def _layer(c_in: int, c_out: int, kernel: int, stride: int = 1, padding: int = 0) -> nn.Sequential:
    """A convolution, normalised."""
    return nn.Sequential(
        SpectralConv(c_in, c_out, kernel, stride, padding),
        NeighbourNorm(c_out, track_running_stats=False),
        nn.LeakyReLU(SLOPE),
    )


class Halving(nn.Module):
    """Half the side in two ways: convolutions, and a mean."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.detail = nn.Sequential(_layer(c_in, c_out, 4, 2, 1), _layer(c_out, c_out, 3, 1, 1))
        self.mean = nn.Sequential(nn.AvgPool2d(2), _layer(c_in, c_out, 1))

    def forward(self, x: Tensor) -> Tensor:
        """`[n, c_in, 2h, 2w]` to `[n, c_out, h, w]`."""
        return (self.detail(x) + self.mean(x)) / 2


class Eye(nn.Module):
    """From a picture to features of side 8 and their scores.

    Args:
        img_channels: channels of the picture.
        widths: channels at half its side, a quarter, ...
    """

    def __init__(self, img_channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.first = nn.Sequential(
            SpectralConv(img_channels, widths[0], 4, 2, 1), nn.LeakyReLU(SLOPE)
        )
        self.halvings = nn.ModuleList(Halving(*pair) for pair in pairwise(widths))
        last = widths[-1]
        self.judge = nn.Sequential(_layer(last, last, 1), SpectralConv(last, 1, 4))

    def forward(self, img: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features of side 16 and of side 8, and scores of 25 overlapping parts `[n, 25]`."""
        x = self.first(img)
        before = x
        for halve in self.halvings:
            before, x = x, halve(x)
        return before, x, at_least_single(self.judge(x).flatten(1))


class Decoder(nn.Sequential):
    """Features of side 8 to a small picture.

    Args:
        c_in: channels of the features.
        img_channels: channels of the picture.
        side: the picture's.
        width: channels of the first layer; each later one has half as many.
    """

    def __init__(self, c_in: int, img_channels: int, side: int, width: int) -> None:
        layers: list[nn.Module] = []
        doublings = (side // _SIDE).bit_length() - 1
        for i in range(doublings):
            c_out = max(1, width >> i)
            norm = NeighbourNorm(2 * c_out, track_running_stats=False)
            layers += [DoublingConv(c_in, 2 * c_out), norm, Gate()]
            c_in = c_out
        super().__init__(*layers, nn.Conv2d(c_in, img_channels, 3, padding=1), nn.Tanh())

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights, the last as small as its few inputs need not have them."""
        for layer in self:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="linear", generator=generator)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)


class FastGANDiscriminator(nn.Module):
    """Scores how real the parts of pictures look.

    Args:
        spec: its shapes.
    """

    def __init__(self, spec: FastGANDiscriminatorSpec) -> None:
        super().__init__()
        self.spec = spec
        widths, channels, side = spec.widths, spec.img_channels, spec.resolution
        self.eye = Eye(channels, widths)
        if side > SMALL:
            self.small_eye = Eye(channels, widths[-4:])
        decoded = widths[-1] // _DECODED
        self.whole = Decoder(widths[-1], channels, min(side, _SHOWN), decoded)
        self.part = Decoder(widths[-2], channels, min(side // 2, _SHOWN), decoded)

    def forward(self, pictures: list[Tensor]) -> Tensor:
        """Score pictures as the generator's `forward` gives them: `[n, 25]`, or 50 with the small.

        Args:
            pictures: [n, img_channels, r, r] and, where r is more than 128, the same of side 128.
        """
        scores = [self.eye(pictures[0])[2]]
        if len(pictures) > 1:
            scores.append(self.small_eye(pictures[1])[2])
        return torch.cat(scores, dim=1)

    def study(
        self, pictures: list[Tensor], places: Tensor
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Score real pictures and rebuild them.

        Args:
            pictures: as `forward` takes them.
            places: [n, 2], 0..1: where down and across to choose the part to rebuild; on the
                pictures' device.

        Returns:
            The scores; and pairs of rebuilt and wanted pictures: the whole, and a part of half the
            side, both smaller than what they show.
        """
        img = pictures[0]
        before, x, scores = self.eye(img)
        if len(pictures) > 1:
            scores = torch.cat([scores, self.small_eye(pictures[1])[2]], dim=1)
        corners = (places * (_SIDE + 1)).long().clamp(max=_SIDE)
        scale = img.shape[2] // (2 * _SIDE)
        rebuilt = [self.whole(x), self.part(crop(before, corners, _SIDE))]
        wanted = [img, crop(img, corners * scale, _SIDE * scale)]
        pairs = zip(map(at_least_single, rebuilt), wanted, strict=True)
        return scores, [(each, _shrink(whole, each.shape[2])) for each, whole in pairs]


def _shrink(x: Tensor, side: int) -> Tensor:
    """Means over squares, so that `side` of them remain."""
    return F.avg_pool2d(x, x.shape[2] // side)
