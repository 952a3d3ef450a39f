"""What generators without a mapping network share."""

import torch
from torch import Tensor

from .generator import Generator


class UnmappedSpec:
    """What such networks' specs share, those without classes: one w, as long as z."""

    z_dim: int

    @property
    def w_dim(self) -> int:
        """Length of z, which stands for w."""
        return self.z_dim

    @property
    def c_dim(self) -> int:
        """No classes."""
        return 0

    @property
    def num_ws(self) -> int:
        """The one place where z goes in."""
        return 1


class Unmapped(Generator):
    """A generator that takes z as it is: w is z, and the mean of w the origin.

    Truncation therefore shortens z, which is what such networks know as truncation (Brock et al.
    2019, arXiv 1809.11096, without its redrawing).
    """

    @property
    def w_avg(self) -> Tensor:
        """Zeros `[w_dim]`."""
        return torch.zeros(self.spec.w_dim, device=next(self.parameters()).device)

    def map(self, z: Tensor, classes: Tensor | None = None) -> Tensor:
        """`z [n, z_dim]` itself."""
        return z.to(torch.promote_types(z.dtype, torch.float32))
