"""Weights under the names by which ComfyUI knows a VAE without this pack."""

import torch
from torch import Tensor

from .adapter import OwnVAE, PictureVAE, SocketVAE
from .config import TINY
from .latent_spaces import Scaled
from .layouts import any_tensors
from .tiny_names import from_diffusers


def stock_weights(vae: SocketVAE) -> dict[str, Tensor]:
    """The weights of a VAE, as a file of ComfyUI's own Save VAE holds them.

    Of this pack's own those that ComfyUI has a network for are written as it knows them
    (`layouts.py`), the others under names by which this pack knows them again.
    ComfyUI turns the names of an `AutoencoderKL` into its own when it loads the file, so they stay;
    an `AutoencoderTiny` gets those of TAESD, with scale and shift of its latents. Other classes
    keep the names of diffusers.
    """
    if isinstance(vae, OwnVAE):
        return any_tensors(vae.learned)
    own: dict[str, Tensor] = vae.network.state_dict()
    space = vae.space if isinstance(vae, PictureVAE) else None
    if vae.class_name != TINY or not isinstance(space, Scaled):
        return own
    scale, shift = torch.tensor(space.scale), torch.tensor(space.shift)
    return from_diffusers(own) | {"vae_scale": scale, "vae_shift": shift}
