"""StyleGAN3's nonlinearity: upsample, leaky ReLU, downsample (arXiv 2106.12423, section 2.2).

Each channel is filtered by itself: a transposed convolution with stride puts no zeros between the
samples, and a convolution with stride computes none that it throws away. In channels-last order
neighbouring channels fill the processor's vectors; a few of them at a time stay in its cache.
Separable filters run along one axis at a time; a radial one (12x12) is faster whole than as its
three separable terms.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .layers import reuse

# Of the upsampled channels a CPU takes so many bytes at a time, for separable and radial filters:
# what the cache holds, and little enough that the memory is used again, not mapped anew.
_BYTES = {1: 30 << 20, 2: 8 << 20}
_CHANNELS = 16  # but never fewer at a time


@dataclass(frozen=True)
class Geometry:
    """Sizes and factors of one filtered leaky ReLU; both axes are alike.

    Attributes:
        size_in: side of the input.
        size_out: side of the result.
        up: factor of upsampling.
        down: factor of downsampling.
        up_taps: length of the upsampling filter.
        down_taps: length of the downsampling filter.
    """

    size_in: int
    size_out: int
    up: int
    down: int
    up_taps: int
    down_taps: int

    @property
    def fine(self) -> int:
        """Side of the upsampled tensor, where the leaky ReLU acts."""
        return (self.size_out - 1) * self.down + self.down_taps

    @property
    def crop(self) -> int:
        """Upsampled samples to leave out before the first; as many, or one more, after the last.

        Half of what is too many, so that samples stand for the middles of their pixels (app. C.3).
        """
        return ((self.size_in - 1) * self.up + self.up_taps - self.fine) // 2


@dataclass(frozen=True, eq=False)
class Filters:
    """The filters of one layer, gains included, on one device.

    Attributes:
        geometry: what they resample.
        up: [taps].
        down: [taps], separable, or [taps, taps]; turned around, as torch's convolutions want it.
    """

    geometry: Geometry
    up: Tensor
    down: Tensor

    def chunk(self, x: Tensor) -> int:
        """How many channels of `x` to take at a time."""
        if x.device.type != "cpu":
            return x.shape[1]
        fitting = _BYTES[self.down.dim()] // (self.geometry.fine**2 * x.element_size())
        return min(max(fitting // 8 * 8, _CHANNELS), x.shape[1])

    def reach(self) -> float:
        """How many times an input's greatest magnitude the upsampled one can be."""
        phases = self.up.float().abs().view(-1, self.geometry.up)
        return float(phases.sum(dim=0).max()) ** 2

    def upsample(self, x: Tensor) -> Tensor:
        """`[n, c, size_in, size_in]` to `[n, c, fine, fine]`."""
        shape, c = self.geometry, x.shape[1]
        for axis in (0, 1):
            x = F.conv_transpose2d(
                x,
                _along(self.up, axis).expand(c, -1, -1, -1),
                stride=_pair(shape.up, 1, axis),
                padding=_pair(shape.crop, 0, axis),
                groups=c,
            )
        return x[:, :, : shape.fine, : shape.fine]

    def downsample(self, x: Tensor) -> Tensor:
        """`[n, c, fine, fine]` to `[n, c, size_out, size_out]`."""
        down, c = self.geometry.down, x.shape[1]
        if self.down.dim() == 2:
            return F.conv2d(x, self.down.expand(c, 1, -1, -1), stride=down, groups=c)
        for axis in (1, 0):
            weight = _along(self.down, axis).expand(c, -1, -1, -1)
            x = F.conv2d(x, weight, stride=_pair(down, 1, axis), groups=c)
        return x


def _along(taps: Tensor, axis: int) -> Tensor:
    """`[taps]` as a kernel `[1, 1, taps, 1]` along the height or `[1, 1, 1, taps]`."""
    return taps.view(1, 1, -1, 1) if axis == 0 else taps.view(1, 1, 1, -1)


def _pair(along: int, across: int, axis: int) -> tuple[int, int]:
    return (along, across) if axis == 0 else (across, along)


def filtered_lrelu(
    x: Tensor,
    filters: Filters,
    before: Tensor,
    bias: Tensor,
    after: Tensor,
    slope: float,
    clamp: float,
) -> Tensor:
    """Scale, add a bias, upsample, leaky ReLU, clamp, downsample, scale.

    Args:
        x: [n, c, size_in, size_in].
        filters: in x's type and on its device.
        before: [n, c], factors on x.
        bias: [c].
        after: [n, c], factors on the result.
        slope: of the negative side.
        clamp: greatest magnitude between the resamplings.

    Returns:
        [n, c, size_out, size_out], channels-last.
    """
    n, c = x.shape[:2]
    side, step = filters.geometry.size_out, filters.chunk(x)
    order = torch.channels_last if x.device.type == "cpu" else torch.contiguous_format
    y = torch.empty(n, c, side, side, dtype=x.dtype, device=x.device, memory_format=order)
    harmless = clamp / filters.reach()
    for i in range(n):
        for k in range(0, c, step):
            # All of one width: the last takes some channels again rather than too few.
            part = slice(min(k, c - step), min(k, c - step) + step)
            one = (slice(i, i + 1), part)
            scaled = torch.addcmul(bias[part, None, None], x[one], before[one][..., None, None])
            fine = filters.upsample(scaled.contiguous(memory_format=order))
            fine = F.leaky_relu(fine, slope, inplace=reuse(fine) is not None)
            if not _surely_within(scaled, harmless):
                fine = torch.clamp(fine, -clamp, clamp, out=reuse(fine))
            y[one] = filters.downsample(fine) * after[one][..., None, None]
    return y


def _surely_within(x: Tensor, limit: float) -> bool:
    """Whether all of `x` is known to be smaller: looked up only where looking costs little."""
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    low, high = torch.aminmax(x.detach())
    return max(-float(low), float(high)) < limit
