"""VAEs of other tools and of this pack: from their files to ComfyUI's VAE socket, and back."""

from typing import Any

from comfy_api.latest import io

from ..errors import GenartError, check_choice
from ..host import folders, vae_folders
from ..host.progress import say
from ..host.schema import field, result, schema
from ..host.vae_object import as_vae, loaded_of
from ..latent.families import SCALES
from ..vae.adapter import OwnVAE, described
from ..vae.files import LAYOUTS, load_vae, save_vae
from ..vae.latent_spaces import ITSELF
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


class LoadTrainedVAE(io.ComfyNode):
    """A VAE of this pack as a VAE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartLoadVAE",
            "Load VAE (Genart)",
            CATEGORY,
            description=(
                "Opens a VAE that Train VAE made, of any kind, with all that is known of it; also "
                "those that ComfyUI's own Load VAE has no network for: beta-VAE and others."
            ),
            search_aliases=["beta-vae", "vq", "fsq", "autoencoder", "trained vae"],
            inputs=[
                field(
                    io.Combo,
                    "vae_name",
                    "A file of models/vae that this pack wrote. Press R after adding one.",
                    options=vae_folders.trained_names(),
                )
            ],
            outputs=[
                result(io.Vae, "vae", "VAE", "The VAE, for every node that takes one."),
                result(
                    io.String,
                    "about",
                    "about",
                    "Its kind, the channels of its latents, and how many pixels each place of "
                    "them stands for, as text.",
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, vae_name: str) -> str:
        """Changes when the content of the file does."""
        try:
            return folders.content_mark(vae_folders.find_trained(vae_name))
        except (GenartError, OSError):
            return "missing"

    @classmethod
    def execute(cls, vae_name: str) -> io.NodeOutput:
        """Read the VAE and hand it to ComfyUI."""
        loaded = load_vae(vae_folders.find_trained(vae_name))
        vae = OwnVAE(loaded.network, loaded.header)
        return io.NodeOutput(as_vae(vae), described(vae), ui=say(described(vae)))


class SaveVAE(io.ComfyNode):
    """A VAE to a file, in one of several layouts."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartSaveVAE",
            "Save VAE (Layouts)",
            CATEGORY,
            description=(
                "Keeps a VAE in models/vae: for any ComfyUI, for diffusers, or with all that this "
                "pack knows of it. A name that is taken gets a number; nothing is overwritten."
            ),
            search_aliases=["export vae", "convert vae", "taesd", "diffusers"],
            is_output_node=True,
            inputs=[
                field(
                    io.Vae,
                    "vae",
                    "A VAE of this pack, a TAESD, or a KL VAE as those of SD, SDXL, SD 3 and Flux.",
                ),
                field(
                    io.String,
                    "name",
                    "The file's or folder's name, without folders and without .safetensors.",
                    default="my_vae",
                ),
                field(
                    io.Combo,
                    "layout",
                    "stock: a file that Load VAE of any ComfyUI opens, without this pack too. "
                    "diffusers: a folder with config.json and weights. own: for Load VAE (Genart), "
                    "every kind of VAE of this pack.",
                    options=list(LAYOUTS),
                    default=LAYOUTS[0],
                ),
            ],
            outputs=[result(io.Vae, "saved_vae", "saved VAE", "The same VAE, to go on with.")],
        )

    @classmethod
    def execute(cls, vae: Any, name: str, layout: str) -> io.NodeOutput:
        """Write the file or folder."""
        check_choice("layout", layout, LAYOUTS)
        loaded = loaded_of(vae)
        keep = folders.keep_vae_folder if layout == "diffusers" else folders.keep_vae
        path = keep(name, lambda at: save_vae(at, loaded, layout))
        return io.NodeOutput(vae, ui=say(f"Saved {path}"))
