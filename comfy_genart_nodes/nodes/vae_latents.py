"""Latents of any VAE: attributes as directions, draws of chance, what each dimension does."""

from typing import Any

from comfy_api.latest import io, ui
from torch import Tensor

from ..errors import GenartError, check_choice
from ..host import images as host_images
from ..host.progress import say
from ..host.schema import field, result, schema, seed_field, within_bounds
from ..host.vae import latents_of
from ..host.vae_passes import Passes
from ..vae import attributes, prior, sheet, traversal
from ..vae.latent_spaces import check_family

CATEGORY = "genart/vae"
OWN_PLACE, EVERYWHERE = "each place its own", "same everywhere"
PLACES = [OWN_PLACE, EVERYWHERE]
WIRED = "the latents wired in"


class MakeAttributeVector(io.ComfyNode):
    """Two sets of pictures to the direction between them."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartAttributeVector",
            "VAE Attribute Vector",
            CATEGORY,
            description=(
                "What pictures with an attribute have and others have not (a smile, a hat, dusk), "
                "as a direction in the VAE's latents: for Apply Attribute."
            ),
            search_aliases=["direction", "concept", "mean difference", "slider", "edit"],
            inputs=[
                field(io.Vae, "vae", "Any VAE of pictures."),
                field(io.Image, "having", "Pictures that have the attribute: ten or more."),
                field(
                    io.Image,
                    "lacking",
                    "Pictures without it that are otherwise alike: what else the two sets differ "
                    "in becomes part of the direction.",
                ),
                field(
                    io.Combo,
                    "places",
                    "Each place its own: for pictures that are laid out alike, as faces in the "
                    "middle. Same everywhere: for what has no place, as colour and light; takes "
                    "pictures of different sizes.",
                    options=PLACES,
                    default=OWN_PLACE,
                ),
            ],
            outputs=[
                result(io.Latent, "direction", "direction", "The direction, for Apply Attribute."),
                result(
                    io.String,
                    "report",
                    "report",
                    "How many of the pictures the direction tells apart.",
                ),
            ],
        )

    @classmethod
    @within_bounds
    def execute(cls, vae: Any, having: Tensor, lacking: Tensor, places: str) -> io.NodeOutput:
        """Encode both sets and subtract their means."""
        check_choice("places", places, PLACES)
        passes = Passes(vae, len(having) + len(lacking))
        both = [passes.encode(passes.cropped(images)) for images in (having, lacking)]
        found = attributes.direction(*both, everywhere=places == EVERYWHERE)
        return io.NodeOutput({"samples": found.step}, found.text(), ui=say(found.text()))


class ApplyAttribute(io.ComfyNode):
    """Latents with an attribute added."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartApplyAttribute",
            "Apply Attribute",
            CATEGORY,
            description="Adds an attribute to latents, or takes it away.",
            search_aliases=["direction", "concept", "slider", "edit"],
            inputs=[
                field(io.Latent, "samples", "Latents of the VAE that the direction was made with."),
                field(io.Latent, "direction", "From VAE Attribute Vector."),
                field(
                    io.Float,
                    "strength",
                    "1: as much as the two sets of pictures differ. Less than 0 takes the "
                    "attribute away; 0 changes nothing.",
                    default=1.0,
                    min=-10.0,
                    max=10.0,
                    step=0.05,
                ),
                field(
                    io.Int,
                    "steps",
                    "1: one result for each latent. More: so many, from none to the whole "
                    "strength, for an animation or a sheet.",
                    default=1,
                    min=1,
                    max=1024,
                ),
            ],
            outputs=[
                result(
                    io.Latent,
                    "changed",
                    "latents",
                    "The latents, changed; all steps of one follow each other.",
                )
            ],
        )

    @classmethod
    @within_bounds
    def execute(
        cls, samples: dict[str, Any], direction: dict[str, Any], strength: float, steps: int
    ) -> io.NodeOutput:
        """Add."""
        latents = latents_of(samples)
        made = attributes.apply(latents, latents_of(direction), strength, steps)
        return io.NodeOutput(_with_steps(samples, steps) | {"samples": made})


def _with_steps(samples: dict[str, Any], steps: int) -> dict[str, Any]:
    """What else a LATENT holds, for as many results of each of its latents."""
    kept, count = dict(samples), len(samples["samples"])
    if steps > 1:
        kept.pop("batch_index", None)  # each would draw the noise of another place
        mask = kept.get("noise_mask")
        if isinstance(mask, Tensor) and len(mask) == count:
            kept["noise_mask"] = mask.repeat_interleave(steps, 0)
    return kept


