"""Adaptive discriminator augmentation (Karras et al. 2020, arXiv 2006.06676): "bgc", and its p.

Changes of geometry become one 3x3 matrix a picture and changes of colour one 3x4 matrix, so that a
picture is resampled once. A change happens with probability p; p follows how sure the
discriminator is of real pictures, whose distribution stays visible behind augmentation as long as
p is below .8 or so.

Resampling is the paper's: twice the density by a filter, bilinear there, back by a filter. The
filters here are the biorthogonal pair 9/7 (Cohen, Daubechies and Feauveau 1992; JPEG 2000's): one
after the other they are the identity and they are symmetric about a pixel, also at a mirrored
border, so that flips, quarter turns and shifts by whole pixels only move pixels, which the paper's
asymmetric wavelet does nearly. Beyond its border a picture is mirrored as often as need be.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..gan.networks.layers import full_precision
from .draws import Draws

MOST = 0.85
"""Largest p that training reaches: beyond, augmented pictures teach augmentation."""

_NUMBERS = 28  # uniform numbers that a picture takes
_ANALYSIS = (0.602949018236, 0.266864118443, -0.078223266529, -0.016864118443, 0.026748757411)
_SYNTHESIS = (1.115087052457, 0.591271763114, -0.057543526229, -0.091271763114)


def adapted(p: float, signs: float, target: float, pictures: int, kimg: float = 500.0) -> float:
    """The next p: up where the discriminator is surer of real pictures than the target, else down.

    Args:
        p: the one so far.
        signs: mean sign of the scores of real pictures since then, -1..1.
        target: what it should be; .6 in the paper.
        pictures: how many the networks have seen since then.
        kimg: thousands of pictures in which p could go from 0 to 1.
    """
    direction = (signs > target) - (signs < target)
    return min(max(p + direction * pictures / (kimg * 1000), 0.0), MOST)


def augment(x: Tensor, p: Callable[[], float], draws: Draws, purpose: str) -> Tensor:
    """Change every picture at random, each kind of change with probability p.

    Args:
        x: [n, 3, h, w] in -1..1, at least 4 pixels a side.
        p: gives 0..1.
        draws: the random numbers of these pictures.
        purpose: what for; equal purposes change equally.

    Returns:
        [n, 3, h, w], differentiable with regard to `x` as often as need be.
    """
    height, width = x.shape[2:]

    def make() -> Tensor:
        chance = _Chance(draws.uniform(purpose, _NUMBERS).double(), p())
        where = origins(geometry(chance, height, width), height, width)
        return torch.cat([where.flatten(1), colours(chance).flatten(1)], dim=1)

    where, matrices = draws.give(make, x.device, x.dtype).split([6, 12], dim=1)
    with full_precision(x):
        return recolour(warp(x, where.view(-1, 2, 3)), matrices.view(-1, 3, 4))


class _Chance:
    """Uniform numbers `[n, k]` of n pictures, taken in turn; where a change happens, and how."""

    def __init__(self, numbers: Tensor, p: float) -> None:
        self.numbers, self.p, self.taken = numbers, p, 0

    def uniform(self) -> Tensor:
        """Numbers of 0..1, `[n]`."""
        self.taken += 1
        return self.numbers[:, self.taken - 1]

    def normal(self) -> Tensor:
        """Normal numbers `[n]`."""
        return torch.special.ndtri(self.uniform().clamp(1e-7, 1 - 1e-7))

    def happens(self, value: Tensor, otherwise: float, p: float | None = None) -> Tensor:
        """`value [n]` with probability p, else the value that changes nothing."""
        p = self.p if p is None else p
        return torch.where(self.uniform() < p, value, torch.full_like(value, otherwise))


def geometry(chance: _Chance, height: int, width: int) -> Tensor:
    """Where pixels go: `[n, 3, 3]`, in pixels from the middle of the picture, x and y (down)."""
    turn = 1 - math.sqrt(1 - chance.p)  # one of two turns happens with probability p
    flip = chance.happens(1 - 2 * (2 * chance.uniform()).floor(), 1)
    one = torch.ones_like(flip)
    matrix = _scale(flip, one)
    matrix = _rotate(chance.happens((4 * chance.uniform()).floor() * (math.pi / 2), 0)) @ matrix
    x, y = (chance.uniform() - 0.5) / 4, (chance.uniform() - 0.5) / 4
    moved = chance.happens(one, 0)
    matrix = _move((x * width).round() * moved, (y * height).round() * moved) @ matrix
    size = chance.happens(2 ** (0.2 * chance.normal()), 1)
    matrix = _scale(size, size) @ matrix
    matrix = _rotate(chance.happens((2 * chance.uniform() - 1) * math.pi, 0, turn)) @ matrix
    stretch = chance.happens(2 ** (0.2 * chance.normal()), 1)
    matrix = _scale(stretch, 1 / stretch) @ matrix
    matrix = _rotate(chance.happens((2 * chance.uniform() - 1) * math.pi, 0, turn)) @ matrix
    x, y = chance.normal() / 8, chance.normal() / 8
    moved = chance.happens(one, 0)
    return _move(x * width * moved, y * height * moved) @ matrix


def colours(chance: _Chance) -> Tensor:
    """What colours become: `[n, 3, 4]`, a matrix and what is added after it."""
    identity = torch.eye(3, dtype=torch.float64)
    along = torch.full_like(identity, 1 / 3)  # onto the grey axis, along which colours are bright
    apart = identity - along
    across = (identity.roll(1, 0) - identity.roll(1, 1)) / math.sqrt(3)  # a quarter turn about it
    bright = chance.happens(0.2 * chance.normal(), 0)
    contrast = chance.happens(2 ** (0.5 * chance.normal()), 1)
    flip = chance.happens((2 * chance.uniform()).floor(), 0)
    hue = chance.happens((2 * chance.uniform() - 1) * math.pi, 0)
    saturation = chance.happens(2 ** chance.normal(), 1)
    bright, contrast, flip, cos, sin, saturation = (
        each[:, None, None] for each in (bright, contrast, flip, hue.cos(), hue.sin(), saturation)
    )
    matrix = (identity - 2 * along * flip) * contrast
    matrix = (along + apart * cos + across * sin) @ matrix
    matrix = (along + apart * saturation) @ matrix
    return torch.cat([matrix, matrix.sum(dim=2, keepdim=True) * bright], dim=2)


def _matrix(rows: list[list[Tensor]]) -> Tensor:
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def _scale(x: Tensor, y: Tensor) -> Tensor:
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return _matrix([[x, zero, zero], [zero, y, zero], [zero, zero, one]])


def _move(x: Tensor, y: Tensor) -> Tensor:
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return _matrix([[one, zero, x], [zero, one, y], [zero, zero, one]])


def _rotate(angle: Tensor) -> Tensor:
    cos, sin = angle.cos(), angle.sin()
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    return _matrix([[cos, -sin, zero], [sin, cos, zero], [zero, zero, one]])


def recolour(x: Tensor, matrices: Tensor) -> Tensor:
    """Colours `[n, 3, h, w]` through matrices `[n, 3, 4]` of their type, on their device."""
    changed = torch.baddbmm(matrices[:, :, 3:], matrices[:, :, :3], x.flatten(2))
    return changed.view(x.shape)


def origins(matrices: Tensor, height: int, width: int) -> Tensor:
    """Where pixels come from: the inverse of `geometry`, `[n, 2, 3]`.

    From pixels from the middle of the picture to the unit of `grid_sample`, where pixel centres at
    the border are -1 and 1.
    """
    unit = torch.tensor([2 / (width - 1), 2 / (height - 1)], dtype=torch.float64)
    return torch.linalg.inv(matrices)[:, :2] * unit[:, None]


def warp(x: Tensor, where: Tensor) -> Tensor:
    """Pictures whose pixels have moved, mirrored beyond the border.

    Args:
        x: [n, c, h, w].
        where: [n, 2, 3], as `origins` gives them; of the type and on the device of `x`.
    """
    up_y, up_x = (_doubling(side, x.dtype, x.device) for side in x.shape[2:])
    down_y, down_x = (_halving(side, x.dtype, x.device) for side in x.shape[2:])
    # As matrix products, since a CPU is slow at convolutions of few channels.
    fine = up_y @ x @ up_x.t()
    fine = _Sampling.apply(fine, _places(where, *x.shape[2:]))
    return down_y @ fine @ down_x.t()


@lru_cache(maxsize=16)  # at side 1024 making one takes longer than using it
def _doubling(side: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The filter to twice the density between the border's pixels, `[2 * side - 1, side]`."""
    pixels = F.pad(torch.eye(side)[:, None], (1, 1), mode="reflect")
    rows = F.conv_transpose1d(pixels, _taps(_SYNTHESIS), stride=2, padding=5)[:, 0]
    return rows.t().to(device, dtype)


