"""Latents that follow a curve: the pace of a path, and how much of one is in another."""

from typing import Any

from comfy_api.latest import io

from ..errors import check_choice
from ..gan import following
from ..gan.latents import GANLatent
from ..host import memory, sockets
from ..host.latents import at_places, frames_of
from ..host.schema import field, result, schema, within_bounds
from ..host.sockets import ManagedGAN
from ..host.vae import latents_of
from ..latent.speed import driven
from ..latent.tracks import Space
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


def between_field() -> io.Input:
    """What lies between the frames of a path."""
    return field(
        io.Combo,
        "between",
        "What lies between two frames: straight, for encoded pictures; sphere, for noise, which "
        "would lose its strength otherwise.",
        options=SPACES,
        default=FLAT,
    )


def space_of(between: str) -> Space:
    """The engine's word for a choice of `between_field`.

    Raises:
        GenartError: when it is none of them.
    """
    check_choice("between", between, SPACES)
    return "sphere" if between == SPHERE else "flat"


def _followed() -> io.Output:
    """What follows a curve."""
    told = "One latent for each number of the curve."
    return result(sockets.GanLatents, "latents", "latents", told)


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
            outputs=[_followed()],
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
                between_field(),
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
        length, around = len(frames_of(latents_of(samples))), way == AROUND
        places = driven(read(curve), base, strength, length, around)
        return io.NodeOutput(at_places(samples, places, space_of(between), around))


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
            outputs=[_followed()],
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
