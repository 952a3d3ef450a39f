"""A small convolutional autoencoder in the layout of TAESD, which ComfyUI loads without this pack.

Residual blocks of three convolutions, no normalisation, eight pixels a place. Modules bear the
names of TAESD's files, and its encoder and decoder work on pictures in 0..1.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import GenartError
from ...gan.networks.sizes import check_choice, check_sizes
from .autoencoder import Autoencoder, Coded
from .bottlenecks import LIMIT, Bottleneck, Codebook, Gauss, Levels
from .drawing import dampen, draw_weights

FACTOR = 8
"""Pixels along a side for each place of the latents."""
_STAGES = 3
_MOST_CODES = 1 << 16
BOTTLENECKS = ("gauss", "vq", "fsq")
"""Of `TinySpec`."""


@dataclass(frozen=True)
class TinySpec:
    """Everything that decides the shapes of a `TinyVAE`.

    Attributes:
        channels: of the latents.
        width: channels of all features.
        blocks: residual blocks at each side but the whole picture's, which has one.
        bottleneck: "gauss", normal distributions; "vq", a learned codebook; "fsq", fixed levels.
        codes: vectors of the codebook.
        levels: of the channels, one after the other; again from the first where channels are more.
    """

    channels: int = 4
    width: int = 64
    blocks: int = 3
    bottleneck: str = "gauss"
    codes: int = 1024
    levels: tuple[int, ...] = (8, 5, 5, 5)

    def __post_init__(self) -> None:
        check_choice("A tiny VAE", self, "bottleneck", BOTTLENECKS)
        limits = {
            "channels": (1, 512),
            "width": (1, 1024),
            "blocks": (1, 16),
            "codes": (2, _MOST_CODES),
            "levels": (2, 256),
        }
        check_sizes("A tiny VAE", self, limits)
        count = len(self.levels)
        if self.bottleneck == "fsq" and (not count or self.channels % count):
            raise GenartError(
                f"A tiny VAE cannot give {count} levels to {self.channels} channels: give one to "
                "each, or to each of an equal part of them."
            )
        if math.prod(self.levels) > _MOST_CODES:
            raise GenartError(
                f"A tiny VAE cannot have {math.prod(self.levels)} codes, the product of its "
                f"levels: choose levels that make at most {_MOST_CODES}."
            )


class Clamp(nn.Module):
    """Holds latents to -3..3, smoothly."""

    def forward(self, x: Tensor) -> Tensor:
        """Numbers of any shape."""
        return torch.tanh(x / LIMIT) * LIMIT


class Block(nn.Module):
    """Three convolutions beside a shortcut.

    Args:
        width: channels in and out.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            _conv(width, width),
            nn.ReLU(inplace=True),
            _conv(width, width),
            nn.ReLU(inplace=True),
            _conv(width, width),
        )
        self.skip = nn.Identity()
        self.fuse = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """`[n, width, h, w]` to the same."""
        return self.fuse(self.conv(x).add_(self.skip(x)))

    @property
    def last(self) -> Any:
        """The convolution whose result is added to the shortcut."""
        return self.conv[-1]


class Nearest(nn.Upsample):
    """Where TAESD repeats each number: `Doubling` does so here, and this leaves them be."""

    def forward(self, x: Tensor) -> Tensor:
        """Numbers of any shape."""
        return x


class Doubling(nn.Conv2d):
    """A 3x3 convolution of what is twice as large by repetition, with four ninths of the products.

    A number that stands at four places meets the sum of the kernel's numbers there: the same is a
    transposed convolution by a kernel of side 4. On a CPU a step takes it half the time.

    Args:
        width: channels in and out.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, width, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`[n, width, h, w]` to `[n, width, 2h, 2w]`."""
        wide = F.pad(self.weight, (1, 1, 1, 1))
        rows = wide[..., 1:, :] + wide[..., :-1, :]
        sums = rows[..., 1:] + rows[..., :-1]  # [width, width, 4, 4]
        return F.conv_transpose2d(x, sums.flip(2, 3).transpose(0, 1), stride=2, padding=1)


