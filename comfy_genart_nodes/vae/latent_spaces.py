"""Latents as diffusers' classes make them, and as they travel in ComfyUI.

ComfyUI's latents are those that a diffusion model's scale and shift have not touched yet; two
classes of diffusers see it otherwise.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import GenartError
from ..latent.families import family

ITSELF = "the VAE itself"

ANOTHER = "decode them with the VAE of the model that made them"
"""What to do with latents of another VAE, for a message."""


class LatentSpace(Protocol):
    """How latents of a class become ComfyUI's, and back."""

    def travelling(self, z: Tensor) -> Tensor:
        """ComfyUI's latents from those of the class."""

    def own(self, z: Tensor) -> Tensor:
        """Latents of the class from ComfyUI's."""


@dataclass(frozen=True)
class Scaled:
    """Latents of the class are (z - shift) * scale."""

    scale: float = 1.0
    shift: float = 0.0

    def travelling(self, z: Tensor) -> Tensor:
        """As of `LatentSpace`."""
        return z / self.scale + self.shift

    def own(self, z: Tensor) -> Tensor:
        """As of `LatentSpace`."""
        return (z - self.shift) * self.scale


@dataclass(frozen=True, eq=False)
class Patches:
    """Flux.2: 2x2 places become channels, brought to mean 0 and deviation 1.

    In diffusers the pipeline does this, in ComfyUI the VAE.

    Args:
        norm: the statistics, of the channels of patches.
    """

    norm: nn.BatchNorm2d

    def travelling(self, z: Tensor) -> Tensor:
        """[n, c, h, w] to [n, 4c, h/2, w/2]."""
        mean, deviation = self._statistics(z)
        return (F.pixel_unshuffle(z, 2) - mean) / deviation

    def own(self, z: Tensor) -> Tensor:
        """[n, 4c, h/2, w/2] to [n, c, h, w]."""
        mean, deviation = self._statistics(z)
        return F.pixel_shuffle(z * deviation + mean, 2)

    def _statistics(self, z: Tensor) -> tuple[Tensor, Tensor]:
        mean, variance = self.norm.running_mean, self.norm.running_var
        assert mean is not None and variance is not None
        return (
            mean.view(1, -1, 1, 1).to(z),
            torch.sqrt(variance.view(1, -1, 1, 1) + self.norm.eps).to(z),
        )


def check_family(latents: Tensor, channels: int, name: str) -> None:
    """Refuse latents of another family than a VAE's.

    Args:
        latents: [n, c, ...].
        channels: that it takes.
        name: what it is.

    Raises:
        GenartError: when they have another number of channels.
    """
    if latents.shape[1] != channels:
        raise GenartError(
            f"These latents have {family(latents.shape[1])}, and this {name} takes "
            f"{family(channels)}: {ANOTHER}."
        )
