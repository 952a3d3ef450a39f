"""Paths at constant speed, as an eye sees it."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from comfy_api.latest import io
from torch import Tensor

from ..errors import check_choice
from ..gan import following
from ..gan.latents import GANLatent
from ..host import latents as host
from ..host import sockets
from ..host.progress import Progress, say
from ..host.schema import field, result, schema, within_bounds
from ..host.sockets import ManagedGAN
from ..host.vae_passes import Passes, pictures_of
from ..latent.speed import LOOKS, Evened, evened
from ..training.sight import MEASURES, Measure, Sight
from .following import GAN_CATEGORY, LATENT_CATEGORY, between_field, space_of
from .journey import MOST_FRAMES
from .sampling import centres_field, pictures, read_look, truncation_fields

ALIASES = ["arc length", "constant speed", "perceptual", "time remap", "ease"]
DESCRIPTION = (
    "Walks along a path so that every step changes the picture as much as the next: nothing "
    "dwells, nothing jumps."
)


def even_fields() -> list[io.Input]:
    """How a path is made even."""
    return [
        field(
            io.Int,
            "frames",
            "How many frames to make; 0 as many as the path has.",
            default=0,
            min=0,
            max=MOST_FRAMES,
        ),
        field(
            io.Boolean,
            "loop",
            "The path is a loop, as with loop in the node that made it: its last frame leads back "
            "to its first.",
            default=True,
        ),
        field(
            io.Combo,
            "measure",
            "How large a step is. features: by what a network that knows photographs sees (pixels "
            "where its package is missing). pixels: by how much colours change.",
            options=list(MEASURES),
            default=MEASURES[0],
        ),
    ]


def about_result() -> io.Output:
    """What was measured."""
    return result(
        io.String,
        "about",
        "about",
        "How unequal the steps were before and are after: their deviation as a share of their "
        "mean.",
    )


class EvenGANPath(io.ComfyNode):
    """A GAN's path at constant speed."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartEvenGANPath",
            "Even GAN Path",
            GAN_CATEGORY,
            description=DESCRIPTION,
            search_aliases=ALIASES,
            inputs=[
                field(sockets.Gan, "gan", "The GAN the path is for; it makes what is looked at."),
                field(sockets.GanLatents, "path", "The frames of a path: from GAN Latent Path."),
                *even_fields(),
                *truncation_fields(),
                centres_field(),
            ],
            outputs=[
                result(
                    sockets.GanLatents,
                    "latents",
                    "latents",
                    "The path at constant speed. Sample it with the same psi, cutoff and centres.",
                ),
                about_result(),
            ],
        )

    @classmethod
    @within_bounds
    def execute(
        cls,
        gan: ManagedGAN,
        path: GANLatent,
        frames: int,
        loop: bool,
        measure: str,
        **look: Any,
    ) -> io.NodeOutput:
        """Walk evenly."""
        settings = read_look(gan, **look)

        def shown(places: Tensor) -> Iterator[Tensor]:
            latents = following.at(path, places, loop)
            made = pictures(gan, latents, settings, range(len(latents)))
            return (pictures_of(image) for image in made)

        now, about = _even(len(path), frames, loop, measure, gan.patcher.load_device, shown)
        return io.NodeOutput(following.at(path, now.places, loop), about, ui=say(about))


class EvenLatentPath(io.ComfyNode):
    """A path of latents at constant speed."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartEvenLatentPath",
            "Even Latent Path",
            LATENT_CATEGORY,
            description=DESCRIPTION,
            search_aliases=ALIASES,
            inputs=[
                field(io.Vae, "vae", "The VAE of the latents; it makes what is looked at."),
                field(
                    io.Latent,
                    "samples",
                    "The frames of a path, from Latent Path: a batch of latents, or one film.",
                ),
                *even_fields(),
                between_field(),
            ],
            outputs=[
                result(io.Latent, "latents", "latents", "The path at constant speed."),
                about_result(),
            ],
        )

    @classmethod
    @within_bounds
    def execute(
        cls,
        vae: Any,
        samples: dict[str, Any],
        frames: int,
        loop: bool,
        measure: str,
        between: str,
    ) -> io.NodeOutput:
        """Walk evenly."""
        passes, space = Passes(vae, total=0), space_of(between)
        path = samples | {"samples": host.samples_of("samples", samples)}

        bare = {"samples": path["samples"]}  # masks need not be walked at every look

        def shown(places: Tensor) -> Iterator[Tensor]:
            latents = host.at_places(bare, places, space, loop)["samples"]
            return passes.decoded(host.frames_of(latents))

        length = len(host.frames_of(path["samples"]))
        now, about = _even(length, frames, loop, measure, vae.device, shown)
        return io.NodeOutput(host.at_places(path, now.places, space, loop), about, ui=say(about))


def _even(
    length: int,
    frames: int,
    loop: bool,
    measure: str,
    device: torch.device,
    shown: Callable[[Tensor], Iterator[Tensor]],
) -> tuple[Evened, str]:
    """Where to look at a path, with progress, and in words what it was like.

    Args:
        length: of the path, in frames.
        frames: to make; 0 as many.
        loop: it is one.
        measure: of `MEASURES`.
        device: where to look at pictures.
        shown: pictures at places of the path, in batches.
    """
    check_choice("measure", measure, MEASURES)
    chosen: Measure = "features" if measure == "features" else "pixels"
    sight, count = Sight(chosen, device), frames or length
    total = length + (LOOKS - 1) * count
    progress, done = Progress(total), 0

    def seen(places: Tensor) -> Iterator[Tensor]:
        nonlocal done
        for part in shown(places):
            yield sight(part)
            done += len(part)
            progress.at(done)

    now = evened(length, count, loop, seen)
    progress.at(total)
    return now, (
        f"Steps differed by {now.before:.1%} before and differ by {now.after:.1%} now, as seen by "
        f"{sight.about}."
    )
