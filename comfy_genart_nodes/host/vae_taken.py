"""A VAE that ComfyUI holds as a network of our own that can learn: a copy, on the CPU."""

import copy
from typing import Any

import torch

from ..gan.checkpoint import fingerprint
from ..vae.adapter import OwnVAE
from ..vae.files import LoadedVAE, from_weights, header_of


def taken(vae: Any) -> LoadedVAE:
    """A copy of a VAE's network.

    Args:
        vae: ComfyUI's; it stays as it is.

    Raises:
        GenartError: when it is of a kind that cannot learn here.
    """
    module = vae.first_stage_model
    # What the host holds was made in inference mode, and could never have gradients.
    with torch.inference_mode(False):
        if isinstance(module, OwnVAE):
            network = copy.deepcopy(module.network).cpu().float()
            digest = fingerprint(network.family, network.state_dict())
            return LoadedVAE(network, header_of(network, {}) | module.header, digest)
        return from_weights({name: t.cpu().clone() for name, t in vae.get_sd().items()})
