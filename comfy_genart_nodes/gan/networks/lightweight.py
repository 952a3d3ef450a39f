"""The generator of lucidrains' lightweight-gan, after FastGAN (Liu et al. 2021, arXiv 2101.04775).

z becomes 4x4 features, and each block doubles the side. Small features steer large ones: the
channels of sides 128 to 1024 are weighed by what sides 16 to 128 hold (skip-layer excitation).
There is no mapping network: w is z. Its pictures lie in 0..1; here, as everywhere in this pack,
in -1..1. Batch normalisation, fixed once trained, is part of the convolutions before it.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import GenartError
from .generator import Look, Noise
from .lucidrains_layers import Attention, blur
from .sizes import check_choice, check_sizes
from .unmapped import Unmapped, UnmappedSpec


@dataclass(frozen=True)
class LightweightSpec(UnmappedSpec):
    """Everything that decides the shapes of this generator.

    Attributes:
        z_dim: length of z.
        widths: channels after each block; the first block makes side 8, each later one the double.
        img_channels: 3, 1 for grey, 4 with transparency.
        growing: how features grow: "shuffle" (since version 1.1), "nearest" or "bilinear".
        kernel: side of the convolutions' kernels, 4 or 3.
        blurred: features are blurred after they have grown.
        noisy: blocks add noise (since version 0.21).
        excitation: what weighs the channels: "context" or "frequency".
        attention: the blocks, counted from 0, that begin with attention.
        local: this attention looks at the 3x3 pixels around, too.
    """

    z_dim: int = 256
    widths: tuple[int, ...] = (512, 512, 256, 128, 64)
    img_channels: int = 3
    growing: str = "shuffle"
    kernel: int = 4
    blurred: bool = False
    noisy: bool = True
    excitation: str = "context"
    attention: tuple[int, ...] = ()
    local: bool = True

    def __post_init__(self) -> None:
        if not 1 <= len(self.widths) <= 9:
            raise GenartError(
                "A Lightweight GAN makes pictures of side 8, 16, ... 2048 and needs a width for "
                f"each of these sides up to its own, not {len(self.widths)} of them."
            )
        limits = {
            "z_dim": (1, 1 << 13),
            "widths": (1, 1 << 13),
            "img_channels": (1, 16),
            "attention": (0, len(self.widths) - 1),
        }
        check_sizes("A Lightweight GAN", self, limits)
        check_choice("A Lightweight GAN", self, "kernel", (3, 4))
        check_choice("A Lightweight GAN", self, "growing", ("shuffle", "nearest", "bilinear"))
        check_choice("A Lightweight GAN", self, "excitation", ("context", "frequency"))

    @property
    def resolution(self) -> int:
        """Side of the square picture."""
        return 4 << len(self.widths)

    def excited(self, block: int) -> int | None:
        """The block whose features a block's features weigh; None for most."""
        later = block + 3  # three doublings: eight times as large
        return later if 1 <= block <= 4 and later < len(self.widths) else None


