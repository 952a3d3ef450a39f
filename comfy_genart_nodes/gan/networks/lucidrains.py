"""The generator of lucidrains' stylegan2-pytorch: StyleGAN2 as its author retold it.

It departs from the paper (arXiv 1912.04958) in most details: no equalised learning rate, features
and pictures grow bilinearly, the picture is blurred with [1, 2, 1] after it has grown, one noise
picture, uniform in 0..1, is cropped to every side, a block has one w, and blocks may begin with
attention. Its pictures lie in 0..1; here, as everywhere in this pack, in -1..1.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import GenartError
from .generator import Generator, Look, Noise
from .layers import full_precision
from .lucidrains_layers import Attention, ChannelNorm, blur
from .mapping import follow
from .sizes import check_sizes

_SLOPE = 0.2


@dataclass(frozen=True)
class LucidrainsSpec:
    """Everything that decides the shapes of this generator.

    Attributes:
        z_dim: length of z and of w.
        mapping_layers: layers of the mapping network.
        widths: channels of each block; the first has side 4, each later one the double.
        img_channels: 3, or 4 with transparency.
        constant: begin with a learned constant; else the mean of w makes the beginning.
        blurred: the picture is blurred after it has grown (since version 1.1).
        attention: the blocks, counted from 0, that begin with attention.
    """

    z_dim: int = 512
    mapping_layers: int = 8
    widths: tuple[int, ...] = (512, 512, 512, 256, 128, 64, 32)
    img_channels: int = 3
    constant: bool = True
    blurred: bool = True
    attention: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 2 <= len(self.widths) <= 10:
            raise GenartError(
                "A StyleGAN2 of lucidrains makes pictures of side 8, 16, ... 2048 and needs a "
                f"width for each side from 4 on, not {len(self.widths)} of them."
            )
        limits = {
            "z_dim": (1, 1 << 13),
            "mapping_layers": (1, 64),
            "widths": (1, 1 << 13),
            "img_channels": (1, 16),
            "attention": (0, len(self.widths) - 1),
        }
        check_sizes("A StyleGAN2 of lucidrains", self, limits)

    @property
    def resolution(self) -> int:
        """Side of the square picture."""
        return 4 << (len(self.widths) - 1)

    @property
    def w_dim(self) -> int:
        """Length of w."""
        return self.z_dim

    @property
    def c_dim(self) -> int:
        """Number of classes: none."""
        return 0

    @property
    def num_ws(self) -> int:
        """One w a block."""
        return len(self.widths)


class StyledConv(nn.Module):
    """3x3 convolution modulated by w, then noise and leaky ReLU.

    Args:
        c_in: channels in.
        c_out: channels out.
        w_dim: length of w.
    """

    def __init__(self, c_in: int, c_out: int, w_dim: int) -> None:
        super().__init__()
        self.affine = nn.Linear(w_dim, c_in)
        self.weight = nn.Parameter(torch.empty(c_out, c_in, 3, 3))
        self.noise_gain = nn.Parameter(torch.zeros(c_out))
        self.noise_bias = nn.Parameter(torch.zeros(c_out))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        """`x [n, c_in, h, w]`, `w [n, w_dim]`, `noise [n, 1, h, w]` -> `[n, c_out, h, w]`."""
        with full_precision(x):
            style = self.affine(w)
            power = style.square() @ self.weight.square().sum(dim=(2, 3)).t()
        x = F.conv2d(x * style[:, :, None, None].to(x.dtype), self.weight, padding=1)
        x = x * (power + 1e-8).rsqrt()[:, :, None, None].to(x.dtype)
        noise = noise * self.noise_gain[:, None, None] + self.noise_bias[:, None, None]
        return F.leaky_relu(x + noise.to(x.dtype), _SLOPE)


class ToRGB(nn.Module):
    """1x1 modulated convolution without demodulation: features to a picture."""

    def __init__(self, c_in: int, img_channels: int, w_dim: int) -> None:
        super().__init__()
        self.affine = nn.Linear(w_dim, c_in)
        self.weight = nn.Parameter(torch.empty(img_channels, c_in, 1, 1))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """`x [n, c_in, h, w]`, `w [n, w_dim]` -> `[n, img_channels, h, w]`, float32."""
        with full_precision(x):
            style = self.affine(w)
        return F.conv2d(x * style[:, :, None, None].to(x.dtype), self.weight).float()


class FeedForward(nn.Module):
    """Two 1x1 convolutions on normalised features, added to them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.widen = nn.Conv2d(channels, 2 * channels, 1)
        self.narrow = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`[n, c, h, w]` -> `[n, c, h, w]`."""
        return x + self.narrow(F.leaky_relu(self.widen(self.norm(x)), _SLOPE))


class Block(nn.Module):
    """The layers of one side: attention, growing, two convolutions, RGB.

    Args:
        spec: the network.
        index: which block, from 0.
    """

    def __init__(self, spec: LucidrainsSpec, index: int) -> None:
        super().__init__()
        c_in, c_out = spec.widths[max(index - 1, 0)], spec.widths[index]
        self.grows = index > 0
        self.attends = index in spec.attention
        if self.attends:
            self.attention = Attention(c_in, local=False)
            self.feed = FeedForward(c_in)
        self.conv1 = StyledConv(c_in, c_out, spec.w_dim)
        self.conv2 = StyledConv(c_out, c_out, spec.w_dim)
        self.rgb = ToRGB(c_out, spec.img_channels, spec.w_dim)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Features, `w [n, w_dim]` and the whole noise picture -> features and their picture."""
        if self.attends:
            x = self.feed(self.attention(x))
        if self.grows:
            x = _double(x)
        noise = noise[:, :, : x.shape[2], : x.shape[3]]
        x = self.conv2(self.conv1(x, w, noise), w, noise)
        return x, self.rgb(x, w)