@lru_cache(maxsize=16)
def _halving(side: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The filter back, from four samples beyond the border on, `[side, 2 * side + 7]`."""
    samples = torch.eye(2 * side + 7)[:, None]
    return F.conv1d(samples, _taps(_ANALYSIS), stride=2)[:, 0].t().to(device, dtype)


def _taps(half: tuple[float, ...]) -> Tensor:
    """The whole of a symmetric filter that is given from its middle on, `[1, 1, k]`."""
    return torch.tensor([*half[:0:-1], *half])[None, None]


def _places(where: Tensor, height: int, width: int) -> Tensor:
    """Where to take what the last filter reads, `[n, 2h + 7, 2w + 7, 2]`."""
    down_to, right_to = (
        torch.arange(-4, 2 * side + 3, dtype=where.dtype, device=where.device) / 2 - (side - 1) / 2
        for side in (height, width)
    )
    across, down, start = where[:, None, None].unbind(dim=-1)  # [n, 1, 1, 2] each
    return across * right_to[:, None] + (down * down_to[:, None, None] + start)


class _Sampling(torch.autograd.Function):
    """Bilinear sampling with mirrored borders, whose gradient has a gradient.

    PyTorch's has none. Sampling is linear in the picture: the gradient is its transpose, and the
    transpose's gradient is sampling again.
    """

    @staticmethod
    def forward(ctx: Any, picture: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(places)
        ctx.shape = picture.shape
        return F.grid_sample(picture, places, padding_mode="reflection", align_corners=True)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (places,) = ctx.saved_tensors
        return _Spreading.apply(gradients[0], places, ctx.shape), None


class _Spreading(torch.autograd.Function):
    """The transpose of `_Sampling`: samples back to where they were taken."""

    @staticmethod
    def forward(ctx: Any, samples: Tensor, places: Tensor, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(places)
        device = samples.device
        if device.type == "mps":  # where PyTorch does not have it
            samples, places = samples.cpu(), places.cpu()
        picture = samples.new_zeros(1).expand(shape)  # its values do not matter
        bilinear, reflection, corners = 0, 2, True
        spread, _ = torch.ops.aten.grid_sampler_2d_backward(
            samples, picture, places, bilinear, reflection, corners, [True, False]
        )
        return spread.to(device)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (places,) = ctx.saved_tensors
        return _Sampling.apply(gradients[0], places), None, None
