"""Latents as points of a sphere: angles, great circles, tangents, means.

A sample is everything but the first axis, whatever its shape: of noise it is the whole sample that
lies on a sphere, not its pixels. All is computed in float64 (float32 where a device has no other),
and sums are taken in an order that does not depend on the batch: a sample's result is the same
alone and in company.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

_PIECE = 1024
"""Numbers added at a time: of a large sample alone, threads would share the sum otherwise."""

_NOTHING = 1e-12
"""Norms below it are zero."""


def wide(x: Tensor | float, like: Tensor) -> Tensor:
    """Numbers as it computes with them, where `like` is: in float64, but on Apple's cards."""
    dtype = torch.float32 if like.device.type == "mps" else torch.float64
    return torch.as_tensor(x).to(like.device, dtype)


def per_sample(t: Tensor | float, like: Tensor) -> Tensor:
    """Numbers `[n]`, or one for all, in the shape that multiplies samples `[n, ...]`."""
    return wide(t, like).expand(len(like)).reshape(-1, *[1] * (like.ndim - 1))


def inner(a: Tensor, b: Tensor) -> Tensor:
    """Inner products of samples `[n, ...]`: wide, `[n]`."""
    product = (wide(a, a) * wide(b, a)).flatten(1)
    piece = min(_PIECE, product.shape[1])
    padded = F.pad(product, (0, -product.shape[1] % piece))
    return padded.unflatten(1, (-1, piece)).sum(dim=2).sum(dim=1)


def norms(x: Tensor) -> Tensor:
    """Euclidean norms of samples `[n, ...]`: wide, `[n]`."""
    return inner(x, x).sqrt()


def units(x: Tensor) -> Tensor:
    """Samples of norm 1, wide; one of zeros stays."""
    return wide(x, x) / per_sample(norms(x).clamp(min=_NOTHING), x)


def angles(a: Tensor, b: Tensor) -> Tensor:
    """Angles between samples, 0 to pi, exact near both ends (Kahan 2006): wide, `[n]`."""
    u, v = units(a), units(b)
    return 2 * torch.atan2(norms(u - v), norms(u + v))


def lerp(a: Tensor, b: Tensor, t: Tensor | float) -> Tensor:
    """Straight lines from samples to others; t beyond 0 and 1 goes on.

    Args:
        a: samples `[n, ...]`.
        b: as many.
        t: `[n]`, or one number for all.
    """
    at = per_sample(t, a)
    return _exact_ends(wide(a, a) * (1 - at) + wide(b, a) * at, a, b, at)


def nlerp(a: Tensor, b: Tensor, t: Tensor | float) -> Tensor:
    """Straight lines whose norms are then those that lie between the ends': as `lerp`."""
    at = per_sample(t, a)
    return _exact_ends(units(wide(a, a) * (1 - at) + wide(b, a) * at) * _norm(a, b, at), a, b, at)


def slerp(a: Tensor, b: Tensor, t: Tensor | float) -> Tensor:
    """Great circles from samples to others (Shoemake 1985), norms in between; as `lerp`.

    Opposite samples have many great circles between them: one through a fixed place is taken.
    From or to a sample of zeros it is the straight line.
    """
    at = per_sample(t, a)
    tangent = log(a, b)
    turned = at * per_sample(norms(tangent), a)
    circle = turned.cos() * units(a) + turned.sin() * units(tangent)
    # A sample of zeros has no direction: the whole way has the other's.
    circle = torch.where(per_sample(norms(a), a) < _NOTHING, units(b), circle)
    circle = torch.where(per_sample(norms(b), a) < _NOTHING, units(a), circle)
    return _exact_ends(circle * _norm(a, b, at), a, b, at)


def log(a: Tensor, b: Tensor) -> Tensor:
    """The tangents at samples that point to others, as long as the angles: wide, `[n, ...]`."""
    u, v = units(a), units(b)
    across = v - per_sample(inner(u, v), u) * u
    opposite = per_sample(norms(u + v), u) < 1e-7  # what is left of `across` is rounding
    return units(torch.where(opposite, _quarter_turn(u), across)) * per_sample(angles(a, b), u)


def exp(a: Tensor, tangent: Tensor) -> Tensor:
    """Where great circles from samples lead along tangents, of norm 1: wide, `[n, ...]`."""
    length = per_sample(norms(tangent), a)
    return length.cos() * units(a) + length.sin() * units(tangent)


def karcher_mean(samples: Tensor, weights: Tensor | None = None, rounds: int = 100) -> Tensor:
    """The point of the sphere that is nearest to samples (Karcher 1977); its norm is their mean.

    Args:
        samples: `[k, ...]`, none of zeros, spread over less than half of the sphere.
        weights: `[k]`; alike where left out.
        rounds: at most; it ends where nothing moves.

    Returns:
        `[1, ...]`.
    """
    given = wide(torch.ones(len(samples)) if weights is None else weights, samples)
    shares = given / given.sum()
    weight = per_sample(shares, samples)
    points = units(samples)
    mean = units((points * weight).sum(dim=0, keepdim=True))
    for _ in range(rounds):
        step = (log(mean.expand_as(points), points) * weight).sum(dim=0, keepdim=True)
        mean = exp(mean, step)
        if float(norms(step)) < _NOTHING:
            break
    return (units(mean) * (norms(samples) * shares).sum()).to(samples.dtype)


def _norm(a: Tensor, b: Tensor, at: Tensor) -> Tensor:
    """What lies between the norms of samples, in the shape that multiplies them.

    Beyond an end it is the end's: a norm that went on falling would come out behind the origin.
    """
    at = at.clamp(0, 1)
    return per_sample(norms(a), a) * (1 - at) + per_sample(norms(b), a) * at


def _exact_ends(moved: Tensor, a: Tensor, b: Tensor, at: Tensor) -> Tensor:
    """In the samples' dtype; at 0 and 1 the ends themselves, without rounding."""
    return torch.where(at == 0, a, torch.where(at == 1, b, moved.to(a.dtype)))


def _quarter_turn(x: Tensor) -> Tensor:
    """Samples at right angles to others: neighbouring numbers change places, one with its sign."""
    flat = x.flatten(1)
    pairs = flat[:, : flat.shape[1] // 2 * 2].unflatten(1, (-1, 2))
    turned = torch.stack([-pairs[..., 1], pairs[..., 0]], dim=2).flatten(1)
    return F.pad(turned, (0, flat.shape[1] % 2)).reshape(x.shape)
