"""What a VAE keeps of a picture, averaged over several looks at it.

A VAE's latents have no room for noise, so that a rebuilt picture has less of it; but what is lost,
and which grain the decoder puts in its place, hangs on where its grid lies. Averaged over shifted
grids (cycle spinning, Coifman and Donoho 1995) that part falls away: the squared error of the mean
of several pictures is never above the mean of theirs.
"""

import torch
from torch import Tensor

from .round_trip import Rebuild, check_size

_GOLDEN = 0.6180339887498949


def denoise(
    rebuild: Rebuild, pictures: Tensor, factor: int, passes: int, noise: float, seed: int
) -> Tensor:
    """The mean of pictures rebuilt in several passes, each with the grid elsewhere.

    Args:
        rebuild: one trip through the VAE.
        pictures: `[n, 3, h, w]` in -1..1; edges are mirrored as far as the grid moves.
        factor: pixels along a side for each place of the latents. Where one place covers the whole
            picture, nothing is shifted.
        passes: how many.
        noise: standard deviation, where black to white is 1, of Gaussian noise that every pass
            adds before the VAE sees the picture.
        seed: of that noise.

    Returns:
        [n, 3, h, w], of the size that went in.

    Raises:
        GenartError: when the VAE gives back another size.
    """
    height, width = pictures.shape[-2:]
    fixed = factor == 1 or factor >= max(height, width)
    moves = [(0, 0)] * passes if fixed else shifts(factor, passes)
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros_like(pictures)
    for top, left in moves:
        shown = _padded(pictures, factor, top, left)
        if noise:
            draws = torch.randn(shown.shape, generator=generator)
            shown = (shown + 2 * noise * draws.to(shown)).clamp(-1, 1)
        made = rebuild(shown)
        check_size(made, shown)
        total += made[..., top : top + height, left : left + width]
    return total / passes


def shifts(factor: int, passes: int) -> list[tuple[int, int]]:
    """Places of a grid, spread evenly; the first is where it lies without a shift."""
    down = [number * factor // passes for number in range(passes)]
    across = [int(number * _GOLDEN % 1 * factor) for number in range(passes)]
    return list(zip(down, across, strict=True))


def _padded(pictures: Tensor, factor: int, top: int, left: int) -> Tensor:
    """Moved down and to the right, the sides filled to multiples of the factor by mirroring."""
    height, width = pictures.shape[-2:]
    bottom, right = -(height + top) % factor, -(width + left) % factor
    for before, after, axis in ((top, bottom, -2), (left, right, -1)):
        places = _mirrored(pictures.shape[axis], before, after).to(pictures.device)
        pictures = pictures.index_select(axis, places)
    return pictures


def _mirrored(side: int, before: int, after: int) -> Tensor:
    """Which row each row of a mirrored side is, however far the mirroring goes."""
    period = max(2 * side - 2, 1)
    places = torch.arange(-before, side + after) % period
    return torch.where(places < side, places, period - places)
