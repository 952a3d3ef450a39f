"""The engine's VAEs as ComfyUI's own VAE object, which every node with a VAE socket takes."""

import copy
from collections.abc import Sequence
from typing import Any

import comfy.model_management as mm
import comfy.sd
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..gan.checkpoint import fingerprint
from ..vae.adapter import Layout, OwnVAE, SocketVAE
from ..vae.files import LoadedVAE, from_weights, header_of
from ..vae.networks.autoencoder import Autoencoder
from ..vae.stock import stock_weights


def as_vae(vae: SocketVAE | LoadedVAE | Autoencoder) -> comfy.sd.VAE:
    """A VAE for ComfyUI's sockets.

    It begins as the smallest that ComfyUI builds, of which everything that tells how it encodes and
    decodes is replaced: other hosts' objects have more attributes than we know.

    Args:
        vae: on the CPU; it lives as long as the result does.
    """
    if isinstance(vae, LoadedVAE):
        vae = OwnVAE(vae.network, vae.header)
    elif isinstance(vae, Autoencoder):
        vae = OwnVAE(vae)
    made = comfy.sd.VAE(sd={"pixel_space_vae": torch.tensor(1.0)})
    made.working_dtypes = [torch.float32] if vae.wide else [torch.bfloat16, torch.float32]
    made.vae_dtype = torch.float32 if vae.wide else mm.vae_dtype(made.device, made.working_dtypes)
    if isinstance(vae, OwnVAE) and made.vae_dtype != torch.float32:
        vae.keep_learned()
    made.first_stage_model = vae.to(made.vae_dtype)
    made.patcher = ModelPatcher(
        vae, load_device=made.device, offload_device=mm.vae_offload_device()
    )
    made.size = mm.module_size(vae)
    made.disable_offload = True  # its layers cannot be brought to the device one by one
    made.get_sd = lambda: stock_weights(vae)
    made.output_channels = 3
    made.process_input = _to_pictures
    made.process_output = _to_image
    _lay_out(made, vae.layout, joined=vae.kind.joined)
    _estimate(made, vae)
    return made


def loaded_of(vae: comfy.sd.VAE) -> LoadedVAE:
    """The network of any VAE that this pack has a class for, and what is known of it; a copy.

    Args:
        vae: ComfyUI's, wherever it came from; it stays as it is.

    Raises:
        GenartError: when it is of another kind.
    """
    vae.throw_exception_if_invalid()
    model = vae.first_stage_model
    if not isinstance(model, OwnVAE):
        return from_weights(vae.get_sd(), "This VAE")
    network = copy.deepcopy(model.learned).to("cpu", torch.float32)
    header = model.header or header_of(network, {})
    return LoadedVAE(network, header, fingerprint(network.family, network.state_dict()))


def _lay_out(made: Any, layout: Layout, joined: bool) -> None:
    """Tell how latents lie."""
    made.latent_channels = layout.channels
    made.latent_dim = 2 if layout.frames is None else 3
    made.not_video = not joined
    made.downscale_ratio = made.upscale_ratio = layout.factor
    if layout.frames is not None:
        side, step = layout.factor, layout.frames
        made.upscale_ratio = (lambda t: max(0, (t - 1) * step + 1), side, side)
        made.downscale_ratio = (lambda t: max(0, (t - 1) // step + 1), side, side)
        made.upscale_index_formula = made.downscale_index_formula = (step, side, side)


def _estimate(made: Any, vae: SocketVAE) -> None:
    """Tell how much memory it takes, in bytes for a shape and a dtype."""

    def need(shape: Sequence[int], dtype: torch.dtype, factor: int) -> int:
        # Films are worked on a few frames at a time, whatever their length.
        width = 4 if vae.wide else dtype.itemsize
        return vae.kind.numbers * shape[-1] * shape[-2] * factor**2 * width

    made.memory_used_encode = lambda shape, dtype: need(shape, dtype, 1)
    made.memory_used_decode = lambda shape, dtype: need(shape, dtype, vae.layout.factor)


def _to_pictures(image: Tensor) -> Tensor:
    """ComfyUI's 0..1 to the engine's -1..1."""
    return image * 2.0 - 1.0


def _to_image(pictures: Tensor) -> Tensor:
    """The engine's -1..1 to ComfyUI's 0..1, in place: from 0.33 on that is what it looks at."""
    return pictures.div_(2).add_(0.5).clamp_(0.0, 1.0)
