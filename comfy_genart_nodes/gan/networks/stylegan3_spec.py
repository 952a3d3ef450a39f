"""What decides a StyleGAN3: its settings, and the band of frequencies each layer keeps."""

import math
from dataclasses import dataclass

from .sizes import check_choice, check_sizes


@dataclass(frozen=True)
class Band:
    """Sampling and frequencies of one layer's result; all rates are per side of the picture.

    Attributes:
        size: pixels along a side, margin included.
        channels: channels.
        rate: samples along the picture's side, a power of two (or the resolution's next).
        cutoff: highest frequency that is kept.
        half_width: half of the filter's transition band.
    """

    size: int
    channels: int
    rate: int
    cutoff: float
    half_width: float


@dataclass(frozen=True)
class StyleGAN3Spec:
    """Everything that decides the shapes and results of a StyleGAN3 generator.

    The defaults are configuration T (translation); R (rotation) has `conv_kernel` 1,
    `use_radial_filters` and twice the channels (arXiv 2106.12423, section 3 and appendix C).

    Attributes:
        resolution: side of the square picture.
        z_dim: length of z.
        w_dim: length of w.
        c_dim: number of classes, 0 for none.
        img_channels: channels of the picture.
        channel_base: a layer of cutoff f has `channel_base / (2 f)` channels, ...
        channel_max: ... at most this many.
        mapping_layers: layers of the mapping network.
        num_layers: layers between Fourier features and RGB.
        num_critical: how many of the last ones are critically sampled.
        first_cutoff: cutoff of the first layer.
        first_stopband: least stopband of the first layer.
        last_stopband_rel: least stopband of the last layer, in cutoffs.
        margin_size: pixels kept beyond each edge of the picture.
        output_scale: factor on the picture.
        conv_kernel: side of the convolutions, 3 or 1.
        filter_size: filter taps for each pixel of the coarser side.
        lrelu_upsampling: how much finer the leaky ReLU is sampled.
        use_radial_filters: downsample by filters that look the same in every direction.
        conv_clamp: greatest magnitude after the leaky ReLU, 0 for any.
    """

    resolution: int = 256
    z_dim: int = 512
    w_dim: int = 512
    c_dim: int = 0
    img_channels: int = 3
    channel_base: int = 32768
    channel_max: int = 512
    mapping_layers: int = 2
    num_layers: int = 14
    num_critical: int = 2
    first_cutoff: float = 2.0
    first_stopband: float = 2**2.1
    last_stopband_rel: float = 2**0.3
    margin_size: int = 10
    output_scale: float = 0.25
    conv_kernel: int = 3
    filter_size: int = 6
    lrelu_upsampling: int = 2
    use_radial_filters: bool = False
    conv_clamp: float = 256.0

    def __post_init__(self) -> None:
        limits: dict[str, tuple[float, float]] = {
            "resolution": (16, 2048),
            "z_dim": (1, 1 << 16),
            "w_dim": (1, 1 << 16),
            "c_dim": (0, 1 << 20),
            "img_channels": (1, 1 << 10),
            "channel_base": (1, 1 << 20),
            "channel_max": (1, 1 << 14),
            "mapping_layers": (1, 64),
            "num_layers": (2, 64),
            "num_critical": (0, self.num_layers - 1),
            "first_cutoff": (0.25, self.resolution / 4),
            "first_stopband": (self.first_cutoff, self.resolution),
            "last_stopband_rel": (1, 4),
            "margin_size": (0, 64),
            "output_scale": (1e-6, 1e6),
            "filter_size": (1, 32),
            "lrelu_upsampling": (1, 8),
            "conv_clamp": (0, 1e6),
        }
        check_sizes("A StyleGAN3", self, limits)
        check_choice("A StyleGAN3", self, "conv_kernel", (1, 3))

    @property
    def num_ws(self) -> int:
        """Number of copies of w that synthesis takes: input, layers, RGB."""
        return self.num_layers + 2

    def bands(self) -> list[Band]:
        """The results of all `num_layers + 1` layers, RGB the last.

        Cutoffs and stopbands rise geometrically until the critically sampled layers, where they
        stay (appendix C.1). The Fourier features share the first layer's band.
        """
        last_cutoff = self.resolution / 2
        last_stopband = last_cutoff * self.last_stopband_rel
        rising = self.num_layers - self.num_critical
        found = []
        for i in range(self.num_layers + 1):
            t = min(i / rising, 1.0)
            cutoff = self.first_cutoff * (last_cutoff / self.first_cutoff) ** t
            stopband = self.first_stopband * (last_stopband / self.first_stopband) ** t
            rate = 2 ** math.ceil(math.log2(min(2 * stopband, self.resolution)))
            inside = i >= self.num_layers - 1
            size = self.resolution if inside else rate + 2 * self.margin_size
            channels = round(min(self.channel_base / 2 / cutoff, self.channel_max))
            if i == self.num_layers:
                channels = self.img_channels
            half_width = max(stopband, rate / 2) - cutoff
            found.append(Band(size, max(channels, 1), rate, cutoff, half_width))
        return found
