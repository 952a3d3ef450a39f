"""The StyleGAN2 generator (Karras et al. 2020, arXiv 1912.04958), with ADA's label input.

z -> mapping -> w, one copy a layer -> synthesis: modulated convolutions on a learned constant.
Modulation scales the activations before an ordinary convolution and the result after it, which is
the paper's weight (de)modulation with the batch left whole. Gains are positive and leaky ReLU lets
them pass, so that they ride on the demodulation.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import filters, winograd_tiles
from .canvas import Window, windows
from .convolving import convolve
from .generator import Generator, Look, Noise
from .layers import SLOPE, Conv, Linear, full_precision, reuse
from .mapping import Mapping
from .stylegan2_spec import StyleGAN2Spec, resolutions

# So many rows beyond a strip decide its picture: a block's upsampling convolution reaches one row,
# its second half a row, and 3 is what suffices for r = ceil((r + 1) / 2) + 1.
_REACH = 3
_LOWEST_STRIP = 32  # rows, so that those beyond cost little
_STRIP_BYTES = {"cpu": 24 << 20, "other": 1 << 30}


class StyledConv(nn.Module):
    """3x3 convolution modulated by w, then noise, bias and leaky ReLU.

    Args:
        c_in: channels in.
        c_out: channels out.
        w_dim: length of w.
        side: side of the result.
        up: double the side.
        clamp: largest magnitude of the result before `gain`; 0 for no limit.
    """

    noise_const: Tensor

    def __init__(
        self, c_in: int, c_out: int, w_dim: int, side: int, up: bool, clamp: float = 0.0
    ) -> None:
        super().__init__()
        self.affine = Linear(w_dim, c_in, bias=1.0)
        self.weight = nn.Parameter(torch.empty(c_out, c_in, 3, 3))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.bias = nn.Parameter(torch.zeros(c_out))
        self.register_buffer("noise_const", torch.empty(side, side))
        self.side, self.up, self.clamp = side, up, clamp

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights and the constant noise."""
        nn.init.normal_(self.weight, generator=generator)
        nn.init.normal_(self.noise_const, generator=generator)

    def arrange(self) -> None:
        """Let the kernel lie in memory as its convolution takes it: channels last there, too."""
        if self.up:
            swapped = self.weight.data.transpose(0, 1)
            swapped = swapped.contiguous(memory_format=torch.channels_last)
            self.weight.data = swapped.transpose(0, 1)

    def forward(
        self, x: Tensor, w: Tensor, noise: Noise, window: Window | None = None, gain: float = 1.0
    ) -> Tensor:
        """`x [n, c_in, h, w]`, `w [n, w_dim]` -> `[n, c_out, rows, width]` of the window."""
        window = window or Window(self.side, self.side, self.side)
        # The weights' own scale rides on the styles, of which there are fewer; [n, c_in].
        style = self.affine(w) / math.sqrt(self.weight[0].numel())
        limit = self.clamp * gain
        gain *= math.sqrt(2)  # leaky ReLU's
        # Demodulation: the expected norm of the modulated weights, [n, c_out].
        with full_precision(x):
            power = style.square() @ self._squares()
            scale = (power + 1e-8).rsqrt() * gain
        x = self._convolve(x * style[:, :, None, None].to(x.dtype), self.weight, window)
        bias = (self.bias * gain)[:, None, None].to(x.dtype)
        x = torch.addcmul(bias, x, scale[:, :, None, None].to(x.dtype), out=reuse(x))
        if noise.mode != "none":
            if noise.mode == "random":
                drawn = noise.draw(len(x), window.height, window.width, x.device)
                drawn = window.cut(drawn)
            else:
                drawn = window.fill(self.noise_const)
            drawn = drawn.to(torch.promote_types(drawn.dtype, x.dtype))  # float64 stays whole
            drawn = drawn * (self.noise_strength * (noise.strength * gain))
            x += drawn.to(x.dtype)
        x = F.leaky_relu(x, SLOPE, inplace=True)
        return torch.clamp(x, -limit, limit, out=reuse(x)) if limit else x

    def _squares(self) -> Tensor:
        """The squares of the kernel summed over places, `[c_in, c_out]`, in the kernel's order."""
        if self.up:
            return self.weight.transpose(0, 1).square().sum(dim=(2, 3))
        return self.weight.square().sum(dim=(2, 3)).t()

    def _convolve(self, x: Tensor, weight: Tensor, window: Window) -> Tensor:
        if self.up:
            return window.crop(filters.convolve_upsampled(x, weight))
        if winograd_tiles.pays(x, weight):
            return winograd_tiles.convolve(x, weight, padding=1)
        return convolve(x, weight, padding=1)


