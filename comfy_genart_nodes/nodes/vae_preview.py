"""Latents as pictures without their decoder."""

from typing import Any

from comfy_api.latest import io, ui
from torch import Tensor

from ..host import images as host_images
from ..host.progress import say
from ..host.schema import field, result, schema, within_bounds
from ..host.vae import latents_of
from ..host.vae_passes import Passes
from ..vae import preview

CATEGORY = "genart/vae"


class FitLatentPreview(io.ComfyNode):
    """Which colour each channel of a VAE's latents stands for."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartFitLatentPreview",
            "Fit Latent Preview",
            CATEGORY,
            description=(
                "Finds the linear map from a VAE's latents to colours that comes nearest to your "
                "pictures: latents can then be looked at without decoding them."
            ),
            search_aliases=["latent_rgb_factors", "latent2rgb", "preview factors"],
            inputs=[
                field(io.Vae, "vae", "Any VAE of pictures."),
                field(
                    io.Image,
                    "images",
                    "A few colourful pictures: together they need more places than the latents "
                    "have channels.",
                ),
            ],
            outputs=[
                result(
                    io.String,
                    "factors",
                    "factors",
                    "The map, as JSON with the names of ComfyUI's latent formats: for Latent "
                    "Preview.",
                ),
                result(
                    io.Float,
                    "explained",
                    "explained",
                    "The part of the colours' variance that the map gives back: 1 is all.",
                ),
            ],
        )

    @classmethod
    def execute(cls, vae: Any, images: Tensor) -> io.NodeOutput:
        """Encode and fit."""
        passes = Passes(vae, len(images))
        pictures = passes.cropped(images)
        factors, share = preview.fit(passes.encode(pictures), pictures)
        shown = say(f"{share:.1%} of the colours' variance are in the preview.")
        return io.NodeOutput(factors.text(), share, ui=shown)


class PreviewLatent(io.ComfyNode):
    """Latents as small pictures, at once."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartLatentPreview",
            "Latent Preview",
            CATEGORY,
            description="Shows latents as pictures without decoding them: one colour a place.",
            search_aliases=["latent to rgb", "latent2rgb", "see latent"],
            is_output_node=True,
            inputs=[
                field(io.Latent, "samples", "The latents, of pictures or films."),
                field(
                    io.String,
                    "factors",
                    "From Fit Latent Preview with the same VAE; or such JSON from elsewhere.",
                    force_input=True,
                ),
                field(
                    io.Int,
                    "scale",
                    "Pixels along a side for each place of the latents.",
                    default=8,
                    min=1,
                    max=64,
                ),
            ],
            outputs=[result(io.Image, "images", "images", "A picture for each latent.")],
        )

    @classmethod
    @within_bounds
    def execute(cls, samples: dict[str, Any], factors: str, scale: int) -> io.NodeOutput:
        """Map each place to its colour."""
        made = preview.shown(preview.read_factors(factors), latents_of(samples), scale)
        image = host_images.to_image(made)
        return io.NodeOutput(image, ui=ui.PreviewImage(image, cls=cls))
