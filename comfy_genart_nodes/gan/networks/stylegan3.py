"""The StyleGAN3 generator, T and R (Karras et al. 2021, arXiv 2106.12423).

z -> mapping -> w, one copy a layer -> synthesis: Fourier features, then modulated convolutions
with filtered nonlinearities, none of which knows where the pixels lie. Modulation scales the
activations before an ordinary convolution and the result after it; the scaling rides on the copies
that the filters make anyway.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import winograd_tiles
from .filtered_lrelu import Filters, Geometry, filtered_lrelu
from .generator import Generator, Look
from .kaiser import lowpass, radial_lowpass
from .layers import Linear, full_precision
from .mapping import Mapping
from .stylegan3_spec import Band, StyleGAN3Spec

_SLOPE, _GAIN = 0.2, math.sqrt(2)


class Pose(Linear):
    """Cosine, sine, x and y from w; at rest in a new network."""

    def initialise(self, generator: torch.Generator) -> None:
        """Nothing turns, nothing moves."""
        nn.init.zeros_(self.weight)
        with torch.no_grad():
            self.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0]))


class Input(nn.Module):
    """Fourier features: waves whose phases and frequencies w and the user move and turn.

    Args:
        w_dim: length of w.
        band: which frequencies, and where they are sampled.
    """

    transform: Tensor
    freqs: Tensor
    phases: Tensor

    def __init__(self, w_dim: int, band: Band) -> None:
        super().__init__()
        self.band = band
        self.weight = nn.Parameter(torch.empty(band.channels, band.channels))
        self.affine = Pose(w_dim, 4)
        # Written out: torch.eye on the meta device imports the compiler, which takes seconds.
        identity = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        self.register_buffer("transform", identity)
        self.register_buffer("freqs", torch.empty(band.channels, 2))
        self.register_buffer("phases", torch.empty(band.channels))

    def initialise(self, generator: torch.Generator) -> None:
        """Draw weights, phases, and frequencies evenly from the disc of the band."""
        nn.init.normal_(self.weight, generator=generator)
        angle = torch.rand(len(self.phases), generator=generator) * (2 * math.pi)
        radius = torch.rand(len(self.phases), generator=generator).sqrt() * self.band.cutoff
        self.freqs.copy_(torch.stack([angle.cos() * radius, angle.sin() * radius], dim=1))
        self.phases.copy_(torch.rand(len(self.phases), generator=generator) - 0.5)

    def forward(self, w: Tensor, transform: Tensor | None) -> Tensor:
        """`w [n, w_dim]`, inverse `transform [3, 3]` -> `[n, channels, size, size]`, float32."""
        band = self.band
        with full_precision(w):
            user = self.transform if transform is None else transform
            moved = self._learned_transform(w) @ user.to(w.device, torch.float32)  # [n, 3, 3]
            freqs = self.freqs @ moved[:, :2, :2]  # [n, channels, 2]
            phases = self.phases + (self.freqs @ moved[:, :2, 2:]).squeeze(2)
            # What the user's transform pushes out of the band fades before it can alias.
            excess = (freqs.norm(dim=2) - band.cutoff) / (band.rate / 2 - band.cutoff)
            fading = (1 - excess).clamp(0, 1)
            place = (torch.arange(band.size, device=w.device) + 0.5 - band.size / 2) / band.rate
            along_x = freqs[:, :, 0, None, None] * place
            along_y = freqs[:, :, 1, None, None] * place[:, None]
            waves = along_x + along_y + phases[:, :, None, None]
            waves = (waves * (2 * math.pi)).sin() * fading[:, :, None, None]
            weight = self.weight / math.sqrt(band.channels)
            return torch.matmul(weight, waves.flatten(2)).view_as(waves)

    def _learned_transform(self, w: Tensor) -> Tensor:
        """Turn, then move, as w says: `[n, 3, 3]`."""
        t = self.affine(w)  # cos, sin, x, y; cos and sin at any length
        t = t / t[:, :2].norm(dim=1, keepdim=True)
        cos, sin, x, y = t.unbind(dim=1)
        zero, one = torch.zeros_like(x), torch.ones_like(x)
        turn = torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], dim=1)
        move = torch.stack([one, zero, -x, zero, one, -y, zero, zero, one], dim=1)
        return turn.view(-1, 3, 3) @ move.view(-1, 3, 3)


class Layer(nn.Module):
    """Modulated convolution, bias and filtered leaky ReLU.

    Args:
        spec: the network.
        index: which layer.
    """

    magnitude_ema: Tensor

    def __init__(self, spec: StyleGAN3Spec, index: int) -> None:
        super().__init__()
        bands = spec.bands()
        before, after = bands[max(index - 1, 0)], bands[index]
        kernel = spec.conv_kernel
        self.affine = Linear(spec.w_dim, before.channels, bias=1.0)
        self.weight = nn.Parameter(torch.empty(after.channels, before.channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(after.channels))
        self.register_buffer("magnitude_ema", torch.ones([]))

        fine = max(before.rate, after.rate) * spec.lrelu_upsampling
        up, down = fine // before.rate, fine // after.rate
        self.geometry = Geometry(
            size_in=before.size + kernel - 1,
            size_out=after.size,
            up=up,
            down=down,
            up_taps=spec.filter_size * up if up > 1 else 1,
            down_taps=spec.filter_size * down if down > 1 else 1,
        )
        critical = index >= spec.num_layers - spec.num_critical
        radial = spec.use_radial_filters and not critical
        # Those of a file replace them.
        self._design("up_filter", lowpass, self.geometry.up_taps, before, fine)
        down_design = radial_lowpass if radial else lowpass
        self._design("down_filter", down_design, self.geometry.down_taps, after, fine)
        self.clamp = spec.conv_clamp or math.inf

    def _design(
        self, name: str, design: Callable[..., Tensor], taps: int, band: Band, rate: int
    ) -> None:
        if taps > 1:
            self.register_buffer(name, design(taps, band.cutoff, 2 * band.half_width, rate))

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights."""
        nn.init.normal_(self.weight, generator=generator)

    def forward(self, x: Tensor, style: Tensor, after: Tensor) -> Tensor:
        """The layer, without the scaling of its input.

        Args:
            x: [n, c_in, h, w], already times `style`.
            style: [n, c_in], from `affine`.
            after: [n, c_out], what the next layer wants the result scaled by.
        """
        with full_precision(x):
            # Weights at unit variance; the expected norm of the modulated ones is divided out.
            weight = self.weight * self.weight.square().mean(dim=(1, 2, 3), keepdim=True).rsqrt()
            power = style.square() @ weight.square().sum(dim=(2, 3)).t()
            # The published epsilon holds for styles with a mean square of one.
            epsilon = 1e-8 * style.square().mean(dim=1, keepdim=True)
            before = (power + epsilon).rsqrt() * self.magnitude_ema.rsqrt()
        border = self.weight.shape[-1] - 1
        if winograd_tiles.pays(x, weight):
            x = winograd_tiles.convolve(x, weight, border)
        else:
            x = F.conv2d(x, weight, padding=border)
        scales = (before.to(x.dtype), self.bias.to(x.dtype), after.to(x.dtype))
        return filtered_lrelu(x, self._filters(x), *scales, _SLOPE, self.clamp)

    def _filters(self, x: Tensor) -> Filters:
        """As `x` wants them; with the gains of upsampling and leaky ReLU, which commutes."""
        one = x.new_ones(1)
        up, down = getattr(self, "up_filter", one), getattr(self, "down_filter", one)
        up = up * (self.geometry.up * math.sqrt(_GAIN))
        return Filters(
            self.geometry, up.to(x.dtype), down.flip(tuple(range(down.dim()))).to(x.dtype)
        )


