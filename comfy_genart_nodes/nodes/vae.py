"""VAEs: pictures to latents and back."""

from typing import Any

import torch
from comfy_api.latest import io

from ..host import vae as host
from ..host.progress import say
from ..host.schema import field, result, schema, within_bounds

CATEGORY = "genart/vae"
MEGABYTE = 2**20


def _vae_field() -> io.Input:
    return field(
        io.Vae,
        "vae",
        "The VAE: of SD, SDXL, SD 3, Flux, HunyuanImage or TAESD, or one of Load VAE (Diffusers). "
        "One of another kind works in ComfyUI's tiles, and the node says so.",
    )


def _memory_field() -> io.Input:
    return field(
        io.Int,
        "memory",
        "MB that a strip may take on the device beside the weights. Less is a little slower and "
        "gives the same result.",
        default=256,
        min=1,
        max=65536,
        advanced=True,
    )


class DecodeSeamless(io.ComfyNode):
    """Latents to pictures without seams."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartDecodeSeamless",
            "VAE Decode (Seamless)",
            CATEGORY,
            description=(
                "Decodes latents of any size in little memory, with the very result of VAE Decode: "
                "no tiles, no seams, no shift of colour."
            ),
            search_aliases=["tiled", "4k", "large image", "out of memory", "low vram"],
            inputs=[
                field(io.Latent, "samples", "The latents."),
                _vae_field(),
                _memory_field(),
            ],
            outputs=[result(io.Image, "images", "images", "The pictures.")],
        )

    @classmethod
    @within_bounds
    def execute(cls, samples: dict[str, Any], vae: Any, memory: int) -> io.NodeOutput:
        """Decode."""
        host.check_pictures(vae)
        images, why = host.decode(vae, host.latents_of(samples), memory * MEGABYTE)
        return io.NodeOutput(images, ui=say(why) if why else None)


class EncodeSeamless(io.ComfyNode):
    """Pictures to latents without seams."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartEncodeSeamless",
            "VAE Encode (Seamless)",
            CATEGORY,
            description=(
                "Encodes pictures of any size in little memory, with the very result of VAE Encode."
            ),
            search_aliases=["tiled", "4k", "large image", "out of memory", "low vram"],
            inputs=[
                field(io.Image, "pixels", "The pictures."),
                _vae_field(),
                _memory_field(),
            ],
            outputs=[result(io.Latent, "latents", "latents", "Their latents.")],
        )

    @classmethod
    @within_bounds
    def execute(cls, pixels: torch.Tensor, vae: Any, memory: int) -> io.NodeOutput:
        """Encode."""
        latents, why = host.encode(vae, pixels, memory * MEGABYTE)
        return io.NodeOutput({"samples": latents}, ui=say(why) if why else None)
