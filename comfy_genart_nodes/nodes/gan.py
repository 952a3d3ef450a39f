"""Load, save and sample a GAN."""

from typing import cast

import torch
from comfy_api.latest import io

from ..errors import GenartError
from ..gan.checkpoint import load_gan, save_gan
from ..gan.generator import NoiseMode
from ..gan.latents import GANLatent, pick
from ..gan.sampling import Settings, sample
from ..host import folders, images, memory, sockets
from ..host.progress import Progress, say
from ..host.schema import check_choice, field, result, schema, seed_field
from ..host.sockets import ManagedGAN

CATEGORY = "genart/gan"
NOISE_MODES = ["const", "random", "none"]


class LoadGAN(io.ComfyNode):
    """A GAN from a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartLoadGAN",
            "Load GAN",
            CATEGORY,
            description="Opens a GAN from models/genart/gan or from those that come with the pack.",
            search_aliases=["stylegan", "generator"],
            inputs=[
                field(
                    io.Combo,
                    "gan_name",
                    "The GAN's file. Your own lie in models/genart/gan.",
                    options=folders.gan_names(),
                )
            ],
            outputs=[
                result(sockets.Gan, "gan", "GAN", "The network, for GAN Latent and Sample GAN.")
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, gan_name: str) -> str:
        """Changes when the file does, so that a newer file of the same name is read again."""
        try:
            state = folders.find_gan(gan_name).stat()
        except (GenartError, OSError):
            return "missing"
        return f"{state.st_size} {state.st_mtime_ns}"

    @classmethod
    def execute(cls, gan_name: str) -> io.NodeOutput:
        """Read the file and hand the network to ComfyUI's memory management."""
        loaded = load_gan(folders.find_gan(gan_name))
        return io.NodeOutput(ManagedGAN(loaded, memory.manage(loaded.generator)))


class SaveGAN(io.ComfyNode):
    """A GAN to a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartSaveGAN",
            "Save GAN",
            CATEGORY,
            description=(
                "Keeps a GAN in models/genart/gan, where Load GAN finds it. A name that is taken "
                "gets a number; nothing is overwritten."
            ),
            is_output_node=True,
            inputs=[
                field(sockets.Gan, "gan", "The GAN to keep."),
                field(
                    io.String,
                    "name",
                    "The file's name, without folders and without .safetensors.",
                    default="my_gan",
                ),
            ],
            outputs=[result(sockets.Gan, "saved_gan", "saved GAN", "The same GAN, to go on with.")],
        )

    @classmethod
    def execute(cls, gan: ManagedGAN, name: str) -> io.NodeOutput:
        """Write the file, or name the one that holds the same network already."""
        loaded = gan.loaded
        path = folders.keep_gan(name, lambda at: save_gan(at, loaded.generator, loaded.info))
        return io.NodeOutput(gan, ui=say(f"Saved {path}"))


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
                field(
                    io.Combo,
                    "noise_mode",
                    "Fine detail: the network's own (const, steady in animations), "
                    "fresh for every picture (random), or none.",
                    options=NOISE_MODES,
                    default="const",
                ),
                seed_field("Which fresh noise, where noise_mode is random.", "noise_seed", False),
            ],
            outputs=[result(io.Image, "images", "images", "One picture for each latent.")],
        )

    @classmethod
    def execute(
        cls,
        gan: ManagedGAN,
        latents: GANLatent,
        psi: float,
        cutoff: int,
        noise_mode: str,
        noise_seed: int,
    ) -> io.NodeOutput:
        """Sample in batches that fit into memory."""
        check_choice("noise_mode", noise_mode, NOISE_MODES)
        settings = Settings(
            psi=psi,
            cutoff=None if cutoff < 0 else cutoff,
            noise_mode=cast(NoiseMode, noise_mode),
            noise_seed=noise_seed,
        )
        progress = Progress(len(latents))
        generator = gan.loaded.generator

        def work(start: int, end: int) -> torch.Tensor:
            part = pick(latents, range(start, end))
            return images.to_image(sample(generator, part, settings, first=start))

        item_bytes = generator.working_bytes
        return io.NodeOutput(
            memory.in_batches(gan.patcher, len(latents), item_bytes, work, progress.at)
        )