class ToRGB(nn.Module):
    """1x1 modulated convolution without demodulation: features to a picture."""

    def __init__(self, c_in: int, img_channels: int, w_dim: int, clamp: float = 0.0) -> None:
        super().__init__()
        self.affine = Linear(w_dim, c_in, bias=1.0)
        self.weight = nn.Parameter(torch.empty(img_channels, c_in, 1, 1))
        self.bias = nn.Parameter(torch.zeros(img_channels))
        self.clamp = clamp

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights."""
        nn.init.normal_(self.weight, generator=generator)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """`x [n, c_in, h, w]`, `w [n, w_dim]` -> `[n, img_channels, h, w]`, float32."""
        style = self.affine(w) / math.sqrt(self.weight.shape[1])
        # So few channels come out that here the weights are scaled, [n, img_channels, c_in].
        weight = self.weight.flatten(1) * style[:, None]
        # Channels last, so that the gradient comes back in the order of the features.
        pixels, weight = x.permute(0, 2, 3, 1).flatten(1, 2), weight.mT.to(x.dtype)
        y = torch.baddbmm(self.bias.to(x.dtype), pixels, weight).to(self.weight.dtype)
        y = y.mT.unflatten(2, x.shape[2:])
        return torch.clamp(y, -self.clamp, self.clamp) if self.clamp else y


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
        clamp = spec.conv_clamp
        if first:
            self.const = nn.Parameter(torch.empty(c_out, side, side))
        else:
            self.conv0 = StyledConv(c_in, c_out, spec.w_dim, side, up=True, clamp=clamp)
        self.conv1 = StyledConv(c_out, c_out, spec.w_dim, side, up=False, clamp=clamp)
        self.has_rgb = last or spec.architecture == "skip"
        if self.has_rgb:
            self.torgb = ToRGB(c_out, spec.img_channels, spec.w_dim, clamp)
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
        self, x: Tensor | None, img: Tensor | None, ws: Tensor, noise: Noise, window: Window
    ) -> tuple[Tensor, Tensor | None]:
        """`ws [n, num_convs + 1, w_dim]` -> features and picture so far, in the window."""
        if x is None:
            x = window.fill(self.const).expand(len(ws), -1, -1, -1)
            if x.device.type == "cpu":  # the order of channels its kernels are fastest in
                x = x.contiguous(memory_format=torch.channels_last)
            x = self.conv1(x, ws[:, 0], noise, window)
        elif self.residual:
            half = math.sqrt(0.5)
            y = window.crop(self.skip(x, half))
            x = self.conv0(x, ws[:, 0], noise, window)
            x = self.conv1(x, ws[:, 1], noise, window, gain=half)
            x = torch.add(x, y, out=reuse(x))
        else:
            x = self.conv0(x, ws[:, 0], noise, window)
            x = self.conv1(x, ws[:, 1], noise, window)
        if img is not None:
            img = window.crop(filters.upsample(img))
        if self.has_rgb:
            rgb = self.torgb(x, ws[:, self.num_convs])
            img = rgb if img is None else rgb + img
        return x, img


class Synthesis(nn.Module):
    """w+ to a picture."""

    def __init__(self, spec: StyleGAN2Spec) -> None:
        super().__init__()
        self.sides = resolutions(spec.resolution)
        for side in self.sides:
            block = SynthesisBlock(spec, side, side == self.sides[0], side == self.sides[-1])
            setattr(self, f"b{side}", block)

    def forward(self, ws: Tensor, noise: Noise, canvas: tuple[int, int] | None = None) -> Tensor:
        """`ws [n, num_ws, w_dim]` -> `[n, img_channels, *canvas]`, float32.

        Raises:
            GenartError: when the canvas is too small or too large.
        """
        return self._blocks(windows(self.sides, canvas), None, None, ws, noise)

    def _blocks(
        self, left: list[Window], x: Tensor | None, img: Tensor | None, ws: Tensor, noise: Noise
    ) -> Tensor:
        """The blocks that are left, on features and picture so far and the w left for them."""
        while left:
            window, *left = left
            if x is not None and len(x) > 1 and _one_by_one(x):
                pictures = []
                for i, one in enumerate(x.split(1)):
                    own = None if img is None else img[i : i + 1]
                    rest = [window, *left]
                    pictures.append(self._blocks(rest, one, own, ws[i : i + 1], noise.pick(i)))
                return torch.cat(pictures)
            block = getattr(self, f"b{window.side}")
            if x is not None and _too_large(x, block):
                return self._strips([window, *left], x, img, ws, noise)
            x, img = block(x, img, ws[:, : block.num_convs + 1], noise, window)
            ws = ws[:, block.num_convs :]
        assert img is not None
        return img

    def _strips(
        self, left: list[Window], x: Tensor, img: Tensor | None, ws: Tensor, noise: Noise
    ) -> Tensor:
        """As `_blocks`, the upper half of the rows first, then the lower."""
        rows = x.shape[2]
        pictures = []
        for start, stop, own in ((0, rows // 2, noise.twin()), (rows // 2, rows, noise)):
            first, end = max(start - _REACH, 0), min(stop + _REACH, rows)
            windows = [w.strip(first << i, end << i) for i, w in enumerate(left, 1)]
            half = None if img is None else img[:, :, first:end]
            picture = self._blocks(windows, x[:, :, first:end], half, ws, own)
            scale = 1 << len(left)
            pictures.append(picture[:, :, (start - first) * scale : (stop - first) * scale])
        return torch.cat(pictures, dim=2)


def _too_large(x: Tensor, block: SynthesisBlock) -> bool:
    """Whether the features that a block makes of one picture's `x` are to be made in strips.

    A CPU is slow beyond its cache and slower on memory that the system maps anew, as it does with
    tensors of 32 MB; elsewhere a wide canvas could fill the memory.
    """
    if len(x) > 1 or reuse(x) is None or x.shape[2] < 2 * _LOWEST_STRIP:
        return False
    most = _STRIP_BYTES["cpu" if x.device.type == "cpu" else "other"]
    return 4 * x[0, 0].numel() * len(block.conv1.bias) * x.element_size() > most


def _one_by_one(x: Tensor) -> bool:
    """Whether the blocks after features `x` are quicker picture by picture.

    On a CPU they are where one picture's features fill its cache: by a fifth, and in a quarter of
    the memory for a batch of four.
    """
    return x.device.type == "cpu" and reuse(x) is not None and x[0, 0].numel() >= 64**2


class StyleGAN2(Generator):
    """A StyleGAN2 generator: `mapping` and `synthesis`.

    Args:
        spec: its shapes.
    """

    family = "stylegan2"
    stretchable = True

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

    def track(self, w: Tensor) -> None:
        """The mapping network holds the mean."""
        self.mapping.track(w)

    def synthesize(self, ws: Tensor, look: Look) -> Tensor:
        """`ws [n, num_ws, w_dim]` to pictures `[n, img_channels, h, w]`, about -1..1."""
        return self.synthesis(ws, look.noise, look.frame.canvas)
