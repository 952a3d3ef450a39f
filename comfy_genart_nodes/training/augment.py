"""DiffAugment (Zhao et al. 2020, arXiv 2006.10738): the same kind of change on real and fake.

Differentiable, so that the generator learns through it; every picture has draws of its own.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..gan.networks.crop import crop
from .draws import Draws


def colour(x: Tensor, draws: Draws, purpose: str) -> Tensor:
    """Shift brightness by up to .5, scale saturation by 0..2 and contrast by .5..1.5."""
    drawn = draws.give(lambda: draws.uniform(f"{purpose} colour", 3, 1, 1, 1), x.device, x.dtype)
    bright, saturated, contrasted = drawn.unbind(dim=1)
    x = x + (bright - 0.5)
    grey = x.mean(dim=1, keepdim=True)
    x = torch.lerp(grey, x, saturated * 2)
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    return torch.lerp(mean, x, contrasted + 0.5)


def translation(x: Tensor, draws: Draws, purpose: str) -> Tensor:
    """Move every picture by up to an eighth of its side, zeros moving in."""
    side = x.shape[-1]
    reach = side // 8
    moves = draws.give(lambda: draws.integers(f"{purpose} translation", 2 * reach + 1, 2), x.device)
    return crop(F.pad(x, (reach, reach, reach, reach)), moves, side)


def cutout(x: Tensor, draws: Draws, purpose: str) -> Tensor:
    """Blank a square of half the side at a random place of every picture."""
    side = x.shape[-1]
    centre = draws.give(lambda: draws.integers(f"{purpose} cutout", side + 1, 2), x.device)
    axis = torch.arange(side, device=x.device)
    near = (axis + 0.5 - centre[:, :, None]).abs() < side / 4  # [n, 2, side]
    hole = near[:, 0, :, None] & near[:, 1, None, :]
    return x * (~hole[:, None]).to(x)


_CHANGES: dict[str, Callable[[Tensor, Draws, str], Tensor]] = {
    "colour": colour,
    "translation": translation,
    "cutout": cutout,
}


def augment(x: Tensor, policies: Sequence[str], draws: Draws, purpose: str) -> Tensor:
    """Change every picture of `[n, c, h, w]` in -1..1 at random, policy by policy."""
    for name in policies:
        x = _CHANGES[name](x, draws, purpose)
    return x
