"""ComfyUI's VAE objects at work."""

from typing import Any

import comfy.model_management as mm
import torch
from torch import Tensor

from ..errors import GenartError
from ..vae.layers import UnknownError
from ..vae.seamless import Coder, decoder_of, encoder_of
from ..vae.strips import Workshop
from .progress import Progress, check_cancelled, show_text

SCALE = 1000  # steps of the bar
MOST_ON_CPU = 16 << 20


def decode(vae: Any, latents: Tensor, strip_bytes: int) -> Tensor:
    """Latents to IMAGE `[n, h, w, c]`, seamlessly; by ComfyUI's tiles where the VAE is unknown.

    Args:
        vae: ComfyUI's.
        latents: `[n, c, h, w]`, or `[n, c, t, h, w]` whose frames become pictures.
        strip_bytes: about so much of the device's memory is taken beside the weights.

    Raises:
        GenartError: when the latents are another VAE's.
    """
    try:
        coder = decoder_of(vae.first_stage_model) if vae.latent_dim == 2 else None
    except UnknownError as error:
        coder = _fallback(str(error))
    if coder is None:
        return _frames(vae.decode_tiled(latents))
    flat = latents.movedim(2, 1).flatten(0, 1) if latents.ndim == 5 else latents
    _check_channels(vae, flat)
    made = _each(vae, coder, flat, strip_bytes)
    return torch.cat([vae.process_output(x.float()) for x in made]).movedim(1, -1)


def encode(vae: Any, pixels: Tensor, strip_bytes: int) -> Tensor:
    """IMAGE `[n, h, w, c]` to latents, seamlessly; by ComfyUI's tiles where the VAE is unknown.

    Args:
        vae: ComfyUI's.
        pixels: 0..1; sides that are no multiple are cropped as ComfyUI does.
        strip_bytes: as of `decode`.
    """
    try:
        coder = encoder_of(vae.first_stage_model) if vae.latent_dim == 2 else None
    except UnknownError as error:
        coder = _fallback(str(error))
    if coder is None:
        return vae.encode_tiled(pixels[..., :3])
    cropped = vae.vae_encode_crop_pixels(pixels[..., :3]).movedim(-1, 1)
    made = _each(vae, coder, vae.process_input(cropped), strip_bytes)
    return torch.cat([z.float() for z in made])


def _fallback(why: str) -> None:
    show_text(f"{why} Working in ComfyUI's tiles instead.")


def _frames(images: Tensor) -> Tensor:
    """Video `[n, t, h, w, c]` as pictures."""
    return images.flatten(0, 1) if images.ndim == 5 else images


def _check_channels(vae: Any, latents: Tensor) -> None:
    if latents.shape[1] != vae.latent_channels:
        raise GenartError(
            f"These latents have {latents.shape[1]} channels, and this VAE's have "
            f"{vae.latent_channels}: wire the VAE of the model that made them (4 channels: SD 1.5 "
            "and SDXL; 16: SD 3 and Flux)."
        )


def _each(vae: Any, coder: Coder, inputs: Tensor, strip_bytes: int) -> list[Tensor]:
    """Code one after the other, on the VAE's device; results on the intermediate device."""
    mm.load_models_gpu([vae.patcher], memory_required=strip_bytes)
    if vae.device.type == "cpu":  # where larger ones gain nothing, and lie beside the maps
        strip_bytes = min(strip_bytes, MOST_ON_CPU)
    shop = Workshop(vae.device, strip_bytes, check_cancelled)
    bar, made = Progress(SCALE), []
    for number, each in enumerate(inputs.split(1)):

        def at(done: int, layers: int, number: int = number) -> None:
            bar.at(int(SCALE * (number + done / layers) / len(inputs)))

        plain = each.to("cpu", vae.vae_dtype)
        made.append(coder(plain, shop, at).to(mm.intermediate_device()))
    return made
