"""Convolutions by matrix products, for kernels with many more numbers than the features have.

Before a CPU's library convolves, it brings the kernel into an order of its own, every time. Near
the smallest side of a network that takes as long as the arithmetic, and the kernel's gradient
longer still. A product of matrices takes the kernel as it lies, channels last: one matrix, and
the neighbourhood of every place a row.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

_RATIO = 4  # times as many numbers in the kernel: there products begin to be faster


def pay(weight: Sequence[int], features: Tensor, sides: Sequence[int]) -> bool:
    """Whether products are faster: on a CPU in bf16, where few places are left.

    Args:
        weight: the kernel's shape.
        features: those before or after the convolution.
        sides: of those after it.
    """
    if features.device.type != "cpu" or features.dtype != torch.bfloat16:
        return False
    return math.prod(weight[1:]) >= _RATIO * len(features) * math.prod(sides)


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """As `F.conv2d`, `x [n, c, h, w]`, `weight [k, c, a, a]` and `bias [k]`."""
    rows, (n, high, wide) = _neighbourhoods(x, weight.shape[2], stride, padding)
    y = _features(n, len(weight), high, wide, like=x)
    matrix = _matrix(weight).t()
    if bias is None:
        torch.mm(rows, matrix, out=_places(y))
    else:
        torch.addmm(bias, rows, matrix, out=_places(y))
    return y


def transpose(
    y: Tensor, weight: Tensor, stride: int, padding: int, sides: tuple[int, int]
) -> Tensor:
    """The gradient of features `[n, c, *sides]`, given that of what they were convolved to."""
    (_, c, a, _), (n, _, high, wide), (h, w) = weight.shape, y.shape, sides
    parts = (_places(y) @ _matrix(weight)).view(n, high, wide, a, a, c)
    # Every place gathers from up to a * a neighbours: in float32 at least, to be rounded once.
    fine = torch.promote_types(y.dtype, torch.float32)
    found = y.new_zeros(n, h + 2 * padding, w + 2 * padding, c, dtype=fine)
    for i in range(a):
        for j in range(a):
            rows = slice(i, i + stride * (high - 1) + 1, stride)
            columns = slice(j, j + stride * (wide - 1) + 1, stride)
            found[:, rows, columns] += parts[:, :, :, i, j]
    found = found[:, padding : padding + h, padding : padding + w]
    return _features(n, c, h, w, like=y).copy_(found.permute(0, 3, 1, 2))


def kernel(x: Tensor, y: Tensor, side: int, stride: int, padding: int) -> Tensor:
    """The gradient of the kernel `[k, c, side, side]`, given that of what it made of `x`."""
    rows, _ = _neighbourhoods(x, side, stride, padding)
    found = _places(y).t() @ rows
    return found.view(-1, side, side, x.shape[1]).permute(0, 3, 1, 2)


def _features(n: int, c: int, h: int, w: int, like: Tensor) -> Tensor:
    """Unset features, channels last."""
    return torch.empty(
        (n, c, h, w), dtype=like.dtype, device=like.device, memory_format=torch.channels_last
    )


def _neighbourhoods(
    x: Tensor, side: int, stride: int, padding: int
) -> tuple[Tensor, tuple[int, int, int]]:
    """What a kernel sees at every place, `[places, side * side * c]`; pictures, rows, columns."""
    x = F.pad(x.permute(0, 2, 3, 1), (0, 0, padding, padding, padding, padding))
    seen = x.unfold(1, side, stride).unfold(2, side, stride)  # [n, high, wide, c, side, side]
    n, high, wide = seen.shape[:3]
    return seen.permute(0, 1, 2, 4, 5, 3).reshape(n * high * wide, -1), (n, high, wide)


def _matrix(weight: Tensor) -> Tensor:
    """A kernel as `[k, a * a * c]`: as it lies in memory, where channels lie last."""
    return weight.permute(0, 2, 3, 1).flatten(1)


def _places(y: Tensor) -> Tensor:
    """Features as `[n * h * w, k]`."""
    return y.permute(0, 2, 3, 1).flatten(0, 2)
