"""The R3GAN generator (Huang et al. 2024, arXiv 2501.05441).

A ResNet without normalisation: a learned 4x4 basis weighted by z, then stages of inverted
bottlenecks with grouped convolutions, each stage at twice the side of the one before. Modules bear
the names that R3GAN's files use.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import GenartError
from . import filters
from .generator import Look
from .layers import full_precision
from .sizes import check_choice, check_sizes
from .unmapped import Unmapped

_SLOPE = 0.2
_ROWS = 64  # of a strip
_GAIN = math.sqrt(2 / (1 + _SLOPE**2))


@dataclass(frozen=True)
class R3GANSpec:
    """Everything that decides the shapes of an R3GAN generator.

    Attributes:
        widths: channels of each stage, from side 4 upwards.
        cardinalities: groups of each stage's convolutions.
        blocks: residual blocks of each stage.
        expansion: how many times wider a block is inside.
        kernel: side of the grouped convolutions, odd.
        z_dim: length of z.
        c_dim: number of classes, 0 for none.
        embed_dim: length of the embedded class, 0 without classes.
        img_channels: channels of the picture.
    """

    widths: tuple[int, ...] = (768, 768, 768, 768, 384, 192, 96)
    cardinalities: tuple[int, ...] = (96, 96, 96, 96, 48, 24, 12)
    blocks: tuple[int, ...] = (2, 2, 2, 2, 2, 2, 2)
    expansion: int = 2
    kernel: int = 3
    z_dim: int = 64
    c_dim: int = 0
    embed_dim: int = 0
    img_channels: int = 3

    def __post_init__(self) -> None:
        stages = len(self.widths)
        if not 1 <= stages <= 9 or not stages == len(self.cardinalities) == len(self.blocks):
            raise GenartError(
                "An R3GAN needs one width, one cardinality and one number of blocks for each of "
                f"its 1 to 9 stages, not {stages}, {len(self.cardinalities)} and "
                f"{len(self.blocks)} of them."
            )
        limits = {
            "widths": (1, 1 << 16),
            "cardinalities": (1, 1 << 16),
            "blocks": (1, 64),
            "expansion": (1, 1 << 16),
            "z_dim": (1, 1 << 16),
            "c_dim": (0, 1 << 16),
            "embed_dim": (0, 1 << 16),
            "img_channels": (1, 1 << 16),
        }
        check_sizes("An R3GAN", self, limits)
        check_choice("An R3GAN", self, "kernel", range(1, 32, 2))
        if bool(self.c_dim) != bool(self.embed_dim):
            raise GenartError(
                f"An R3GAN with {self.c_dim} classes cannot embed them in {self.embed_dim} numbers."
            )
        for width, groups in zip(self.widths, self.cardinalities, strict=True):
            if width * self.expansion % groups:
                raise GenartError(
                    f"An R3GAN's stage of {width * self.expansion} channels does not divide into "
                    f"{groups} groups."
                )

    @property
    def resolution(self) -> int:
        """Side of the picture."""
        return 4 << (len(self.widths) - 1)

    @property
    def w_dim(self) -> int:
        """Length of z and the embedded class together."""
        return self.z_dim + self.embed_dim

    @property
    def num_ws(self) -> int:
        """The one place where z goes in."""
        return 1


class _Weight(nn.Module):
    """A convolution's weight, as its file nests it; `std` is that of its first values.

    Args:
        c_in: channels in.
        c_out: channels out.
        kernel: side of the kernel.
        groups: groups of channels that do not see each other.
        gain: 0 starts at zero.
    """

    def __init__(
        self, c_in: int, c_out: int, kernel: int = 1, groups: int = 1, gain: float = 1.0
    ) -> None:
        super().__init__()
        self.Layer = nn.Conv2d(c_in, c_out, kernel, groups=groups, bias=False)
        self.gain = gain

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights."""
        weight = self.Layer.weight
        std = self.gain / math.sqrt(weight[0].numel())
        nn.init.normal_(weight, std=std, generator=generator)

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """`x [n, c_in, h, w]` to `[n, c_out, h, w]`; the bias of what follows comes for free."""
        weight = self.Layer.weight
        padding = weight.shape[-1] // 2
        return F.conv2d(x, weight, bias, padding=padding, groups=self.Layer.groups)


