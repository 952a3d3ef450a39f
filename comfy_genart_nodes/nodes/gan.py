"""Load and save a GAN."""

from dataclasses import replace
from typing import Any

from comfy_api.latest import io

from ..errors import GenartError, check_choice
from ..gan.checkpoint import save_gan
from ..gan.formats.opening import describe, open_gan
from ..gan.networks.compiling import compiled
from ..host import folders, memory, sockets
from ..host.progress import say
from ..host.schema import field, result, schema
from ..host.sockets import ManagedGAN

CATEGORY = "genart/gan"
PRECISIONS = ["auto", "fp32", "bf16"]


class LoadGAN(io.ComfyNode):
    """A GAN from a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartLoadGAN",
            "Load GAN",
            CATEGORY,
            description=(
                "Opens a GAN from models/genart/gan or from those that come with the pack: this "
                "pack's own files, and the networks of other tools, without running any code that "
                "lies in them."
            ),
            search_aliases=["stylegan", "generator", "pkl", "r3gan", "fastgan", "dcgan"],
            inputs=[
                field(
                    io.Combo,
                    "gan_name",
                    "The GAN's file: .safetensors, .pkl, .pt or .pth. Your own lie in "
                    "models/genart/gan.",
                    options=folders.gan_names(),
                ),
                field(
                    io.Combo,
                    "precision",
                    "bf16 is faster on recent graphics cards and differs in the third digit; fp32 "
                    "is exact and runs everywhere; auto takes bf16 where it is faster.",
                    options=PRECISIONS,
                    default="auto",
                    optional=True,
                ),
                field(
                    io.Boolean,
                    "compile",
                    "Have torch.compile make the network faster on this machine: the first "
                    "picture then takes minutes. It pays for long animations.",
                    default=False,
                    optional=True,
                ),
            ],
            outputs=[
                result(sockets.Gan, "gan", "GAN", "The network, for GAN Latent and Sample GAN."),
                result(
                    io.String,
                    "about",
                    "about",
                    "What the file is, where it came from, its licence and its training, as text.",
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, gan_name: str, **_: Any) -> str:
        """Changes when the file's content does, so that a newer file is read again."""
        try:
            return folders.content_mark(folders.find_gan(gan_name))
        except (GenartError, OSError):
            return "missing"

    @classmethod
    def execute(
        cls, gan_name: str, precision: str = "auto", compile: bool = False
    ) -> io.NodeOutput:
        """Read the file and hand the network to ComfyUI's memory management."""
        check_choice("precision", precision, PRECISIONS)
        chosen = memory.choose_precision(precision)
        loaded = open_gan(folders.find_gan(gan_name))
        about = describe(loaded)
        if compile:
            loaded = replace(loaded, generator=compiled(loaded.generator))
        gan = ManagedGAN(loaded, memory.manage(loaded.generator), precision=chosen)
        return io.NodeOutput(gan, about, ui=say(about))


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
                "gets a number; nothing is overwritten. The network is kept, whatever it came "
                "from; how its pictures are moved, turned or sized is not."
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
