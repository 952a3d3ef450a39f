"""Weighted sums of several samples: means, and sums that keep the law of noise."""

from torch import Tensor

from ..errors import GenartError
from .sphere import per_sample, wide


def lol(samples: Tensor, weights: Tensor, mean: Tensor | float = 0.0) -> Tensor:
    """Linear combinations that are distributed as what they combine (Bodin et al. 2024).

    Of independent samples of N(mean, S) a sum with weights w has the covariance b S, b the sum of
    their squares: it is made S again, and the mean the mean.

    Args:
        samples: `[k, ...]`.
        weights: `[n, k]`, of any sum; none all zeros.
        mean: of the law, one number or of a sample's shape.

    Returns:
        `[n, ...]`, in the samples' dtype.

    Raises:
        GenartError: when weights are not as many as samples, or all of a sum's are zero.
    """
    w = _checked(samples, weights)
    root = w.square().sum(dim=1).sqrt()
    if not bool((root > 0).all()):
        raise GenartError("All weights are 0, which leaves nothing to blend: raise one of them.")
    total = _sums(samples, w / root[:, None])
    rest = per_sample(1 - w.sum(dim=1) / root, total)
    return (rest * wide(mean, samples) + total).to(samples.dtype)


def means(samples: Tensor, weights: Tensor) -> Tensor:
    """Weighted means: as `lol`, weights made to sum to 1.

    Raises:
        GenartError: when weights are not as many as samples, or sum to nothing.
    """
    w = _checked(samples, weights)
    sums = w.sum(dim=1, keepdim=True)
    if not bool((sums.abs() > 1e-9 * w.abs().sum(dim=1, keepdim=True)).all()):
        raise GenartError("These weights add up to 0, which has no mean: change one of them.")
    return _sums(samples, w / sums).to(samples.dtype)


def _checked(samples: Tensor, weights: Tensor) -> Tensor:
    if weights.ndim != 2 or weights.shape[1] != len(samples):
        raise GenartError(
            f"There are {len(samples)} latents and {weights.shape[-1]} weights: give one for each."
        )
    return wide(weights, samples)


def _sums(samples: Tensor, weights: Tensor) -> Tensor:
    """Added one sample after the other: in the same order in any batch."""
    total = weights.new_zeros(len(weights), *samples.shape[1:])
    for weight, sample in zip(weights.T, samples, strict=True):
        total += per_sample(weight, total) * wide(sample, samples)
    return total
