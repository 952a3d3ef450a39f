"""The StyleGAN2 generator (Karras et al. 2020, arXiv 1912.04958), with ADA's label input.

z -> mapping -> w, one copy a layer -> synthesis: modulated convolutions on a learned constant.
Modulation scales the activations before an ordinary convolution and the result after it, which is
the paper's weight (de)modulation with the batch left whole.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import filters
from .generator import Generator, Look, Noise
from .layers import Conv, Linear, full_precision, leaky_relu
from .mapping import Mapping
from .spec import StyleGAN2Spec, resolutions


class StyledConv(nn.Module):
    """3x3 convolution modulated by w, then noise, bias and leaky ReLU.

    Args:
        c_in: channels in.
        c_out: channels out.
        w_dim: length of w.
        side: side of the result.
        up: double the side.
    """

    noise_const: Tensor

    def __init__(self, c_in: int, c_out: int, w_dim: int, side: int, up: bool) -> None:
        super().__init__()
        self.affine = Linear(w_dim, c_in, bias=1.0)
        self.weight = nn.Parameter(torch.empty(c_out, c_in, 3, 3))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.bias = nn.Parameter(torch.zeros(c_out))
        self.register_buffer("noise_const", torch.empty(side, side))
        self.side, self.up = side, up

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights and the constant noise."""
        nn.init.normal_(self.weight, generator=generator)
        nn.init.normal_(self.noise_const, generator=generator)

    def forward(
        self,
        x: Tensor,
        w: Tensor,
        noise: Noise,
        gain: float = 1.0,
    ) -> Tensor:
        """`x [n, c_in, h, w]`, `w [n, w_dim]` -> `[n, c_out, side, side]`."""
        style = self.affine(w)  # [n, c_in]
        weight = self.weight / math.sqrt(self.weight[0].numel())
        # Demodulation: the expected norm of the modulated weights, [n, c_out].
        with full_precision(x):
            power = style.square() @ weight.square().sum(dim=(2, 3)).t()
            demodulation = (power + 1e-8).rsqrt()
        x = x * style[:, :, None, None].to(x.dtype)
        x = filters.convolve_upsampled(x, weight) if self.up else F.conv2d(x, weight, padding=1)
        x = x * demodulation[:, :, None, None].to(x.dtype)
        if noise.mode != "none":
            drawn = self.noise_const
            if noise.mode == "random":
                drawn = noise.draw(len(x), self.side, self.side, x.device)
            x = x + (drawn * (self.noise_strength * noise.strength)).to(x.dtype)
        return leaky_relu(x + self.bias[:, None, None].to(x.dtype)) * gain