class _Bias(nn.Module):
    """The bias of an activation, as its file nests it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.Bias = nn.Parameter(torch.zeros(channels))


class ResidualBlock(nn.Module):
    """Wider by a 1x1, a grouped convolution, narrower by a 1x1, added to the input.

    Args:
        channels: in and out.
        cardinality: groups of the convolution inside.
        spec: the network.
    """

    def __init__(self, channels: int, cardinality: int, spec: R3GANSpec) -> None:
        super().__init__()
        wide = channels * spec.expansion
        # Fixup (Zhang et al. 2019): each block starts as the identity, and the layers inside it
        # small enough for the number of blocks.
        gain = _GAIN * sum(spec.blocks) ** -0.25
        self.LinearLayer1 = _Weight(channels, wide, gain=gain)
        self.LinearLayer2 = _Weight(wide, wide, spec.kernel, cardinality, gain)
        self.LinearLayer3 = _Weight(wide, channels, gain=0.0)
        self.NonLinearity1 = _Bias(wide)
        self.NonLinearity2 = _Bias(wide)

    def forward(self, x: Tensor) -> Tensor:
        """`[n, channels, h, w]` to the same; on a CPU a strip at a time, which caches better."""
        if x.device.type != "cpu" or torch.is_grad_enabled() or x.shape[2] <= _ROWS:
            return self._whole(x)
        halo = self.LinearLayer2.Layer.weight.shape[-1] // 2
        y = torch.empty_like(x)
        for picture, made in zip(x.split(1), y.split(1), strict=True):
            for top in range(0, x.shape[2], _ROWS):
                above = min(top, halo)
                strip = self._whole(picture[:, :, top - above : top + _ROWS + halo])
                made[:, :, top : top + _ROWS] = strip[:, :, above : above + _ROWS]
        return y

    def _whole(self, x: Tensor) -> Tensor:
        y = self.LinearLayer1(x, self.NonLinearity1.Bias)
        y = self.LinearLayer2(F.leaky_relu(y, _SLOPE, inplace=True), self.NonLinearity2.Bias)
        y = self.LinearLayer3(F.leaky_relu(y, _SLOPE, inplace=True))
        return y.add_(x)


class Basis(nn.Module):
    """The 4x4 pictures that z weighs.

    Args:
        w_dim: length of z and the embedded class.
        channels: number of pictures.
    """

    def __init__(self, w_dim: int, channels: int) -> None:
        super().__init__()
        self.Basis = nn.Parameter(torch.empty(channels, 4, 4))
        self.LinearLayer = nn.Linear(w_dim, channels, bias=False)

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the pictures and their weights."""
        nn.init.normal_(self.Basis, generator=generator)
        std = 1 / math.sqrt(self.LinearLayer.in_features)
        nn.init.normal_(self.LinearLayer.weight, std=std, generator=generator)

    def forward(self, w: Tensor) -> Tensor:
        """`w [n, w_dim]` to `[n, channels, 4, 4]`."""
        with full_precision(w):
            x = self.Basis * self.LinearLayer(w)[:, :, None, None]
        return x.contiguous(memory_format=torch.channels_last)  # 1.2 to 3 times as fast on a CPU


class Upsample(nn.Module):
    """Other channels where the next stage has others, then twice the side.

    Args:
        c_in: channels in.
        c_out: channels out.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        if c_in != c_out:
            self.LinearLayer = _Weight(c_in, c_out)
        self.changes = c_in != c_out

    def forward(self, x: Tensor) -> Tensor:
        """`[n, c_in, h, w]` to `[n, c_out, 2h, 2w]`."""
        return filters.upsample(self.LinearLayer(x) if self.changes else x)


class Stage(nn.Module):
    """All at one side: the way there, then the residual blocks.

    Args:
        spec: the network.
        index: which stage.
    """

    def __init__(self, spec: R3GANSpec, index: int) -> None:
        super().__init__()
        width, cardinality = spec.widths[index], spec.cardinalities[index]
        way = Upsample(spec.widths[index - 1], width) if index else Basis(spec.w_dim, width)
        blocks = [ResidualBlock(width, cardinality, spec) for _ in range(spec.blocks[index])]
        self.Layers = nn.Sequential(way, *blocks)

    def forward(self, x: Tensor) -> Tensor:
        """Features of the stage before (first: w) to this stage's."""
        return self.Layers(x)


class R3GAN(Unmapped):
    """An R3GAN generator. Without a mapping network, w is z and the embedded class.

    Args:
        spec: its shapes.
    """

    family = "r3gan"

    def __init__(self, spec: R3GANSpec) -> None:
        super().__init__()
        self.spec: R3GANSpec = spec
        self.MainLayers = nn.Sequential(*(Stage(spec, i) for i in range(len(spec.widths))))
        self.AggregationLayer = _Weight(spec.widths[-1], spec.img_channels)
        if spec.c_dim:
            self.EmbeddingLayer = nn.Linear(spec.c_dim, spec.embed_dim, bias=False)

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the embedding of the classes."""
        if self.spec.c_dim:
            std = 1 / math.sqrt(self.spec.c_dim)
            nn.init.normal_(self.EmbeddingLayer.weight, std=std, generator=generator)

    @property
    def working_bytes(self) -> int:
        """The widest stage's features, and twice what a block widens them to, in float32."""
        widths = enumerate(self.spec.widths)
        return max(4 * width * (4 << i) ** 2 for i, width in widths) * (1 + 2 * self.spec.expansion)

    def map(self, z: Tensor, classes: Tensor | None = None) -> Tensor:
        """`z [n, z_dim]` and `classes [n, c_dim]` to `w [n, z_dim + embed_dim]`."""
        if not self.spec.c_dim:
            return super().map(z)
        if classes is None:
            raise GenartError(f"This network has {self.spec.c_dim} classes: say which one to make.")
        with full_precision(z):
            return torch.cat([z.float(), self.EmbeddingLayer(classes.float())], dim=1)

    def synthesize(self, ws: Tensor, look: Look) -> Tensor:
        """`ws [n, 1, w_dim]` to pictures `[n, img_channels, h, w]`, about -1..1."""
        return self.AggregationLayer(self.MainLayers(ws[:, 0])).float()
