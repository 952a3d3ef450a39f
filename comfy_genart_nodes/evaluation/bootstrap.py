"""How far a figure would move with other pictures of the same kind: the bootstrap over pictures.

Efron (1979): draw as many pictures as there are, with replacement, and look at how the figure
spreads. A draw is kept as weights, how often each picture came, so that a figure over all draws
is one matrix product.
"""

import torch
from torch import Tensor

LEVEL = 0.95


def resamples(pictures: int, draws: int, generator: torch.Generator) -> Tensor:
    """How often each picture comes in each draw.

    Args:
        pictures: how many there are.
        draws: how many times to draw.
        generator: on the CPU; the weights are a function of its state.

    Returns:
        `[draws, pictures]` float64, whole numbers; each row sums to `pictures`.
    """
    drawn = torch.randint(0, pictures, (draws, pictures), generator=generator)
    weights = torch.zeros(draws, pictures, dtype=torch.float64)
    return weights.scatter_add_(1, drawn, torch.ones_like(weights))


def interval(figures: Tensor) -> tuple[float, float]:
    """The middle 95 % of a figure over the draws, `[draws]`: its low and its high end."""
    tail = (1 - LEVEL) / 2
    low, high = figures.double().quantile(
        torch.tensor([tail, 1 - tail]).to(figures.device).double()
    )
    return float(low), float(high)
