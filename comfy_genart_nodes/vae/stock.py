"""Weights under the names by which ComfyUI knows a VAE without this pack."""

import re

import torch
from torch import Tensor

from .adapter import PictureVAE
from .latent_spaces import Scaled


def stock_weights(vae: PictureVAE) -> dict[str, Tensor]:
    """The weights of a VAE, as a file of ComfyUI's own Save VAE holds them.

    ComfyUI turns the names of an `AutoencoderKL` into its own when it loads the file, so they stay;
    an `AutoencoderTiny` gets those of TAESD, with scale and shift of its latents. Other classes
    keep the names of diffusers.
    """
    own: dict[str, Tensor] = vae.network.state_dict()
    if vae.class_name != "AutoencoderTiny" or not isinstance(vae.space, Scaled):
        return own
    scale, shift = torch.tensor(vae.space.scale), torch.tensor(vae.space.shift)
    return {_of_taesd(name): value for name, value in own.items()} | {
        "vae_scale": scale,
        "vae_shift": shift,
    }


def _of_taesd(name: str) -> str:
    """TAESD's name of a tensor: its decoder counts the clamp before its first layer, too."""
    part, layer, rest = re.fullmatch(r"(encoder|decoder)\.layers\.(\d+)\.(.+)", name).groups()  # type: ignore[union-attr]
    return f"taesd_{part}.{int(layer) + (part == 'decoder')}.{rest}"
