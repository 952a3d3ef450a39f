"""Latents of any VAE or sampler in files, with all that goes with them."""

from math import prod
from typing import Any

from comfy_api.latest import io

from ..errors import GenartError
from ..host import latent_folders as folders
from ..host.latents import on_device
from ..host.memory import check_bytes
from ..host.outputs import workflow_texts
from ..host.progress import Progress, say
from ..host.schema import field, result, schema, within_bounds
from ..latent import files
from ..latent.families import family, size

CATEGORY = "genart/latent"
LARGEST_BATCH = 1_000_000


class SaveLatents(io.ComfyNode):
    """Latents to a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartSaveLatents",
            "Save Latents",
            CATEGORY,
            description=(
                "Keeps latents or noise with their masks and all else they carry, for Load "
                "Latents. A name that is taken gets a number; nothing is overwritten."
            ),
            search_aliases=["SaveLatent", "export latent", "store", "favourite", "safetensors"],
            is_output_node=True,
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            inputs=[
                field(io.Latent, "samples", "The latents to keep: one or a batch."),
                field(
                    io.String,
                    "name",
                    "The file's name, without folders and without .safetensors.",
                    default="my_latents",
                ),
                field(
                    io.String,
                    "folder",
                    "A folder inside ComfyUI's output, which is made where it is missing, or any "
                    "that is there already, by its full path. Load Latents lists what lies in "
                    "latents and in folders inside it; others it opens by path.",
                    default=folders.SAVED,
                ),
            ],
            outputs=[
                result(io.Latent, "saved_latents", "latents", "The same latents, to go on with."),
                result(
                    io.String, "file", "file", "The file's full path, for path of Load Latents."
                ),
            ],
        )

    @classmethod
    def execute(cls, samples: dict[str, Any], name: str, folder: str) -> io.NodeOutput:
        """Write the file, or name the one that holds the same already."""
        about = {"workflow": workflow_texts(cls.hidden)}
        path = folders.keep(name, folder, lambda at: files.save(at, samples, about))
        told, lost = f"Saved {path}", files.left_out(samples)
        if lost:
            told += (
                f"\nLeft out, since a file holds only tensors, numbers, texts and lists: "
                f"{', '.join(lost)}."
            )
        return io.NodeOutput(samples, str(path), ui=say(told))


class LoadLatents(io.ComfyNode):
    """Latents from files."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartLoadLatents",
            "Load Latents",
            CATEGORY,
            description=(
                "Opens latents that Save Latents or ComfyUI's own Save Latent kept: a file, a part "
                "of it, or all files of a folder as one batch."
            ),
            search_aliases=["LoadLatent", "import latent", ".latent", "safetensors"],
            inputs=[
                field(
                    io.Combo,
                    "latents_name",
                    "A file of output/latents or of ComfyUI's input; a name that ends with / is a "
                    "folder, of which all files become one batch.",
                    options=[*folders.names(), folders.BY_PATH],
                ),
                field(
                    io.Int,
                    "first",
                    "The first latent to take, counted from 0.",
                    default=0,
                    min=0,
                    max=LARGEST_BATCH,
                ),
                field(
                    io.Int,
                    "count",
                    "How many to take, or as many as there are; 0: all. Of the others only masks "
                    "are read.",
                    default=0,
                    min=0,
                    max=LARGEST_BATCH,
                ),
                field(
                    io.String,
                    "path",
                    "In place of the list: a file or folder anywhere, by its full path, or one "
                    "inside ComfyUI's input. Empty: what the list says.",
                    default="",
                    optional=True,
                ),
            ],
            outputs=[
                result(
                    io.Latent,
                    "samples",
                    "latents",
                    "One batch, with masks and all else. A sampler gives each latent of a part the "
                    "noise it gets in the whole.",
                )
            ],
        )

    @classmethod
    def fingerprint_inputs(
        cls, latents_name: str, first: int, count: int, path: str | None = ""
    ) -> str | float:
        """Changes when the content of the files does."""
        if path is None or latents_name is None:  # wired, and not known yet
            return float("nan")
        try:
            return folders.mark(folders.find(latents_name, path))
        except (GenartError, OSError) as error:
            return str(error)

    @classmethod
    @within_bounds
    def execute(cls, latents_name: str, first: int, count: int, path: str = "") -> io.NodeOutput:
        """Read what is wanted."""
        found = folders.find(latents_name, path)
        shape = files.shape_of(found, first, count)
        check_bytes(4 * prod(shape), f"{shape[0]:,} latents of this size")
        wanted = files.count_of(found, first, count)
        latent = on_device(files.load(found, first, count, Progress(wanted).at))
        return io.NodeOutput(latent, ui=say(_about(latent, wanted)))


def _about(latent: dict[str, Any], count: int) -> str:
    """What was read, in a line."""
    samples = latent["samples"]
    many = "1 latent" if len(samples) == 1 else f"{len(samples)} latents"
    where = f" of {count} files" if count > 1 else ""
    return f"{many}{where}: {family(samples.shape[1])}, {size(samples)} places."
