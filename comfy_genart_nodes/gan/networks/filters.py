"""The [1, 3, 3, 1] low-pass filter around StyleGAN2's changes of resolution.

Nearest-neighbour shortcuts leave a grid in the pictures (Zhang 2019, Karras et al. 2020), so every
factor-2 step is filtered. None of the functions inserts zeros: the samples that are zero are never
multiplied. Borders are padded with zeros, as in the networks that others trained.
"""

import math
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .convolving import Sides, convolve

_TAPS = (1 / 8, 3 / 8, 3 / 8, 1 / 8)
_LARGEST_SINGLE = 520  # the side to which products in float32 are taken


def blur(x: Tensor, padding: int, gain: float = 1.0, stride: int = 1) -> Tensor:
    """Filter every channel with the separable [1, 3, 3, 1] / 8 kernel.

    Args:
        x: [n, c, h, w].
        padding: zeros added on each side; the result is `2 * padding - 3` larger before striding.
        gain: factor on the result (4 where the input stands for a zero-inserted picture).
        stride: keep every stride-th sample of each axis.
    """
    if torch.is_grad_enabled() and x.requires_grad and not torch.compiler.is_compiling():
        return _Filter.apply(x, gain, stride, padding)
    return _filtered(x, gain, stride, padding)


def _filtered(x: Tensor, gain: float, stride: int, padding: int) -> Tensor:
    if _multiplies(x):
        return _through(x, *_matrices(x, (x.shape[2], x.shape[3]), gain, stride, padding))
    # A compiler neither knows of caches nor needs one.
    kernel = _made if torch.compiler.is_compiling() else _kernel
    weight = kernel(gain, x.dtype, x.device).expand(x.shape[1], 1, 4, 4)
    return F.conv2d(x, weight, stride=stride, padding=padding, groups=x.shape[1])


def _multiplies(x: Tensor) -> bool:
    """Whether the filter is a product with matrices here.

    A card's convolutions of single channels are two to twenty times as slow as its matrix products
    are with all those zeros, where channels lie last. Products grow with the side, though, and are
    dear in float32.
    """
    if x.device.type != "cuda" or torch.compiler.is_compiling():
        return False
    if x.dtype == torch.float32 and max(x.shape[2:]) > _LARGEST_SINGLE:
        return False
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def _matrices(
    x: Tensor, sides: Sides, gain: float, stride: int, padding: int
) -> tuple[Tensor, Tensor]:
    """The filter along columns and along rows of pictures of these sides."""
    half = math.sqrt(gain)
    rows, columns = (_band(side, half, stride, padding, x.dtype, x.device) for side in sides)
    return rows, columns


@cache  # recorded steps go on reading them
def _band(
    side: int, gain: float, stride: int, padding: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """The filter of one axis, `[filtered, side]`."""
    with torch.inference_mode(False):
        taps = torch.tensor(_TAPS)[None, None] * gain
        filtered = F.conv1d(torch.eye(side)[:, None], taps, stride=stride, padding=padding)
        return filtered[:, 0].t().contiguous().to(device, dtype)


def _through(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """`rows @ x @ columns.t()` of every channel, channels last: nothing is copied."""
    n, c, h, w = x.shape
    lines = x.permute(0, 2, 3, 1).reshape(n * h, w, c)
    lines = torch.bmm(columns.expand(n * h, -1, -1), lines)
    planes = torch.bmm(rows.expand(n, -1, -1), lines.view(n, h, -1))
    return planes.view(n, len(rows), len(columns), c).permute(0, 3, 1, 2)


@cache
def _kernel(gain: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Kept, since bringing it to a GPU at every use would make the CPU wait for that."""
    with torch.inference_mode(False):
        return _made(gain, dtype, device)


def _made(gain: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    taps = torch.tensor(_TAPS, dtype=dtype, device=device)
    return torch.outer(taps, taps) * gain


class _Filter(torch.autograd.Function):
    """`_filtered`, whose gradients of any order are filters too.

    PyTorch's second gradient of a grouped convolution goes through the groups one by one, for a
    kernel that wants no gradient.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: float, stride: int, padding: int) -> Tensor:
        ctx.how, ctx.sides = (gain, stride, padding), x.shape[2:]
        return _filtered(x, gain, stride, padding)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None, None, None]:
        return _Spread.apply(slopes[0], *ctx.how, ctx.sides), None, None, None


class _Spread(torch.autograd.Function):
    """The transpose of `_Filter`: from what was filtered to pictures of these sides."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, gain: float, stride: int, padding: int, sides: torch.Size
    ) -> Tensor:
        ctx.how = (gain, stride, padding)
        if _multiplies(x):
            rows, columns = _matrices(x, (sides[0], sides[1]), gain, stride, padding)
            return _through(x, rows.t(), columns.t())
        doubled = stride == 2 and padding == 1 and sides == (2 * x.shape[2], 2 * x.shape[3])
        if doubled and x.device.type == "cpu" and x.dtype == torch.bfloat16:
            return upsample(x * (gain / 4))  # 40 times as fast: the other has no kernel of its own
        weight = _kernel(gain, x.dtype, x.device).expand(x.shape[1], 1, 4, 4)
        reached = [(side - 1) * stride - 2 * padding + 4 for side in x.shape[2:]]
        return F.conv_transpose2d(
            x,
            weight,
            stride=stride,
            padding=padding,
            output_padding=[side - end for side, end in zip(sides, reached, strict=True)],
            groups=x.shape[1],
        )

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None, None, None, None]:
        return _Filter.apply(slopes[0], *ctx.how), None, None, None, None


def upsample(x: Tensor) -> Tensor:
    """Double both sides with the filter, `[n, c, h, w] -> [n, c, 2h, 2w]`.

    The polyphase form of [1, 3, 3, 1] at factor 2 is bilinear interpolation; a ring of zeros
    makes its border that of the zero-padded filter.
    """
    return F.interpolate(F.pad(x, (1, 1, 1, 1)), scale_factor=2, mode="bilinear")[..., 2:-2, 2:-2]


def downsample(x: Tensor) -> Tensor:
    """Halve both (even) sides with the filter, `[n, c, 2h, 2w] -> [n, c, h, w]`."""
    return blur(x, padding=1, stride=2)


def convolve_upsampled(x: Tensor, weight: Tensor) -> Tensor:
    """Upsample by 2, filter and convolve, `[n, c, h, w] -> [n, k, 2h, 2w]`.

    A transposed convolution computes the unfiltered result without its zeros; the filter commutes
    with the convolution and comes last.

    Args:
        x: [n, c, h, w].
        weight: [k, c, 3, 3].
    """
    doubled = convolve(x, weight.transpose(0, 1), stride=2, transposed=True)  # [n, k, 2h+1, 2w+1]
    return blur(doubled, padding=1, gain=4.0)


def convolve_downsampled(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Filter, convolve and halve, `[n, c, 2h, 2w] -> [n, k, h, w]`.

    Args:
        x: [n, c, 2h, 2w].
        weight: [k, c, 3, 3] or [k, c, 1, 1].
        bias: [k].
    """
    if weight.shape[-1] == 1:
        return convolve(downsample(x), weight, bias=bias)
    return convolve(blur(x, padding=2), weight, stride=2, bias=bias)
