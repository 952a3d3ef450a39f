"""Noise that travels for ever and returns: closed paths of constant variance."""

import torch
from torch import Tensor

from .sphere import wide


def circle(a: Tensor, b: Tensor, turns: Tensor) -> Tensor:
    """The circle through two independent samples of noise: each of its points is such a sample.

    Args:
        a: `[...]`, where it begins.
        b: as large; where it is after a quarter.
        turns: `[n]`; whole numbers are all the same place.

    Returns:
        `[n, ...]`.
    """
    at = 2 * torch.pi * (wide(turns, a) % 1)
    shape = (-1, *[1] * a.ndim)
    moved = at.cos().reshape(shape) * wide(a, a) + at.sin().reshape(shape) * wide(b, a)
    return moved.to(a.dtype)


def periodic(waves: Tensor, turns: Tensor) -> Tensor:
    """A periodic Gaussian path: independent circles of 1, 2, ... rounds a turn, added.

    Each point is N(0, 1) where the waves are, and the path less even than a circle.

    Args:
        waves: `[k, 2, ...]`, of N(0, 1).
        turns: `[n]`.

    Returns:
        `[n, ...]`.
    """
    share = 1 / torch.arange(1, len(waves) + 1, dtype=torch.float64)  # finer waves are weaker
    share = share / share.norm()
    total = torch.zeros(len(turns), *waves.shape[2:], dtype=torch.float64)
    total = wide(total, waves)
    for number, (weight, (a, b)) in enumerate(zip(share.tolist(), waves, strict=True), 1):
        total += weight * circle(wide(a, waves), wide(b, waves), wide(turns, waves) * number)
    return total.to(waves.dtype)
