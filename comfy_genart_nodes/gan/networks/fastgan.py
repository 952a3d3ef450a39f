"""The FastGAN generator (Liu et al. 2021, arXiv 2101.04775), for a few hundred pictures or fewer.

z grows through upsampling convolutions with batch normalisation and gated linear units; features of
a low resolution decide which channels of one sixteen times as large count (skip-layer excitation).
Modules bear the names that its files use; their spectral normalisation is folded into the weights
when a file is read.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import GenartError
from .dcgan import draw_weights
from .gate import Gate
from .generator import Look, Noise
from .layers import at_least_single
from .neighbour_norm import NeighbourNorm
from .sizes import check_sizes
from .unmapped import Unmapped, UnmappedSpec

SMALL = 128  # side of the second, smaller picture


@dataclass(frozen=True)
class FastGANSpec(UnmappedSpec):
    """Everything that decides the shapes of a FastGAN generator.

    Attributes:
        widths: channels at side 4, 8, ... and the picture's.
        z_dim: length of z.
        img_channels: channels of the picture.
        tanh: the picture is squashed into -1..1; else it is taken as it comes.
    """

    widths: tuple[int, ...] = (1024, 512, 256, 128, 128, 64, 32)
    z_dim: int = 256
    img_channels: int = 3
    tanh: bool = False

    def __post_init__(self) -> None:
        if not 5 <= len(self.widths) <= 9:
            raise GenartError(
                "A FastGAN makes pictures of side 64, 128, 256, 512 or 1024 and needs a width for "
                f"each side from 4 on, not {len(self.widths)} of them."
            )
        sizes = dict.fromkeys(("widths", "z_dim", "img_channels"), (1, 1 << 14))
        check_sizes("A FastGAN", self, sizes)

    @property
    def resolution(self) -> int:
        """Side of the picture."""
        return 2 << len(self.widths)


def convolve_doubled(x: Tensor, weight: Tensor) -> Tensor:
    """Repeat every pixel 2x2 and convolve, `[n, c, h, w] -> [n, k, 2h, 2w]`.

    A transposed convolution with the 4x4 kernel that both make together has 4 products a pixel
    instead of 9: half the time, except of few pixels, where making the kernel costs more.

    Args:
        x: [n, c, h, w].
        weight: [k, c, 3, 3].
    """
    if x.shape[2] * x.shape[3] < 32 * 32:
        return F.conv2d(F.interpolate(x, scale_factor=2), weight, padding=1)
    padded = F.pad(weight, (1, 1, 1, 1)).flip(2, 3)
    both = 4 * F.avg_pool2d(padded, 2, stride=1)  # [k, c, 4, 4]
    return F.conv_transpose2d(x, both.transpose(0, 1), stride=2, padding=1)


class DoublingConv(nn.Conv2d):
    """A 3x3 convolution of twice the side."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`[n, c_in, h, w]` to `[n, c_out, 2h, 2w]`."""
        return convolve_doubled(x, self.weight)


