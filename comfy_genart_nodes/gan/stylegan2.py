"""The StyleGAN2 generator (Karras et al. 2020, arXiv 1912.04958), with ADA's label input.

z -> mapping -> w, one copy a layer -> synthesis: modulated convolutions on a learned constant.
Modulation scales the activations before an ordinary convolution and the result after it, which is
the paper's weight (de)modulation with the batch left whole.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import GenartError
from . import filters
from .layers import Conv, Linear, full_precision, leaky_relu, normalize
from .spec import StyleGAN2Spec, resolutions

NoiseMode = Literal["const", "random", "none"]


class Mapping(nn.Module):
    """z (and a class) to w; remembers the mean of w for truncation.

    Args:
        z_dim: length of z; 0 for the discriminator's mapping of the class alone.
        c_dim: number of classes.
        w_dim: length of w.
        layers: fully connected layers.
    """

    w_avg: Tensor

    def __init__(self, z_dim: int, c_dim: int, w_dim: int, layers: int) -> None:
        super().__init__()
        self.z_dim, self.c_dim, self.layers = z_dim, c_dim, layers
        width = z_dim
        if c_dim:
            self.embed = Linear(c_dim, w_dim)
            width += w_dim
        for i in range(layers):
            setattr(self, f"fc{i}", Linear(width, w_dim, rate=0.01, activate=True))
            width = w_dim
        if z_dim:
            self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Tensor | None, classes: Tensor | None = None) -> Tensor:
        """Map `z [n, z_dim]` and one-hot or blended `classes [n, c_dim]` to `w [n, w_dim]`."""
        parts = [] if z is None else [normalize(z.float())]
        if self.c_dim:
            if classes is None:
                raise GenartError(f"This network has {self.c_dim} classes: say which one to make.")
            parts.append(normalize(self.embed(classes.float())))
        x = torch.cat(parts, dim=1)
        for i in range(self.layers):
            x = getattr(self, f"fc{i}")(x)
        return x

    def track(self, w: Tensor, beta: float = 0.995) -> None:
        """Move the remembered mean towards that of `w [n, w_dim]`."""
        self.w_avg.copy_(w.detach().float().mean(dim=0).lerp(self.w_avg, beta))


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
        noise_mode: NoiseMode,
        generators: list[torch.Generator] | None,
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
        if noise_mode == "const":
            x = x + (self.noise_const * self.noise_strength).to(x.dtype)
        elif noise_mode == "random":
            x = x + (self._random(x, generators) * self.noise_strength).to(x.dtype)
        return leaky_relu(x + self.bias[:, None, None].to(x.dtype)) * gain

    def _random(self, x: Tensor, generators: list[torch.Generator] | None) -> Tensor:
        """Normal noise `[n, 1, side, side]`, a generator a picture (one for all: in turn)."""
        if not generators:
            raise ValueError("random noise needs generators")
        if len(generators) == 1:
            drawn = torch.randn(len(x), 1, self.side, self.side, generator=generators[0])
        else:
            shape = (1, 1, self.side, self.side)
            drawn = torch.cat([torch.randn(shape, generator=g) for g in generators])
        return drawn.to(x.device)


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
        noise_mode: NoiseMode,
        generators: list[torch.Generator] | None,
    ) -> tuple[Tensor, Tensor | None]:
        """`ws [n, num_convs + 1, w_dim]` -> features and picture so far."""
        if x is None:
            x = self.conv1(self.const.expand(len(ws), -1, -1, -1), ws[:, 0], noise_mode, generators)
        elif self.residual:
            half = math.sqrt(0.5)
            y = self.skip(x) * half
            x = self.conv0(x, ws[:, 0], noise_mode, generators)
            x = y + self.conv1(x, ws[:, 1], noise_mode, generators, gain=half)
        else:
            x = self.conv0(x, ws[:, 0], noise_mode, generators)
            x = self.conv1(x, ws[:, 1], noise_mode, generators)
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

    def forward(
        self,
        ws: Tensor,
        noise_mode: NoiseMode = "const",
        generators: list[torch.Generator] | None = None,
    ) -> Tensor:
        """Make pictures.

        Args:
            ws: [n, num_ws, w_dim].
            noise_mode: the network's own noise, fresh noise, or none.
            generators: for fresh noise; one a picture, or one for the whole batch.

        Returns:
            [n, img_channels, resolution, resolution], about -1..1, float32.
        """
        x: Tensor | None = None
        img: Tensor | None = None
        used = 0
        for side in self.sides:
            block = getattr(self, f"b{side}")
            own = ws[:, used : used + block.num_convs + 1]
            x, img = block(x, img, own, noise_mode, generators)
            used += block.num_convs
        assert img is not None
        return img


class Generator(nn.Module):
    """A StyleGAN2 generator: `mapping` and `synthesis`.

    Args:
        spec: its shapes.
    """

    def __init__(self, spec: StyleGAN2Spec) -> None:
        super().__init__()
        self.spec = spec
        self.mapping = Mapping(spec.z_dim, spec.c_dim, spec.w_dim, spec.mapping_layers)
        self.synthesis = Synthesis(spec)
