"""What the CPU draws or reads, brought to where networks compute, without waiting for it there."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor


def send(x: Tensor, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """`x` on a device, of a type; on a card of CUDA's the CPU goes on at once.

    A copy that the CPU waits for makes it wait for everything that it has ordered before, and the
    card then waits for the next order. The memory of `x` may be used again at once, since CUDA
    keeps a copy of what is not pinned. Others than CUDA have had errors in this.
    """
    return x.to(device, dtype or x.dtype, non_blocking=device.type == "cuda")


class Giver(Protocol):
    """Brings what a function makes on the CPU to a device, of a type (its own by default)."""

    def __call__(
        self, make: Callable[[], Tensor], device: torch.device, dtype: torch.dtype | None = None
    ) -> Tensor:
        """Give it."""


def give(
    make: Callable[[], Tensor], device: torch.device, dtype: torch.dtype | None = None
) -> Tensor:
    """Send what is made now: the plain `Giver`."""
    return send(make(), device, dtype)