class Context(nn.Module):
    """A weight for every channel of larger features, from a weighed mean of smaller ones.

    The global context of Cao et al. 2020 (arXiv 2012.13375).

    Args:
        c_in: channels of the smaller features.
        c_out: channels of the larger.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.score = nn.Conv2d(c_in, 1, 1)
        self.squeeze = nn.Linear(c_in, max(3, c_out // 2))
        self.expand = nn.Linear(max(3, c_out // 2), c_out)

    def forward(self, x: Tensor) -> Tensor:
        """`[n, c_in, h, w]` -> `[n, c_out, 1, 1]`, in 0..1."""
        share = self.score(x).flatten(2).softmax(dim=2)  # [n, 1, pixels]
        pooled = (x.flatten(2) * share).sum(dim=2)
        return _weights(self.squeeze, self.expand, pooled)


class Frequencies(nn.Module):
    """The same from a few frequencies of the smaller features' cosine transform.

    FcaNet (Qin et al. 2021, arXiv 2012.11879).

    Args:
        c_in: channels of the smaller features.
        c_out: channels of the larger.
        side: of the smaller features.
    """

    waves: Tensor

    def __init__(self, c_in: int, c_out: int, side: int) -> None:
        super().__init__()
        self.register_buffer("waves", torch.empty(c_in, side, side))
        self.squeeze = nn.Linear(c_in, max(3, c_out // 4))
        self.expand = nn.Linear(max(3, c_out // 4), c_out)

    def forward(self, x: Tensor) -> Tensor:
        """`[n, c_in, side, side]` -> `[n, c_out, 1, 1]`, in 0..1."""
        return _weights(self.squeeze, self.expand, (x * self.waves).sum(dim=(2, 3)))


def _weights(squeeze: nn.Linear, expand: nn.Linear, pooled: Tensor) -> Tensor:
    return expand(F.leaky_relu(squeeze(pooled), 0.1)).sigmoid()[:, :, None, None]


class Block(nn.Module):
    """Attention, growing, convolution and gated linear unit of one side.

    Args:
        spec: the network.
        index: which block, from 0.
    """

    def __init__(self, spec: LightweightSpec, index: int) -> None:
        super().__init__()
        c_in, c_out = (spec.z_dim, *spec.widths)[index : index + 2]
        self.spec, self.index = spec, index
        self.attends = index in spec.attention
        if self.attends:
            self.attention = Attention(c_in, spec.local)
        if spec.growing == "shuffle":
            self.shuffle = nn.Conv2d(c_in, 4 * c_in, 1)
        self.conv = nn.Conv2d(c_in, 2 * c_out, spec.kernel)
        if spec.noisy:
            self.noise_gain = nn.Parameter(torch.zeros(2 * c_out))
        later = spec.excited(index)
        if later is not None and spec.excitation == "context":
            self.excite: nn.Module = Context(c_out, spec.widths[later])
        elif later is not None:
            self.excite = Frequencies(c_out, spec.widths[later], 8 << index)

    def forward(self, x: Tensor, noise: Noise) -> Tensor:
        """`[n, c_in, h, w]` -> `[n, c_out, 2h, 2w]`."""
        if self.attends:
            x = self.attention(x)
        x = self._grow(x)
        before, after = self.spec.kernel // 2, (self.spec.kernel - 1) // 2
        x = self.conv(F.pad(x, (before, after, before, after)))
        if self.spec.noisy and noise.mode != "none":
            drawn = self._noise(noise, x)
            x = x + (drawn * noise.strength * self.noise_gain[:, None, None]).to(x.dtype)
        return F.glu(x, dim=1)

    def _noise(self, noise: Noise, x: Tensor) -> Tensor:
        """`[n or 1, 1, h, w]`; the network has none of its own, so const is one fixed draw."""
        count = len(x)
        if noise.mode == "const":
            count, noise = 1, Noise(generators=[torch.Generator().manual_seed(self.index)])
        return noise.draw(count, x.shape[2], x.shape[3], x.device)

    def _grow(self, x: Tensor) -> Tensor:
        if self.spec.growing == "shuffle":
            x = F.pixel_shuffle(F.silu(self.shuffle(x)), 2)
        elif self.spec.growing == "bilinear":
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        else:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        return blur(x) if self.spec.blurred else x


class Lightweight(Unmapped):
    """A generator of lucidrains' lightweight-gan.

    Args:
        spec: its shapes.
    """

    family = "lightweight"

    def __init__(self, spec: LightweightSpec) -> None:
        super().__init__()
        self.spec: LightweightSpec = spec
        self.start = nn.ConvTranspose2d(spec.z_dim, 2 * spec.z_dim, 4)
        self.blocks = nn.ModuleList([Block(spec, i) for i in range(len(spec.widths))])
        self.out = nn.Conv2d(spec.widths[-1], spec.img_channels, 3, padding=1)

    @property
    def working_bytes(self) -> int:
        """In float32, three copies of the widest features that grow and of their gates."""
        pairs = pairwise((self.spec.z_dim, *self.spec.widths))
        sizes = [(a + 2 * b) * (8 << i) ** 2 for i, (a, b) in enumerate(pairs)]
        return 4 * 3 * max(sizes)

    def synthesize(self, ws: Tensor, look: Look) -> Tensor:
        """`ws [n, 1, z_dim]` to pictures `[n, img_channels, h, w]`, about -1..1."""
        x = F.glu(self.start(ws[:, 0, :, None, None]), dim=1)
        x = F.normalize(x, dim=1)
        x = x.contiguous(memory_format=torch.channels_last)  # 1.6 times as fast on a CPU
        weights: dict[int, Tensor] = {}
        for index, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            x = block(x, look.noise)
            later = self.spec.excited(index)
            if later is not None:
                weights[later] = block.excite(x)
            if index in weights:
                x = x * weights[index]
        return self.out(x).float() * 2 - 1
