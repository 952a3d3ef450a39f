"""Convolution with half the multiplications (Winograd 1980; Lavin and Gray 2016, 1509.09308).

Four rows of a 3x3 convolution's result depend on six rows of its input. Mixed rightly, those six
give the four with six products a tap of the kernel's rows instead of twelve; along the columns it
stays the ordinary convolution, so that torch's own fast kernels do the work. On a CPU that is 1.4
to 1.9 times as fast from 128 channels on. Rounding errors are some three times the ordinary ones.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

# Rows of the kernel -> its values at the points 0, 1, -1, 2, -2 and infinity.
_KERNEL = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)


def pays(x: Tensor, channels: int) -> bool:
    """Whether a convolution of `x [n, c, h, w]` to so many channels is faster this way."""
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return False
    if x.device.type != "cpu" or x.dtype != torch.float32:
        return False
    height, width = x.shape[2:]
    return height % 4 == 0 and height * width >= 32**2 and min(x.shape[1], channels) >= 128


def convolve(x: Tensor, weight: Tensor) -> Tensor:
    """3x3 convolution with a border of zeros, `[n, c, h, w] -> [n, k, h, w]`, channels-last.

    Args:
        x: [n, c, h, w]; h a multiple of 4.
        weight: [k, c, 3, 3].
    """
    n, c, h, w = x.shape
    k = len(weight)
    mix = torch.tensor(_KERNEL, dtype=x.dtype)
    rows = weight.permute(2, 0, 3, 1).reshape(3, -1)  # [3, k * 3 * c]
    kernels = (mix @ rows).view(6, k, 1, 3, c).permute(0, 1, 4, 2, 3)  # [6, k, c, 1, 3]
    result = x.new_empty(n, h, w, k)
    padded = x.new_zeros(h + 2, w, c)
    for picture, made in zip(x.permute(0, 2, 3, 1), result, strict=True):
        padded[1:-1] = picture
        # Row j of every group of four and its two neighbours, [6, h / 4, w, c].
        six = padded.as_strided((6, h // 4, w, c), (w * c, 4 * w * c, c, 1))
        products = [
            F.conv2d(row.permute(2, 0, 1)[None], kernel, padding=(0, 1))[0].permute(1, 2, 0)
            for row, kernel in zip(_split(six), kernels, strict=True)
        ]
        _join(products, made.view(h // 4, 4, w, k))
    return result.permute(0, 3, 1, 2)


def _split(d: Tensor) -> list[Tensor]:
    """Six rows `[6, ...]`, taken as a polynomial's coefficients, evaluated at the six points."""
    even, odd = d[4] - d[2], d[3] - d[1]
    zero = torch.sub(d[0], d[2]).mul_(4).add_(even)
    infinity = torch.sub(d[5], d[3]).sub_(odd, alpha=4)
    plus_two, minus_two = torch.add(even, odd, alpha=2), even.sub_(odd, alpha=2)
    even, odd = torch.sub(d[4], d[2], alpha=4), torch.sub(d[3], d[1], alpha=4)
    return [zero, even + odd, even.sub_(odd), plus_two, minus_two, infinity]


def _join(m: list[Tensor], rows: Tensor) -> None:
    """The six products back to four rows, `rows [groups, 4, ...]`; uses up the products."""
    even_one, odd_one = m[1] + m[2], m[1].sub_(m[2])
    even_two, odd_two = m[3] + m[4], m[3].sub_(m[4])
    torch.add(m[0].add_(even_one), even_two, out=rows[:, 0])
    torch.add(odd_one, odd_two, alpha=2, out=rows[:, 1])
    torch.add(even_one, even_two, alpha=4, out=rows[:, 2])
    torch.add(m[5].add_(odd_one), odd_two, alpha=8, out=rows[:, 3])