class ToRGB(nn.Module):
    """1x1 modulated convolution without demodulation: features to a picture."""

    def __init__(self, c_in: int, img_channels: int, w_dim: int) -> None:
        super().__init__()
        self.affine = Linear(w_dim, c_in, bias=1.0)
        self.weight = nn.Parameter(torch.empty(img_channels, c_in, 1, 1))
        self.bias = nn.Parameter(torch.zeros(img_channels))

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights."""
        nn.init.normal_(self.weight, generator=generator)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """`x [n, c_in, h, w]`, `w [n, w_dim]` -> `[n, img_channels, h, w]`."""
        style = self.affine(w) / math.sqrt(self.weight.shape[1])
        x = x * style[:, :, None, None].to(x.dtype)
        return F.conv2d(x, self.weight, self.bias)


class SynthesisBlock(nn.Module):
    """The layers of one side: (upsampling) convolution, convolution, RGB.

    Args:
        spec: the network.
        side: side of the block's pictures.
        first: the block that holds the learned constant.
        last: the block whose RGB is always there.
    """

    def __init__(self, spec: StyleGAN2Spec, side: int, first: bool, last: bool) -> None:
        super().__init__()
        c_out, c_in = spec.channels(side), spec.channels(side // 2)
        self.first = first
        self.residual = spec.architecture == "resnet" and not first
        if first:
            self.const = nn.Parameter(torch.empty(c_out, side, side))
        else:
            self.conv0 = StyledConv(c_in, c_out, spec.w_dim, side, up=True)
        self.conv1 = StyledConv(c_out, c_out, spec.w_dim, side, up=False)
        self.has_rgb = last or spec.architecture == "skip"
        if self.has_rgb:
            self.torgb = ToRGB(c_out, spec.img_channels, spec.w_dim)
        if self.residual:
            self.skip = Conv(c_in, c_out, 1, resample="up", bias=False, activate=False)

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the constant."""
        if self.first:
            nn.init.normal_(self.const, generator=generator)

    @property
    def num_convs(self) -> int:
        """Convolutions, each with a w of its own."""
        return 1 if self.first else 2

    def forward(
        self,
        x: Tensor | None,
        img: Tensor | None,
        ws: Tensor,
        noise: Noise,
    ) -> tuple[Tensor, Tensor | None]:
        """`ws [n, num_convs + 1, w_dim]` -> features and picture so far."""
        if x is None:
            x = self.conv1(self.const.expand(len(ws), -1, -1, -1), ws[:, 0], noise)
        elif self.residual:
            half = math.sqrt(0.5)
            y = self.skip(x) * half
            x = self.conv0(x, ws[:, 0], noise)
            x = y + self.conv1(x, ws[:, 1], noise, gain=half)
        else:
            x = self.conv0(x, ws[:, 0], noise)
            x = self.conv1(x, ws[:, 1], noise)
        if img is not None:
            img = filters.upsample(img)
        if self.has_rgb:
            rgb = self.torgb(x, ws[:, self.num_convs]).float()
            img = rgb if img is None else img + rgb
        return x, img


class Synthesis(nn.Module):
    """w+ to a picture."""

    def __init__(self, spec: StyleGAN2Spec) -> None:
        super().__init__()
        self.sides = resolutions(spec.resolution)
        for side in self.sides:
            block = SynthesisBlock(spec, side, side == self.sides[0], side == self.sides[-1])
            setattr(self, f"b{side}", block)

    def forward(self, ws: Tensor, noise: Noise) -> Tensor:
        """`ws [n, num_ws, w_dim]` -> `[n, img_channels, resolution, resolution]`, float32."""
        x: Tensor | None = None
        img: Tensor | None = None
        used = 0
        for side in self.sides:
            block = getattr(self, f"b{side}")
            own = ws[:, used : used + block.num_convs + 1]
            x, img = block(x, img, own, noise)
            used += block.num_convs
        assert img is not None
        return img


class StyleGAN2(Generator):
    """A StyleGAN2 generator: `mapping` and `synthesis`.

    Args:
        spec: its shapes.
    """

    family = "stylegan2"
    has_noise = True

    def __init__(self, spec: StyleGAN2Spec) -> None:
        super().__init__()
        self.spec: StyleGAN2Spec = spec
        self.mapping = Mapping(spec.z_dim, spec.c_dim, spec.w_dim, spec.mapping_layers)
        self.synthesis = Synthesis(spec)

    @property
    def w_avg(self) -> Tensor:
        """The mean of w `[w_dim]`."""
        return self.mapping.w_avg

    @property
    def working_bytes(self) -> int:
        """Some six float32 copies of the last features."""
        side = self.spec.resolution
        return 6 * 4 * self.spec.channels(side // 2) * side**2

    def map(self, z: Tensor, classes: Tensor | None = None) -> Tensor:
        """`z [n, z_dim]` and `classes [n, c_dim]` to `w [n, w_dim]`."""
        return self.mapping(z, classes)

    def synthesize(self, ws: Tensor, look: Look) -> Tensor:
        """`ws [n, num_ws, w_dim]` to pictures `[n, img_channels, h, w]`, about -1..1."""
        return self.synthesis(ws, look.noise)
