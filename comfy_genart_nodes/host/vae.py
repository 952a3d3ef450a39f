"""ComfyUI's VAE objects at work."""

from collections.abc import Callable, Iterator
from typing import Any

import comfy.model_management as mm
import torch
from torch import Tensor

from ..errors import GenartError
from ..vae.latent_spaces import check_family
from ..vae.layers import UnknownError
from ..vae.networks.vector import VectorVAE
from ..vae.seamless import Coder, decoder_of, encoder_of
from ..vae.strips import Workshop
from .progress import share_shown

MOST_ON_CPU = 16 << 20
"""Bytes of a strip where larger ones gain nothing, and lie beside the maps."""


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
    if _of_one_side(vae):
        return vae.decode(latents), ""
    coder, why = _coder(vae, decoder_of)
    if coder is None:
        try:
            tiles = _tiles(vae, vae.spacial_compression_decode())
            return _frames(vae.decode_tiled(latents, **tiles)), why
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
        GenartError: when they are smaller than one place of the latents, or memory runs out.
    """
    pixels = cropped(vae, pixels)
    if _of_one_side(vae):
        return vae.encode(pixels), ""
    coder, why = _coder(vae, encoder_of)
    if coder is None:
        return vae.encode_tiled(pixels, **_tiles(vae, 1)), why
    made = _each(vae, coder, vae.process_input(pixels.movedim(-1, 1)), strip_bytes)
    return torch.cat([z.float() for z in made]), why


def check_pictures(vae: Any) -> None:
    """Refuse what is no VAE of pictures.

    Raises:
        GenartError: so; ComfyUI's own error where it holds none at all.
    """
    vae.throw_exception_if_invalid()
    if vae.latent_dim not in (2, 3) or vae.output_channels != 3:
        raise GenartError("This VAE is not one of pictures: wire one that makes images.")


def latents_of(samples: dict[str, Any]) -> Tensor:
    """What a LATENT of pictures holds, `[n, c, h, w]` or, of films, `[n, c, t, h, w]`.

    Raises:
        GenartError: when it is one of something else.
    """
    latents = samples["samples"]
    if not isinstance(latents, Tensor) or latents.ndim not in (4, 5):
        raise GenartError("These latents are not of pictures: wire those of VAE Encode.")
    return latents


def cropped(vae: Any, image: Tensor) -> Tensor:
    """The middle of an IMAGE, `[n, h, w, 3]`, of sides that the VAE takes.

    Raises:
        GenartError: when it is smaller than one place of the latents.
    """
    cut: Tensor = vae.vae_encode_crop_pixels(image[..., :3])
    if cut.numel() == 0:
        h, w = image.shape[1:3]
        raise GenartError(
            f"Pictures of {w}x{h} pixels are too small for this VAE, which works in steps of "
            f"{vae.spacial_compression_encode()}: scale them up."
        )
    return cut


def _of_one_side(vae: Any) -> bool:
    """Whether its pictures are all of one size, of which tiles are none."""
    return isinstance(getattr(vae.first_stage_model, "network", None), VectorVAE)


def _tiles(vae: Any, factor: int) -> dict[str, int]:
    """Size and overlap of ComfyUI's tiles for films, where it needs to be told."""
    if vae.latent_dim != 3:
        return {}
    side = max(256 // factor, 1)
    return {"tile_x": side, "tile_y": side, "overlap": side // 4}


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


def _each(vae: Any, coder: Coder, inputs: Tensor, strip_bytes: int) -> Iterator[Tensor]:
    """Code one after the other, on the VAE's device; results on the intermediate device."""
    mm.load_models_gpu([vae.patcher], memory_required=strip_bytes)
    if vae.device.type == "cpu":
        strip_bytes = min(strip_bytes, MOST_ON_CPU)
    heed = _heeding(coder.passes * len(inputs))
    shop = Workshop(vae.device, strip_bytes, heed, mm.OOM_EXCEPTION)
    model = vae.first_stage_model
    dtype = torch.float32 if getattr(model, "wide", False) else vae.vae_dtype
    try:
        for each in inputs.split(1):
            result = coder(each.to("cpu", dtype), shop)
            if result.dtype != dtype and hasattr(model, "wide"):
                model.wide = True
            dtype = result.dtype  # float32, once half precision ran over
            yield result.to(mm.intermediate_device())
    except mm.OOM_EXCEPTION as error:
        raise GenartError(
            "Not even one row of this picture fits into the device's memory: close other programs "
            "that use it, or make the picture narrower."
        ) from error


def _heeding(passes: int) -> Callable[[float], None]:
    """Shows how many of so many passes are done, and heeds Cancel."""
    show = share_shown()
    return lambda done: show(done / passes)