class SampleVAEPrior(io.ComfyNode):
    """Latents by chance."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartSampleVAEPrior",
            "Sample VAE Prior",
            CATEGORY,
            description=(
                "Latents by chance, as this VAE's latents are spread: new pictures from a VAE with "
                "one vector for each, textures from one with a grid of places."
            ),
            search_aliases=["random latent", "noise", "generate"],
            inputs=[
                field(io.Vae, "vae", "The VAE that will decode them."),
                seed_field("Of the first latent; the next ones have the next seeds."),
                field(io.Int, "batch_size", "How many latents.", default=4, min=1, max=4096),
                field(
                    io.Int, "width", "Of the pictures, in pixels.", default=512, min=8, max=16384
                ),
                field(
                    io.Int, "height", "Of the pictures, in pixels.", default=512, min=8, max=16384
                ),
                field(
                    io.Float,
                    "temperature",
                    "1: as varied as the latents of pictures. Less is closer to the mean picture, "
                    "more is wilder.",
                    default=1.0,
                    min=0.0,
                    max=10.0,
                    step=0.05,
                ),
                field(
                    io.Latent,
                    "like",
                    "Latents of your pictures, to take the mean and spread of each channel from. "
                    "Without them: what the VAE knows of itself, or else mean 0 and deviation 1.",
                    optional=True,
                ),
            ],
            outputs=[
                result(io.Latent, "latents", "latents", "The latents."),
                result(io.String, "about", "about", "Where mean and spread are from."),
            ],
        )

    @classmethod
    @within_bounds
    def execute(
        cls,
        vae: Any,
        seed: int,
        batch_size: int,
        width: int,
        height: int,
        temperature: float,
        like: dict[str, Any] | None = None,
    ) -> io.NodeOutput:
        """Draw."""
        passes = Passes(vae)
        known = passes.statistics() or prior.standard(passes.channels)
        if like is not None:
            known = prior.measured(latents_of(like), WIRED)
        shape = (batch_size, passes.channels, *passes.places(width, height))
        made = passes.settled(prior.sample(known, shape, seed, temperature))
        about = f"Mean and spread: {known.source}."
        return io.NodeOutput({"samples": made}, about, ui=say(about))


class TraverseLatent(io.ComfyNode):
    """One dimension after the other, as a sheet."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartLatentTraversal",
            "Latent Traversal",
            CATEGORY,
            description=(
                "A sheet that shows what each dimension of a VAE's latents does: in every row one "
                "is moved, and the middle is the picture as it was."
            ),
            search_aliases=["disentangle", "beta-vae", "dimensions", "channels", "walk"],
            inputs=[
                field(io.Vae, "vae", "The VAE of the latents."),
                field(
                    io.Latent,
                    "samples",
                    "The first is where all rows begin. All together tell how far each dimension "
                    "varies, where the VAE itself does not know: wire several.",
                ),
                field(
                    io.Int,
                    "dimensions",
                    "How many rows: those that tell most come first, by KL where the VAE knows it, "
                    "else by how much they vary.",
                    default=8,
                    min=1,
                    max=256,
                ),
                field(
                    io.Int,
                    "each_side",
                    "Pictures on each side of the middle.",
                    default=3,
                    min=1,
                    max=64,
                ),
                field(
                    io.Float,
                    "reach",
                    "How far the outermost are moved, in standard deviations of the dimension.",
                    default=3.0,
                    min=0.05,
                    max=20.0,
                    step=0.05,
                ),
            ],
            outputs=[
                result(io.Image, "sheet", "sheet", "All rows, with the dimension beside each."),
                result(
                    io.Latent,
                    "moved",
                    "latents",
                    "What is on the sheet, row by row, to decode in full size.",
                ),
                result(io.String, "about", "about", "Where order and steps are from."),
            ],
        )

    @classmethod
    @within_bounds
    def execute(
        cls, vae: Any, samples: dict[str, Any], dimensions: int, each_side: int, reach: float
    ) -> io.NodeOutput:
        """Move each dimension and decode."""
        latents = latents_of(samples)
        if latents.ndim == 5 and latents.shape[2] != 1:
            raise GenartError(
                "These are latents of films, and Latent Traversal takes those of pictures: encode "
                "one picture alone."
            )
        rows = min(dimensions, latents.shape[1])
        passes = Passes(vae, rows * (2 * each_side + 1))
        check_family(latents, passes.channels, "VAE")
        known = passes.statistics()
        if known is None or (known.kl is None and len(latents) > 1):
            known = prior.measured(latents, WIRED)
        found = traversal.traverse(latents[:1], known, dimensions, each_side, reach)
        drawn = sheet.table(passes.decoded(found.latents), found.rows, found.columns)
        about = f"Order and steps: {known.source}."
        image = host_images.to_image(drawn)
        shown = say(about).as_dict() | ui.PreviewImage(image, cls=cls).as_dict()
        return io.NodeOutput(image, {"samples": found.latents}, about, ui=shown)
