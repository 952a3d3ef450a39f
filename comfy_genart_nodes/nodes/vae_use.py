"""Pictures through any VAE: what it keeps of them, and pictures freed of noise by it."""

from typing import Any

from comfy_api.latest import io, ui
from torch import Tensor

from ..host import images as host_images
from ..host.progress import say
from ..host.schema import field, result, schema, seed_field, within_bounds
from ..host.vae_passes import Passes, pictures_of
from ..vae import denoise, error_map
from ..vae.round_trip import decibel, round_trip

CATEGORY = "genart/vae"
SHOWN = 16  # pictures on the node, at most


class RoundTripVAE(io.ComfyNode):
    """Pictures there and back, once or many times."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartVAERoundTrip",
            "VAE Round Trip",
            CATEGORY,
            description=(
                "Encodes pictures and decodes them again: shows what this VAE loses, where, how "
                "much in figures, and how pictures drift when it happens again and again."
            ),
            search_aliases=["psnr", "ssim", "reconstruction", "compare vae", "error", "quality"],
            inputs=[
                field(io.Vae, "vae", "Any VAE of pictures."),
                field(io.Image, "images", "The pictures."),
                field(
                    io.Int,
                    "trips",
                    "How many times in a row. More than one shows the drift of repeated inpainting "
                    "and upscaling.",
                    default=1,
                    min=1,
                    max=100,
                ),
                field(
                    io.Int,
                    "brightest",
                    "The error, in levels of 255, that the map shows brightest. 0: a round number "
                    "that fits. Set it to compare the maps of several VAEs.",
                    default=0,
                    min=0,
                    max=255,
                ),
            ],
            outputs=[
                result(io.Image, "rebuilt", "rebuilt", "The pictures after one trip."),
                result(
                    io.Image,
                    "compared",
                    "compared",
                    "Each picture, what one trip made of it, and where it changed how much, with "
                    "the scale of the map.",
                ),
                result(io.Image, "error_map", "error map", "The map alone, pixel for pixel."),
                result(
                    io.Image,
                    "drift",
                    "drift",
                    "The first picture after each of the trips, as a batch.",
                ),
                result(io.String, "report", "report", "PSNR and SSIM, of every trip and in words."),
                result(
                    io.Float,
                    "psnr",
                    "PSNR",
                    "Of one trip, in dB, of all pictures together: higher is better. Infinite "
                    "where nothing changed.",
                ),
                result(
                    io.Float, "ssim", "SSIM", "Of one trip, the mean of all pictures: 1 is equal."
                ),
            ],
        )

    @classmethod
    @within_bounds
    def execute(cls, vae: Any, images: Tensor, trips: int, brightest: int) -> io.NodeOutput:
        """Send them."""
        passes = Passes(vae, 2 * trips * len(images))
        pictures = passes.cropped(images)
        found = round_trip(passes.there_and_back, pictures, trips)
        wrong = error_map.errors(found.rebuilt, pictures)
        end = brightest or error_map.end_of_scale(wrong)
        maps = error_map.coloured(wrong, end)
        words = [f"rebuilt: {decibel(value)}" for value in found.each]
        beside = error_map.compared(pictures, found.rebuilt, maps, end, words)
        compared = host_images.to_image(beside)
        text = found.text() + _cropped(images, pictures)
        shown = say(text).as_dict() | ui.PreviewImage(compared[:SHOWN], cls=cls).as_dict()
        return io.NodeOutput(
            host_images.to_image(found.rebuilt),
            compared,
            host_images.to_image(maps),
            host_images.to_image(found.drift),
            text,
            found.trips[0].psnr,
            found.trips[0].ssim,
            ui=shown,
        )


def _cropped(images: Tensor, pictures: Tensor) -> str:
    """A line on what was cut off, where something was."""
    (height, width), (h, w) = images.shape[1:3], pictures.shape[2:]
    if (height, width) == (h, w):
        return ""
    return f"\nOf {width}x{height} pixels the VAE takes the middle {w}x{h}: that was compared."


class DenoiseByVAE(io.ComfyNode):
    """Pictures as a VAE sees them, averaged over several looks."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartDenoiseByVAE",
            "Denoise by VAE",
            CATEGORY,
            description=(
                "Takes noise and grain that a VAE has no room for out of pictures: the mean of "
                "what the VAE rebuilds with its grid in several places."
            ),
            search_aliases=["smooth", "grain", "cycle spinning", "clean", "jpeg", "restore"],
            inputs=[
                field(io.Vae, "vae", "Any VAE of pictures."),
                field(io.Image, "images", "The pictures."),
                field(
                    io.Int,
                    "passes",
                    "How many rebuilt pictures are averaged, each with the VAE's grid elsewhere. 1 "
                    "is VAE Encode and VAE Decode; more take longer and leave less of the VAE's "
                    "own grain.",
                    default=8,
                    min=1,
                    max=64,
                ),
                field(
                    io.Float,
                    "noise",
                    "Noise that each pass adds before the VAE looks, as a part of black to white. "
                    "A little more smooths finer detail away; 0 adds none.",
                    default=0.0,
                    min=0.0,
                    max=0.5,
                    step=0.005,
                ),
                seed_field("Of that noise.", control=False),
            ],
            outputs=[result(io.Image, "cleaned", "cleaned", "The pictures, of the size they had.")],
        )

    @classmethod
    @within_bounds
    def execute(
        cls, vae: Any, images: Tensor, passes: int, noise: float, seed: int
    ) -> io.NodeOutput:
        """Average."""
        work = Passes(vae, 2 * passes * len(images))
        pictures = pictures_of(images)
        cleaned = denoise.denoise(work.there_and_back, pictures, work.factor, passes, noise, seed)
        return io.NodeOutput(host_images.to_image(cleaned))