class ToRGB(nn.Module):
    """1x1 modulated convolution without demodulation: features to a picture.

    Args:
        spec: the network.
    """

    magnitude_ema: Tensor

    def __init__(self, spec: StyleGAN3Spec) -> None:
        super().__init__()
        c_in = spec.bands()[-2].channels
        self.affine = Linear(spec.w_dim, c_in, bias=1.0)
        self.weight = nn.Parameter(torch.empty(spec.img_channels, c_in, 1, 1))
        self.bias = nn.Parameter(torch.zeros(spec.img_channels))
        self.register_buffer("magnitude_ema", torch.ones([]))
        self.clamp = spec.conv_clamp or math.inf

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights."""
        nn.init.normal_(self.weight, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """`x [n, c_in, h, w]`, already times the style -> `[n, img_channels, h, w]`, float32."""
        gain = self.magnitude_ema.rsqrt() / math.sqrt(self.weight.shape[1])
        y = F.conv2d(x, self.weight * gain).float()
        return (y + self.bias[:, None, None]).clamp(-self.clamp, self.clamp)


class Synthesis(nn.Module):
    """w+ to a picture."""

    def __init__(self, spec: StyleGAN3Spec) -> None:
        super().__init__()
        bands = spec.bands()
        self.output_scale = spec.output_scale
        self.input = Input(spec.w_dim, bands[0])
        self.names = [f"L{i}_{band.size}_{band.channels}" for i, band in enumerate(bands)]
        for i, name in enumerate(self.names[:-1]):
            setattr(self, name, Layer(spec, i))
        setattr(self, self.names[-1], ToRGB(spec))

    def forward(self, ws: Tensor, transform: Tensor | None) -> Tensor:
        """`ws [n, num_ws, w_dim]` -> `[n, img_channels, resolution, resolution]`, float32."""
        layers = [getattr(self, name) for name in self.names]
        styles = [layer.affine(w) for layer, w in zip(layers, ws[:, 1:].unbind(1), strict=True)]
        x = self.input(ws[:, 0], transform) * styles[0][:, :, None, None]
        for i, layer in enumerate(layers[:-1]):
            x = layer(x, styles[i], styles[i + 1])
        return layers[-1](x) * self.output_scale


class StyleGAN3(Generator):
    """A StyleGAN3 generator: `mapping` and `synthesis`. It has no noise.

    Args:
        spec: its shapes.
    """

    family = "stylegan3"
    movable = True

    def __init__(self, spec: StyleGAN3Spec) -> None:
        super().__init__()
        self.spec: StyleGAN3Spec = spec
        self.mapping = Mapping(spec.z_dim, spec.c_dim, spec.w_dim, spec.mapping_layers)
        self.synthesis = Synthesis(spec)

    @property
    def w_avg(self) -> Tensor:
        """The mean of w `[w_dim]`."""
        return self.mapping.w_avg

    @property
    def working_bytes(self) -> int:
        """Input, convolution and result of the largest layer, in float32."""
        return max(3 * 4 * band.channels * band.size**2 for band in self.spec.bands())

    def map(self, z: Tensor, classes: Tensor | None = None) -> Tensor:
        """`z [n, z_dim]` and `classes [n, c_dim]` to `w [n, w_dim]`."""
        return self.mapping(z, classes)

    def track(self, w: Tensor) -> None:
        """The mapping network holds the mean."""
        self.mapping.track(w)

    def synthesize(self, ws: Tensor, look: Look) -> Tensor:
        """`ws [n, num_ws, w_dim]` to pictures `[n, img_channels, h, w]`, about -1..1.

        `look.frame.transform` moves the content; the network takes its inverse, which says where
        in the original a pixel of the new picture lies.
        """
        transform = look.frame.transform
        if transform is not None:
            transform = torch.linalg.inv(transform.cpu().double()).float()
        return self.synthesis(ws.float(), transform)
