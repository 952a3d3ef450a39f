"""Latents to pictures, and to a video of any length."""

import logging
from collections.abc import Iterator
from typing import Any, cast

import torch
from comfy_api.latest import io
from torch import Tensor

from ..errors import GenartError, check_choice
from ..gan.latents import GANLatent, pick
from ..gan.networks.generator import NoiseMode
from ..gan.sampling import Settings, picture_bytes, sample
from ..host import images, memory, sockets, video
from ..host.progress import Progress
from ..host.schema import field, result, schema, seed_field, within_bounds
from ..host.sockets import ManagedGAN

CATEGORY = "genart/gan"
NOISE_MODES = ["const", "random", "none"]


def truncation_fields() -> list[io.Input]:
    """How typical pictures are to be."""
    return [
        field(
            io.Float,
            "psi",
            "Truncation: 1 is the GAN's full variety; lower is closer to its average "
            "picture, cleaner and less varied; 0 is the average itself.",
            default=0.7,
            min=-2.0,
            max=2.0,
            step=0.05,
        ),
        field(
            io.Int,
            "cutoff",
            "How many layers, counted from the coarsest, truncation touches. "
            "-1: all of them. Lower keeps the full variety of colour and texture.",
            default=-1,
            min=-1,
            max=64,
        ),
    ]


def look_fields() -> list[io.Input]:
    """How latents are shown: what `read_look` turns into `Settings`."""
    return [
        *truncation_fields(),
        field(
            io.Combo,
            "noise_mode",
            "Fine detail: the network's own (const, steady in animations), "
            "fresh for every picture (random), or none.",
            options=NOISE_MODES,
            default="const",
        ),
        seed_field("Which fresh noise, where noise_mode is random.", "noise_seed", False),
        field(
            io.Float,
            "noise_strength",
            "How much fine detail: 1 as trained, 0 none, above 1 more than that.",
            default=1.0,
            min=0.0,
            max=4.0,
            step=0.05,
            optional=True,
        ),
        centres_field(),
    ]


def centres_field() -> io.Input:
    """Averages of which psi takes the nearest."""
    return field(
        sockets.GanLatents,
        "centres",
        "From Find GAN Centres: psi then pulls each latent towards the nearest of these "
        "instead of towards the one average.",
        optional=True,
    )


def read_look(
    gan: ManagedGAN,
    psi: float,
    cutoff: int,
    noise_mode: str = "const",
    noise_seed: int = 0,
    noise_strength: float = 1.0,
    centres: GANLatent | None = None,
) -> Settings:
    """The values of `look_fields`, and the GAN's frame and precision.

    Raises:
        GenartError: for a mode that is not there, and for latents that are no centres.
    """
    check_choice("noise_mode", noise_mode, NOISE_MODES)
    if centres is not None and centres.space != "w":
        raise GenartError(
            f"These latents are in {centres.space} and no centres: wire Find GAN Centres."
        )
    if centres is not None:
        _note_foreign(gan, centres, "centres")
    return Settings(
        psi=psi,
        cutoff=None if cutoff < 0 else cutoff,
        centres=None if centres is None else centres.tensor,
        noise_mode=cast(NoiseMode, noise_mode),
        noise_strength=noise_strength,
        noise_seed=noise_seed,
        frame=gan.frame,
        precision=gan.precision,
    )


def pictures(
    gan: ManagedGAN, latents: GANLatent, settings: Settings, places: range
) -> Iterator[Tensor]:
    """IMAGEs of the latents at some places of a batch, in batches that fit into memory."""
    generator = gan.loaded.generator
    item_bytes = picture_bytes(generator, settings.frame)

    def work(start: int, end: int) -> torch.Tensor:
        part = places[start:end]
        return images.to_image(sample(generator, pick(latents, part), settings, first=part[0]))

    return memory.batches(gan.patcher, len(places), item_bytes, work)


def _note_foreign(gan: ManagedGAN, latents: GANLatent, what: str) -> None:
    """Say where pictures may surprise; latents of a GAN that this one was trained from are fine."""
    if latents.model and latents.model != gan.loaded.hash:
        logging.info(
            "The %s come from another GAN: they fit this one only if one was trained from the "
            "other.",
            what,
        )


class SampleGAN(io.ComfyNode):
    """Latents to pictures."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartSampleGAN",
            "Sample GAN",
            CATEGORY,
            description="Makes one picture from each latent.",
            search_aliases=["generate", "decode gan", "stylegan"],
            inputs=[
                field(sockets.Gan, "gan", "The GAN that makes the pictures."),
                field(
                    sockets.GanLatents,
                    "latents",
                    "What to make: from GAN Latent, GAN Latent Path or another latent node.",
                ),
                *look_fields(),
            ],
            outputs=[result(io.Image, "images", "images", "One picture for each latent.")],
        )

    @classmethod
    @within_bounds
    def execute(cls, gan: ManagedGAN, latents: GANLatent, **look: Any) -> io.NodeOutput:
        """Sample in batches that fit into memory."""
        _note_foreign(gan, latents, "latents")
        made = pictures(gan, latents, read_look(gan, **look), range(len(latents)))
        progress = Progress(len(latents))
        return io.NodeOutput(memory.collect(made, len(latents), progress.at))


class SampleGANToVideo(io.ComfyNode):
    """Latents to a video file, frame by frame."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartSampleGANToVideo",
            "Sample GAN to Video",
            CATEGORY,
            description=(
                "Makes a video of any length: every frame goes into the file as soon as it is "
                "made, so that memory does not grow with the length. One that was cancelled goes "
                "on where it was."
            ),
            search_aliases=["animation", "mp4", "latent walk"],
            is_output_node=True,
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            inputs=[
                field(sockets.Gan, "gan", "The GAN that makes the frames."),
                field(sockets.GanLatents, "latents", "One latent a frame: from GAN Latent Path."),
                *video.video_fields("gan_video"),
                *look_fields(),
                video.audio_field(),
            ],
            outputs=[video.video_result()],
        )

    @classmethod
    @within_bounds
    def execute(
        cls,
        gan: ManagedGAN,
        latents: GANLatent,
        fps: float,
        filename_prefix: str,
        audio: Any = None,
        **look: Any,
    ) -> io.NodeOutput:
        """Sample batch by batch into the file."""
        _note_foreign(gan, latents, "latents")
        settings = read_look(gan, **look)
        side = gan.loaded.spec.resolution
        height, width = gan.frame.canvas or (side, side)
        footage = video.Footage(
            len(latents),
            lambda start, end: pictures(gan, latents, settings, range(start, end)),
            video.marked(gan.loaded.hash, latents.space, latents.tensor, latents.classes, settings),
            (width, height),
        )
        return video.save(footage, fps, filename_prefix, cls.hidden, audio)