def _conv(c_in: int, c_out: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, 3, stride, padding=1, bias=bias)


def _encoder(spec: TinySpec) -> nn.Sequential:
    width = spec.width
    layers: list[nn.Module] = [_conv(3, width), Block(width)]
    for _ in range(_STAGES):
        layers += [_conv(width, width, stride=2, bias=False)]
        layers += [Block(width) for _ in range(spec.blocks)]
    return nn.Sequential(*layers, _conv(width, spec.channels))


def _decoder(spec: TinySpec) -> nn.Sequential:
    width = spec.width
    layers: list[nn.Module] = [Clamp(), _conv(spec.channels, width), nn.ReLU(inplace=True)]
    for _ in range(_STAGES):
        layers += [Block(width) for _ in range(spec.blocks)]
        layers += [Nearest(scale_factor=2), Doubling(width)]
    return nn.Sequential(*layers, Block(width), _conv(width, 3))


def _bottleneck(spec: TinySpec) -> Bottleneck:
    if spec.bottleneck == "vq":
        return Codebook(spec.channels, spec.codes)
    if spec.bottleneck == "fsq":
        return Levels(spec.channels, spec.levels)
    return Gauss(spec.channels)


class TinyVAE(Autoencoder):
    """TAESD's network with one of several bottlenecks.

    Args:
        spec: its shapes.
    """

    family = "tiny"

    def __init__(self, spec: TinySpec) -> None:
        super().__init__()
        self.spec: TinySpec = spec
        self.taesd_encoder = _encoder(spec)
        self.taesd_decoder = _decoder(spec)
        self.bottleneck = _bottleneck(spec)
        self.code_count = self.bottleneck.code_count
        self.has_codebook = isinstance(self.bottleneck, Codebook)
        self.register_buffer("vae_scale", torch.tensor(1.0))
        self.register_buffer("vae_shift", torch.tensor(0.0))

    vae_scale: Tensor
    """What the decoder gets are latents as they travel, less the shift, times this."""
    vae_shift: Tensor

    @property
    def factor(self) -> int:
        """Pixels along a side for each place of the latents."""
        return FACTOR

    @property
    def channels(self) -> int:
        """Channels of the latents."""
        return self.spec.channels

    @property
    def numbers(self) -> int:
        """Nine maps of the whole picture's side: what a block holds, and what convolutions take."""
        return 9 * self.spec.width

    def initialise(self, generator: torch.Generator) -> None:
        """Draw all weights: blocks begin as their shortcuts, pictures nearly grey."""
        draw_weights(self, generator)
        last: Any = self.taesd_decoder[-1]
        dampen(last.weight)
        with torch.no_grad():
            for block in self.modules():
                if isinstance(block, Block):
                    block.last.weight.zero_()
            last.bias.fill_(0.5)
        self.bottleneck.initialise(generator)

    def code(self, pictures: Tensor, noise: Tensor | None) -> Coded:
        """As of `Autoencoder`."""
        return self.bottleneck.code(self._encoded(pictures), noise)

    def encode(self, pictures: Tensor) -> Tensor:
        """As of `Autoencoder`."""
        return self.bottleneck.settle(self._encoded(pictures))

    def decode(self, latents: Tensor) -> Tensor:
        """As of `Autoencoder`."""
        z = (latents - self.vae_shift) * self.vae_scale
        return self.taesd_decoder(_channels_last(z)).sub(0.5).mul(2)

    def decoder_parameters(self) -> list[nn.Parameter]:
        """Those of the decoder."""
        return list(self.taesd_decoder.parameters())

    def indices(self, latents: Tensor) -> Tensor:
        """As of `Autoencoder`."""
        return self.bottleneck.indices(latents)

    def upkeep(self, coded: Coded, generator: torch.Generator) -> None:
        """Those of the bottleneck."""
        self.bottleneck.upkeep(coded, generator)

    def _encoded(self, pictures: Tensor) -> Tensor:
        z = self.taesd_encoder(_channels_last(pictures * 0.5 + 0.5))
        return z / self.vae_scale + self.vae_shift


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
