"""How like two pictures are: PSNR and SSIM of the values that a file of eight bits would hold."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

LEVELS = 255
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


def levels(pictures: Tensor) -> Tensor:
    """Pictures in -1..1 as whole numbers from 0 to 255, in float32."""
    return ((pictures.float() / 2 + 0.5) * LEVELS).round().clamp(0, LEVELS)


def psnr(made: Tensor, real: Tensor) -> float:
    """The peak signal-to-noise ratio of all values together, in dB; infinite where none differs.

    Of several pictures it is that of their pooled squared error, not the mean of their ratios.

    Args:
        made: pictures in -1..1, of any shape.
        real: those they should be.
    """
    pairs = zip(made, real, strict=True)
    total = sum(float((levels(a) - levels(b)).square().sum()) for a, b in pairs)
    return math.inf if total == 0 else 10 * math.log10(LEVELS**2 * made.numel() / total)


def ssim(made: Tensor, real: Tensor) -> Tensor:
    """The structural similarity of each pair of pictures, `[n]`; 1 where nothing differs.

    Wang et al. 2004: Gaussian windows of 11x11 with a deviation of 1.5 that lie whole inside the
    picture, means over places and colours. Where a side is shorter than a window, so is the window.

    Args:
        made: pictures `[n, c, h, w]` in -1..1.
        real: those they should be.
    """
    return torch.stack([_ssim(a, b) for a, b in zip(made, real, strict=True)])


def _ssim(made: Tensor, real: Tensor) -> Tensor:
    x, y = levels(made)[:, None] / LEVELS, levels(real)[:, None] / LEVELS  # [c, 1, h, w]
    mean_x, mean_y = _blurred(x), _blurred(y)
    var_x = _blurred(x * x) - mean_x**2
    var_y = _blurred(y * y) - mean_y**2
    both = _blurred(x * y) - mean_x * mean_y
    alike = (2 * mean_x * mean_y + _C1) * (2 * both + _C2)
    return (alike / ((mean_x**2 + mean_y**2 + _C1) * (var_x + var_y + _C2))).mean()


def _blurred(x: Tensor) -> Tensor:
    """Gaussian means over windows that lie inside, `[c, 1, h, w]`."""
    rows, columns = (_weights(side).to(x) for side in x.shape[-2:])
    return F.conv2d(F.conv2d(x, rows.view(1, 1, -1, 1)), columns.view(1, 1, 1, -1))


def _weights(side: int) -> Tensor:
    """Of a window along an axis: an odd number of them that fit."""
    size = min(_WINDOW, side - 1 + side % 2)
    places = torch.arange(size) - size // 2
    weights = torch.exp(-(places / _SIGMA).square() / 2)
    return weights / weights.sum()
