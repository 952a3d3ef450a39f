"""VAEs of other tools on ComfyUI's VAE socket."""

from typing import Any

from comfy_api.latest import io

from ..errors import GenartError, check_choice
from ..host import vae_folders
from ..host.progress import say
from ..host.schema import field, result, schema
from ..host.vae_object import as_vae
from ..vae.adapter import described
from ..vae.latent_spaces import ITSELF, SCALES
from ..vae.opening import open_vae

CATEGORY = "genart/vae"
LATENTS_OF = [ITSELF, *SCALES]


class LoadDiffusersVAE(io.ComfyNode):
    """Any autoencoder of diffusers as a VAE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartLoadDiffusersVAE",
            "Load VAE (Diffusers)",
            CATEGORY,
            description=(
                "Opens an autoencoder as diffusers saves it, of any class for pictures, as a VAE "
                "for all of ComfyUI's nodes: encode, decode, their tiled kin, inpainting, saving. "
                "Needs the Python package diffusers; fetches nothing."
            ),
            search_aliases=[
                "autoencoder",
                "taesd",
                "vq",
                "consistency decoder",
                "dc-ae",
                "asymmetric",
                "diffusers",
            ],
            inputs=[
                field(
                    io.Combo,
                    "vae_name",
                    "A folder with a config.json, or a pipeline's folder with vae in it, of "
                    "models/vae or models/diffusers; or a .safetensors file of models/vae whose "
                    "config lies beside it.",
                    options=vae_folders.vae_names(),
                ),
                field(
                    io.Combo,
                    "latents_of",
                    "Only for an AutoencoderTiny that goes with a KSampler: the diffusion model "
                    "whose latents it makes. Leave all others at 'the VAE itself'.",
                    options=LATENTS_OF,
                    default=ITSELF,
                    optional=True,
                ),
            ],
            outputs=[
                result(io.Vae, "vae", "VAE", "The VAE, for every node that takes one."),
                result(
                    io.String,
                    "about",
                    "about",
                    "Its class, the channels of its latents, and how many pixels each place of "
                    "them stands for, as text.",
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, vae_name: str, **_: Any) -> str:
        """Changes when the content of a file does, so that a newer one is read again."""
        try:
            return vae_folders.vae_mark(vae_name)
        except (GenartError, OSError):
            return "missing"

    @classmethod
    def execute(cls, vae_name: str, latents_of: str = ITSELF) -> io.NodeOutput:
        """Read the autoencoder and hand it to ComfyUI."""
        check_choice("latents_of", latents_of, LATENTS_OF)
        vae = open_vae(vae_folders.find_vae(vae_name), latents_of)
        about = described(vae)
        return io.NodeOutput(as_vae(vae), about, ui=say(about))
