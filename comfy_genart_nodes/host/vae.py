"""ComfyUI's VAE objects at work."""

from collections.abc import Callable
from typing import Any

import comfy.model_management as mm
import torch
from torch import Tensor

from ..errors import GenartError
from ..vae.latent_spaces import check_family
from ..vae.layers import UnknownError
from ..vae.seamless import Coder, decoder_of, encoder_of
from ..vae.strips import Workshop
from .progress import Progress, check_cancelled

SCALE = 1000  # steps of the bar
MOST_ON_CPU = 16 << 20


def decode(vae: Any, latents: Tensor, strip_bytes: int) -> tuple[Tensor, str]:
    """Latents to IMAGE `[n, h, w, c]`, seamlessly; by ComfyUI's tiles where the VAE is unknown.

    Args:
        vae: ComfyUI's.
        latents: `[n, c, h, w]`, or `[n, c, t, h, w]` whose frames become pictures.
        strip_bytes: about so much of the device's memory is taken beside the weights.

    Returns:
        The pictures, and why they were made in tiles, if they were.

    Raises:
        GenartError: when the latents are another VAE's, or memory runs out.
    """
    if latents.ndim == 5 and vae.latent_dim == 2:
        latents = latents.movedim(2, 1).flatten(0, 1)
    coder, why = _coder(vae, decoder_of)
    if coder is None:
        try:
            return _frames(vae.decode_tiled(latents)), why
        except RuntimeError:  # a VAE nobody knows may well take others than it says
            check_family(latents, vae.latent_channels, "VAE")
            raise
    check_family(latents, vae.latent_channels, "VAE")
    made = _each(vae, coder, latents, strip_bytes)
    return torch.cat([vae.process_output(x.float()) for x in made]).movedim(1, -1), why


def encode(vae: Any, pixels: Tensor, strip_bytes: int) -> tuple[Tensor, str]:
    """IMAGE `[n, h, w, c]` to latents, seamlessly; by ComfyUI's tiles where the VAE is unknown.

    Args:
        vae: ComfyUI's.
        pixels: 0..1; sides that are no multiple are cropped as ComfyUI does.
        strip_bytes: as of `decode`.

    Returns:
        The latents, and why they were made in tiles, if they were.

    Raises:
        GenartError: when memory runs out.
    """
    coder, why = _coder(vae, encoder_of)
    if coder is None:
        return vae.encode_tiled(pixels[..., :3]), why
    cropped = vae.vae_encode_crop_pixels(pixels[..., :3]).movedim(-1, 1)
    made = _each(vae, coder, vae.process_input(cropped), strip_bytes)
    return torch.cat([z.float() for z in made]), why


def _coder(vae: Any, find: Callable[[Any], Coder]) -> tuple[Coder | None, str]:
    """What codes in strips; or why nothing does."""
    try:
        if vae.latent_dim != 2:
            raise UnknownError("This VAE makes films or sound, not pictures alone.")
        return find(vae.first_stage_model), ""
    except UnknownError as error:
        return None, f"{error} It works in ComfyUI's tiles instead."


def _frames(images: Tensor) -> Tensor:
    """Video `[n, t, h, w, c]` as pictures."""
    return images.flatten(0, 1) if images.ndim == 5 else images


def _each(vae: Any, coder: Coder, inputs: Tensor, strip_bytes: int) -> list[Tensor]:
    """Code one after the other, on the VAE's device; results on the intermediate device."""
    mm.load_models_gpu([vae.patcher], memory_required=strip_bytes)
    if vae.device.type == "cpu":  # where larger ones gain nothing, and lie beside the maps
        strip_bytes = min(strip_bytes, MOST_ON_CPU)
    heed = _heeding(coder.passes * len(inputs))
    shop = Workshop(vae.device, strip_bytes, heed, mm.OOM_EXCEPTION)
    model, made = vae.first_stage_model, []
    dtype = torch.float32 if getattr(model, "wide", False) else vae.vae_dtype
    try:
        for each in inputs.split(1):
            result = coder(each.to("cpu", dtype), shop)
            if result.dtype != dtype and hasattr(model, "wide"):
                model.wide = True
            dtype = result.dtype  # float32, once half precision ran over
            made.append(result.to(mm.intermediate_device()))
    except mm.OOM_EXCEPTION as error:
        raise GenartError(
            "Not even one row of this picture fits into the device's memory: close other programs "
            "that use it, or make the picture narrower."
        ) from error
    return made


def _heeding(passes: int) -> Callable[[float], None]:
    """Shows how many of so many passes are done, and heeds Cancel."""
    bar, shown = Progress(SCALE), -1

    def heed(done: float) -> None:
        nonlocal shown
        step = min(int(SCALE * done / passes), SCALE)
        if step == shown:  # the page need not hear of every strip
            check_cancelled()
            return
        shown = step
        bar.at(step)

    return heed
