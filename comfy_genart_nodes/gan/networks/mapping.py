"""The mapping network of StyleGAN2 and StyleGAN3: z (and a class) to w."""

import torch
from torch import Tensor, nn

from ...errors import GenartError
from .layers import Linear, normalize

_MEMORY = 0.995  # of the mean, a step (Karras et al. 2019)


def follow(mean: Tensor, w: Tensor) -> None:
    """Move a remembered mean `[w_dim]` towards that of `w [n, w_dim]`."""
    mean.copy_(w.detach().mean(dim=0).lerp(mean, _MEMORY))


class Mapping(nn.Module):
    """z (and a class) to w; remembers the mean of w for truncation.

    Args:
        z_dim: length of z; 0 for the discriminator's mapping of the class alone.
        c_dim: number of classes.
        w_dim: length of w.
        layers: fully connected layers.
    """

    w_avg: Tensor

    def __init__(self, z_dim: int, c_dim: int, w_dim: int, layers: int) -> None:
        super().__init__()
        self.z_dim, self.c_dim, self.layers = z_dim, c_dim, layers
        width = z_dim
        if c_dim:
            self.embed = Linear(c_dim, w_dim)
            width += w_dim
        for i in range(layers):
            setattr(self, f"fc{i}", Linear(width, w_dim, rate=0.01, activate=True))
            width = w_dim
        if z_dim:
            self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Tensor | None, classes: Tensor | None = None) -> Tensor:
        """Map `z [n, z_dim]` and one-hot or blended `classes [n, c_dim]` to `w [n, w_dim]`."""
        parts = [] if z is None else [normalize(z)]
        if self.c_dim:
            if classes is None:
                raise GenartError(f"This network has {self.c_dim} classes: say which one to make.")
            parts.append(normalize(self.embed(classes)))
        x = torch.cat(parts, dim=1)
        for i in range(self.layers):
            x = getattr(self, f"fc{i}")(x)
        return x

    def track(self, w: Tensor) -> None:
        """Move the remembered mean towards that of `w [n, w_dim]`."""
        follow(self.w_avg, w)
