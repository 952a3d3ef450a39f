"""Distances between sets of features, in strips of rows, so that memory stays bounded."""

from collections.abc import Iterator

import torch
from torch import Tensor

ENTRIES = 1 << 22  # of a strip: 32 MB in float64
ZERO = 1e-12  # of the squared lengths: what rounding leaves of a distance of 0 in float64


def strips(a: Tensor, b: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Squared Euclidean distances between the rows of two sets, a strip at a time.

    In float64 by way of scalar products; what is only their rounding is 0, so that a picture lies
    at distance 0 from its copy.

    Args:
        a: `[n, d]`.
        b: `[m, d]`.

    Yields:
        Which rows of `a`, and their distances `[rows, m]`, float64. The caller may change them.
    """
    a, b = a.double(), b.double()
    lengths_a, lengths_b = a.square().sum(1), b.square().sum(1)
    rows = max(1, ENTRIES // max(1, len(b)))
    for start in range(0, len(a), rows):
        part = slice(start, min(start + rows, len(a)))
        lengths = lengths_a[part, None] + lengths_b
        squared = torch.addmm(lengths, a[part], b.T, alpha=-2)
        yield part, squared.masked_fill_(squared < ZERO * lengths, 0)