class AddNoise(nn.Module):
    """Normal noise, the same for all channels, of a learned strength.

    FastGAN itself draws it anew for every picture. Here that is the mode "random"; "const" draws it
    from a fixed seed, so that the pictures of an animation share it.

    Args:
        seed: of the constant noise.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.seed = seed

    def forward(self, x: Tensor, noise: Noise) -> Tensor:
        """`[n, c, h, w]` to the same."""
        if noise.mode == "none":
            return x
        count, _, height, width = x.shape
        if noise.mode == "random":
            drawn = noise.draw(count, height, width, x.device)
        else:
            generator = torch.Generator().manual_seed(self.seed)
            drawn = torch.randn(1, 1, height, width, generator=generator).to(x.device)
        return x + (drawn * (self.weight * noise.strength)).to(x.dtype)


class Block(nn.Sequential):
    """Twice the side; with noise and a second convolution at every other side.

    Args:
        c_in: channels in.
        c_out: channels out.
        side: of the result.
    """

    def __init__(self, c_in: int, c_out: int, side: int) -> None:
        wide = 2 * c_out  # the gate takes half of them
        self.full = side.bit_length() % 2 == 0  # 8, 32, 128, 512
        layers: list[nn.Module] = [nn.Identity(), DoublingConv(c_in, wide)]
        if self.full:
            layers += [AddNoise(side), NeighbourNorm(wide), Gate()]
            layers += [nn.Conv2d(c_out, wide, 3, padding=1, bias=False), AddNoise(side + 1)]
        layers += [NeighbourNorm(wide), Gate()]
        super().__init__(*layers)

    def forward(self, x: Tensor, noise: Noise) -> Tensor:  # type: ignore[override]
        """`[n, c_in, h, w]` to `[n, c_out, 2h, 2w]`."""
        for layer in self:
            x = layer(x, noise) if isinstance(layer, AddNoise) else layer(x)
        return x


class Excitation(nn.Module):
    """Features of a low resolution weigh the channels of a high one.

    Args:
        c_low: channels of the low resolution.
        c_high: channels of the high one.
    """

    def __init__(self, c_low: int, c_high: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.AdaptiveAvgPool2d(4),
            nn.Conv2d(c_low, c_high, 4, bias=False),
            nn.SiLU(),
            nn.Conv2d(c_high, c_high, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """`low [n, c_low, h, w]`, `high [n, c_high, 16h, 16w]` to the latter's shape."""
        return high * self.main(low)


class Start(nn.Module):
    """z to the first features.

    Args:
        z_dim: length of z.
        channels: channels out.
    """

    def __init__(self, z_dim: int, channels: int) -> None:
        super().__init__()
        self.init = nn.Sequential(
            nn.ConvTranspose2d(z_dim, 2 * channels, 4, bias=False),
            NeighbourNorm(2 * channels),
            Gate(),
        )

    def forward(self, z: Tensor) -> Tensor:
        """`[n, z_dim]` to `[n, channels, 4, 4]`."""
        x = self.init(z[:, :, None, None])
        return x.contiguous(memory_format=torch.channels_last)  # twice as fast on a CPU


class FastGAN(Unmapped):
    """A FastGAN generator.

    Args:
        spec: its shapes.
    """

    family = "fastgan"

    def __init__(self, spec: FastGANSpec) -> None:
        super().__init__()
        self.spec: FastGANSpec = spec
        width = {4 << i: width for i, width in enumerate(spec.widths)}
        self.init = Start(spec.z_dim, width[4])
        self.sides = list(width)[1:]
        for side in self.sides:
            setattr(self, f"feat_{side}", Block(width[side // 2], width[side], side))
            if 64 <= side <= 512:
                setattr(self, f"se_{side}", Excitation(width[side // 16], width[side]))
        if spec.resolution > SMALL:
            self.to_128 = nn.Conv2d(width[SMALL], spec.img_channels, 1, bias=False)
        self.to_big = nn.Conv2d(width[spec.resolution], spec.img_channels, 3, padding=1, bias=False)

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights as a DCGAN's."""
        draw_weights(self, generator)

    @property
    def working_bytes(self) -> int:
        """The largest features before their gate, three times, in float32."""
        sides = enumerate(self.spec.widths)
        return 3 * max(4 * 2 * width * (4 << i) ** 2 for i, width in sides)

    def forward(self, z: Tensor, noise: Noise) -> list[Tensor]:
        """`z [n, z_dim]` to pictures: of the full side and, where that is larger, of side 128.

        Training shows both to the discriminator.
        """
        x = self.init(z)
        features = {4: x}
        for side in self.sides:
            x = getattr(self, f"feat_{side}")(x, noise)
            if 64 <= side <= 512:
                x = getattr(self, f"se_{side}")(features[side // 16], x)
            features[side] = x
        pictures = [self.to_big(x)]
        if self.spec.resolution > SMALL:
            pictures.append(self.to_128(features[SMALL]))
        return [at_least_single(x.tanh() if self.spec.tanh else x) for x in pictures]

    def synthesize(self, ws: Tensor, look: Look) -> Tensor:
        """`ws [n, 1, z_dim]` to pictures `[n, img_channels, h, w]`, about -1..1."""
        return self(ws[:, 0], look.noise)[0]
