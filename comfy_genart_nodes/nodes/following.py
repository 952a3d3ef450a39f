"""Latents that follow a curve: the pace of a path, and how much of one is in another."""

from typing import Any

from comfy_api.latest import io
from torch import Tensor

from ..errors import GenartError, check_choice
from ..gan import following
from ..gan.latents import GANLatent
from ..host import memory, sockets
from ..host.schema import field, result, schema, within_bounds
from ..host.sockets import ManagedGAN
from ..host.vae import latents_of
from ..latent.speed import along, driven
from ..sound.curves import read

GAN_CATEGORY, LATENT_CATEGORY = "genart/gan", "genart/latent"
ONCE, AROUND = "once", "round and round"
WAYS = [ONCE, AROUND]
FLAT, SPHERE = "straight", "sphere"
SPACES = [FLAT, SPHERE]
FASTEST = 100.0


def curve_field() -> io.Input:
    """The curve that is followed."""
    return field(
        io.Float,
        "curve",
        "One number a frame: from Audio Curve, or any list of numbers; as many frames are made.",
        force_input=True,
    )


def pace_fields() -> list[io.Input]:
    """How a curve drives a path."""
    return [
        field(
            io.Float,
            "base",
            "Speed where the curve is 0: 1 is a frame of the path for each frame; 0 waits for the "
            "sound.",
            default=0.5,
            min=0.0,
            max=FASTEST,
            step=0.05,
        ),
        field(
            io.Float,
            "strength",
            "How much faster where the curve is 1. Below 0 it slows down instead, but never goes "
            "backwards.",
            default=3.0,
            min=-FASTEST,
            max=FASTEST,
            step=0.05,
        ),
        field(
            io.Combo,
            "way",
            "Once: from the path's first frame to its last, however long the sound is; only the "
            "ratio of strength to base matters. Round and round: for a path that is a loop, as "
            "often as the speed wants.",
            options=WAYS,
            default=AROUND,
        ),
    ]


class PaceGANLatents(io.ComfyNode):
    """A GAN's path at the pace of a curve."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartPaceGANLatents",
            "Pace GAN Latents",
            GAN_CATEGORY,
            description="Walks along a path faster and slower, as a curve wants: to music.",
            search_aliases=["audio reactive", "speed", "time remap", "music"],
            inputs=[
                field(
                    sockets.GanLatents,
                    "path",
                    "The frames of a path: from GAN Latent Path, with plenty of them.",
                ),
                curve_field(),
                *pace_fields(),
            ],
            outputs=[
                result(
                    sockets.GanLatents,
                    "latents",
                    "latents",
                    "One latent for each number of the curve.",
                )
            ],
        )

    @classmethod
    @within_bounds
    def execute(
        cls, path: GANLatent, curve: object, base: float, strength: float, way: str
    ) -> io.NodeOutput:
        """Walk."""
        check_choice("way", way, WAYS)
        return io.NodeOutput(following.pace(path, read(curve), base, strength, way == AROUND))


class PaceLatents(io.ComfyNode):
    """A path of latents at the pace of a curve."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartPaceLatents",
            "Pace Latents",
            LATENT_CATEGORY,
            description="Walks along a path faster and slower, as a curve wants: to music.",
            search_aliases=["audio reactive", "speed", "time remap", "music"],
            inputs=[
                field(
                    io.Latent,
                    "samples",
                    "The frames of a path: a batch of latents, or one film.",
                ),
                curve_field(),
                *pace_fields(),
                field(
                    io.Combo,
                    "between",
                    "What lies between two frames: straight, for encoded pictures; sphere, for "
                    "noise, which would lose its strength otherwise.",
                    options=SPACES,
                    default=FLAT,
                ),
            ],
            outputs=[result(io.Latent, "latents", "latents", "One for each number of the curve.")],
        )

    @classmethod
    @within_bounds
    def execute(
        cls,
        samples: dict[str, Any],
        curve: object,
        base: float,
        strength: float,
        way: str,
        between: str,
    ) -> io.NodeOutput:
        """Walk."""
        check_choice("way", way, WAYS)
        check_choice("between", between, SPACES)
        frames, around = _frames(latents_of(samples)), way == AROUND
        places = driven(read(curve), base, strength, len(frames), around)
        made = along(frames, places, "sphere" if between == SPHERE else "flat", around)
        film = samples["samples"].ndim == 5
        kept = _carried(samples, len(frames), places, around)
        return io.NodeOutput(kept | {"samples": made.movedim(0, 1)[None] if film else made})


def _frames(latents: Tensor) -> Tensor:
    """The frames of a batch of pictures, or of one film, `[n, c, h, w]`."""
    if latents.ndim == 4:
        return latents
    if len(latents) != 1:
        raise GenartError(
            f"These are the latents of {len(latents)} films: take one with Latent From Batch."
        )
    return latents[0].movedim(1, 0)


def _carried(samples: dict[str, Any], count: int, places: Tensor, around: bool) -> dict[str, Any]:
    """What else a LATENT holds, for its frames at other places."""
    kept = dict(samples)
    mask, indices = kept.get("noise_mask"), kept.get("batch_index")
    if isinstance(mask, Tensor) and len(mask) == count:
        kept["noise_mask"] = along(mask, places, "flat", around)
    if indices is not None and len(indices) == count:
        kept["batch_index"] = [indices[int(place)] for place in places.tolist()]
    return kept


class BlendGANLatents(io.ComfyNode):
    """Of each latent so much of another as a curve says."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartBlendGANLatents",
            "Blend GAN Latents by Curve",
            GAN_CATEGORY,
            description=(
                "Blends latents into others by as much as a curve says, frame by frame. With the "
                "one centre of Find GAN Centres as b this is truncation that moves with the sound."
            ),
            search_aliases=["audio reactive", "morph", "psi", "truncation", "mix", "music"],
            inputs=[
                field(sockets.GanLatents, "a", "Where the curve is 0: one latent, or one a frame."),
                field(
                    sockets.GanLatents,
                    "b",
                    "Where the curve times amount is 1: one latent, or one a frame.",
                ),
                curve_field(),
                field(
                    io.Float,
                    "amount",
                    "What the curve is multiplied with. Below 0 it goes away from b: away from "
                    "the centre, for wilder pictures.",
                    default=1.0,
                    min=-4.0,
                    max=4.0,
                    step=0.05,
                ),
                field(
                    sockets.Gan,
                    "gan",
                    "The GAN the latents are for; needed where only one of both is in z.",
                    optional=True,
                ),
            ],
            outputs=[
                result(
                    sockets.GanLatents,
                    "latents",
                    "latents",
                    "One latent for each number of the curve.",
                )
            ],
        )

    @classmethod
    @within_bounds
    def execute(
        cls, a: GANLatent, b: GANLatent, curve: object, amount: float, gan: ManagedGAN | None = None
    ) -> io.NodeOutput:
        """Blend; the network comes to its device where its mapping is needed."""
        if gan is not None and a.space != b.space:
            memory.load(gan.patcher)
        weights = amount * read(curve)
        return io.NodeOutput(following.blend(a, b, weights, gan and gan.loaded))
