"""Kernel Inception Distance: how far two sets of pictures lie apart.

Bińkowski et al., "Demystifying MMD GANs" (2018): the squared maximum mean discrepancy under the
kernel k(x, y) = (x.y / d + 1)^3, in its unbiased estimate. Unbiased means that it suits small sets
and that two sets from one source give a value around 0, so slightly negative values are right.
Over features other than Inception's the number is on a scale of its own: name the features.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import GenartError
from .bootstrap import interval, resamples


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    """The kernel `[n, m]` between the rows of two feature sets."""
    return (a @ b.T / a.shape[1] + 1) ** 3


def _mmd(within_a: Tensor, within_b: Tensor, between: Tensor) -> float:
    """Unbiased squared MMD from the three kernel matrices: the diagonals do not count."""
    n, m = between.shape
    a = (within_a.sum() - within_a.diagonal().sum()) / (n * (n - 1))
    b = (within_b.sum() - within_b.diagonal().sum()) / (m * (m - 1))
    return float(a + b - 2 * between.mean())


def _checked(features: Tensor, other: Tensor) -> Tensor:
    if len(features) < 2:
        raise GenartError("KID needs at least two pictures on each side; add pictures.")
    if features.shape[1] != other.shape[1]:
        raise GenartError("KID compares features of one kind; compute both sets with the same.")
    return features.double()


def kid(features_a: Tensor, features_b: Tensor) -> float:
    """KID between two sets, over all their pictures.

    Args:
        features_a: `[n, d]`.
        features_b: `[m, d]`; the sets may differ in size.

    Returns:
        The unbiased estimate, computed in float64; 0 in the mean for sets from one source.

    Raises:
        GenartError: Fewer than two pictures in a set, or features of different widths.
    """
    a, b = _checked(features_a, features_b), _checked(features_b, features_a)
    return _mmd(_kernel(a, a), _kernel(b, b), _kernel(a, b))


def kid_subsets(
    features_a: Tensor,
    features_b: Tensor,
    *,
    subsets: int,
    subset_size: int,
    generator: torch.Generator,
) -> tuple[float, float]:
    """Mean and standard deviation of KID over random subsets, the form papers report.

    Args:
        features_a: `[n, d]`.
        features_b: `[m, d]`.
        subsets: How many pairs of subsets to draw.
        subset_size: Pictures in each, drawn without replacement.
        generator: A CPU generator; the subsets are a function of its state.

    Returns:
        The mean over the subsets, and their standard deviation (of the population).

    Raises:
        GenartError: A set is smaller than a subset, or as for `kid`.
    """
    a, b = _checked(features_a, features_b), _checked(features_b, features_a)
    if subset_size > min(len(a), len(b)):
        raise GenartError(
            f"Subsets of {subset_size} pictures do not fit in sets of {len(a)} and {len(b)}; "
            "choose a smaller subset size."
        )
    values = []
    for _ in range(subsets):
        one = a[torch.randperm(len(a), generator=generator)[:subset_size].to(a.device)]
        two = b[torch.randperm(len(b), generator=generator)[:subset_size].to(b.device)]
        values.append(kid(one, two))
    result = torch.tensor(values, dtype=torch.float64)
    return float(result.mean()), float(result.std(correction=0))


def kid_interval(
    features_a: Tensor, features_b: Tensor, *, generator: torch.Generator, draws: int = 1000
) -> tuple[float, float]:
    """A 95 % interval of `kid`, by the bootstrap over the pictures of both sets.

    A picture that is drawn twice is not compared with itself, which would raise every figure.
    Where both sets come from one source the interval is wider than it need be (the estimate is
    degenerate there: Arcones & Giné 1992), so that it errs on the side of "no difference".

    Args:
        features_a: `[n, d]`.
        features_b: `[m, d]`.
        generator: a CPU generator.
        draws: of the bootstrap.

    Returns:
        Its low and its high end.

    Raises:
        GenartError: as for `kid`.
    """
    a, b = _checked(features_a, features_b), _checked(features_b, features_a)
    weights_a = resamples(len(a), draws, generator).to(a.device)
    weights_b = resamples(len(b), draws, generator).to(b.device)
    between = ((weights_a @ _kernel(a, b)) * weights_b).sum(1) / (len(a) * len(b))
    spread = _within(weights_a, _kernel(a, a)) + _within(weights_b, _kernel(b, b)) - 2 * between
    return interval(spread)


def _within(weights: Tensor, kernel: Tensor) -> Tensor:
    """Mean kernel `[draws]` between different pictures of one set, each as often as it was drawn.

    A draw of one picture alone has no pairs; its mean is taken as 0 / 1.
    """
    squares = weights.square()
    pairs = weights.sum(1).square() - squares.sum(1)
    total = ((weights @ kernel) * weights).sum(1) - squares @ kernel.diagonal()
    return total / pairs.clamp(min=1)