class Lucidrains(Generator):
    """A generator of lucidrains' stylegan2-pytorch.

    Args:
        spec: its shapes.
    """

    family = "lucidrains"
    mean: Tensor

    def __init__(self, spec: LucidrainsSpec) -> None:
        super().__init__()
        self.spec: LucidrainsSpec = spec
        layers: list[nn.Module] = []
        for _ in range(spec.mapping_layers):
            layers += [nn.Linear(spec.z_dim, spec.w_dim), nn.LeakyReLU(_SLOPE)]
        self.mapping = nn.Sequential(*layers)
        self.register_buffer("mean", torch.zeros(spec.w_dim))
        first = spec.widths[0]
        if spec.constant:
            self.const = nn.Parameter(torch.empty(first, 4, 4))
        else:
            self.start = nn.ConvTranspose2d(spec.w_dim, first, 4, bias=False)
        self.conv = nn.Conv2d(first, first, 3, padding=1)
        self.blocks = nn.ModuleList([Block(spec, i) for i in range(spec.num_ws)])

    @property
    def w_avg(self) -> Tensor:
        """The mean of w `[w_dim]`."""
        return self.mean

    @property
    def working_bytes(self) -> int:
        """Some six float32 copies of the widest features."""
        sizes = [width * (4 << i) ** 2 for i, width in enumerate(self.spec.widths)]
        return 6 * 4 * 2 * max(sizes)  # a block grows before it narrows

    def map(self, z: Tensor, classes: Tensor | None = None) -> Tensor:
        """`z [n, z_dim]` to `w [n, w_dim]`; there are no classes."""
        return self.mapping(F.normalize(z.float(), dim=1))

    def track(self, w: Tensor) -> None:
        """Its files hold no mean: this pack's do."""
        follow(self.w_avg, w)

    def synthesize(self, ws: Tensor, look: Look) -> Tensor:
        """`ws [n, num_ws, w_dim]` to pictures `[n, img_channels, h, w]`, about -1..1.

        The noise is uniform in 0..1; its strength is that of its distance from one half, where it
        lies altogether in mode "none".
        """
        return self.paint(ws, _noise_picture(look.noise, len(ws), self.spec.resolution, ws.device))

    def paint(self, ws: Tensor, noise: Tensor) -> Tensor:
        """Synthesis with a noise picture given.

        Args:
            ws: [n, num_ws, w_dim].
            noise: [n or 1, 1, resolution, resolution], in 0..1.
        """
        if self.spec.constant:
            x = self.const.expand(len(ws), -1, -1, -1)
        else:
            x = self.start(ws.mean(dim=1)[:, :, None, None])
        x = self.conv(x).contiguous(memory_format=torch.channels_last)  # twice as fast on a CPU
        picture: Tensor | None = None
        for block, w in zip(self.blocks, ws.unbind(1), strict=True):
            if picture is not None:
                picture = _double(picture)
                picture = blur(picture) if self.spec.blurred else picture
            x, rgb = block(x, w, noise)
            picture = rgb if picture is None else picture + rgb
        assert picture is not None
        return picture * 2 - 1


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _noise_picture(noise: Noise, count: int, side: int, device: torch.device) -> Tensor:
    """Noise `[count or 1, 1, side, side]`, uniform in 0..1: normal noise by its own law."""
    if noise.mode == "none":
        return torch.full((1, 1, side, side), 0.5, device=device)
    source = noise
    if noise.mode == "const":  # the network has none of its own: one fixed draw
        count, source = 1, Noise(generators=[torch.Generator().manual_seed(0)])
    uniform = torch.special.ndtr(source.draw(count, side, side, device))
    return 0.5 + noise.strength * (uniform - 0.5)
