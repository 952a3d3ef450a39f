"""A GAN's latents in files, and inside the pictures made from them."""

from comfy_api.latest import io, ui
from torch import Tensor

from ..errors import GenartError
from ..gan.latent_files import KEYWORD, load_latents, read_png, save_latents, to_text
from ..gan.latents import GANLatent, pick
from ..host import folders, outputs, sockets
from ..host.progress import Progress, say
from ..host.schema import field, result, schema

CATEGORY = "genart/gan"


class SaveGANLatents(io.ComfyNode):
    """Latents to a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartSaveGANLatents",
            "Save GAN Latents",
            CATEGORY,
            description=(
                "Keeps latents in output/genart/latents, where Load GAN Latents finds them. A name "
                "that is taken gets a number; nothing is overwritten."
            ),
            is_output_node=True,
            inputs=[
                field(sockets.GanLatents, "latents", "The latents to keep."),
                field(
                    io.String,
                    "name",
                    "The file's name, without folders and without .safetensors.",
                    default="my_latents",
                ),
            ],
            outputs=[
                result(
                    sockets.GanLatents,
                    "saved_latents",
                    "saved latents",
                    "The same latents, to go on with.",
                )
            ],
        )

    @classmethod
    def execute(cls, latents: GANLatent, name: str) -> io.NodeOutput:
        """Write the file, or name the one that holds the same latents already."""
        path = folders.keep_latents(name, lambda at: save_latents(at, latents, {}))
        return io.NodeOutput(latents, ui=say(f"Saved {path}"))


class LoadGANLatents(io.ComfyNode):
    """Latents from a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartLoadGANLatents",
            "Load GAN Latents",
            CATEGORY,
            description="Opens latents that Save GAN Latents kept.",
            inputs=[
                field(
                    io.Combo,
                    "latents_name",
                    "The file: from output/genart/latents or from ComfyUI's input folder.",
                    options=folders.latents_names(),
                )
            ],
            outputs=[result(sockets.GanLatents, "latents", "latents", "The batch as it was kept.")],
        )

    @classmethod
    def fingerprint_inputs(cls, latents_name: str) -> str:
        """Changes when the file's content does."""
        try:
            return folders.content_mark(folders.find_latents(latents_name))
        except (GenartError, OSError):
            return "missing"

    @classmethod
    def execute(cls, latents_name: str) -> io.NodeOutput:
        """Read the file."""
        latents = load_latents(folders.find_latents(latents_name))
        return io.NodeOutput(latents, ui=say(_count(latents)))


class SaveImagesWithLatents(io.ComfyNode):
    """Pictures to PNG files that carry their latents."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartSaveImagesWithLatents",
            "Save Images with Latents",
            CATEGORY,
            description=(
                "Saves pictures as Save Image does, each with the latent that it was made from, "
                "so that Load GAN Latent from Image can go on from any of them."
            ),
            search_aliases=["png", "metadata"],
            is_output_node=True,
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            inputs=[
                field(
                    io.Image, "images", "The pictures: upscaled or painted over, as they may be."
                ),
                field(
                    sockets.GanLatents,
                    "latents",
                    "What they were made from, one for each, in the same order.",
                ),
                field(
                    io.String,
                    "filename_prefix",
                    "The files' name in ComfyUI's output folder, up to their number; folders "
                    "inside it are made.",
                    default="gan",
                ),
            ],
        )

    @classmethod
    def execute(cls, images: Tensor, latents: GANLatent, filename_prefix: str) -> io.NodeOutput:
        """Write picture after picture."""
        count = len(images)
        if len(latents) != count:
            raise GenartError(
                f"{count} pictures do not go with {len(latents)} latents: wire the latents that "
                "these pictures were made from."
            )
        files = outputs.series(filename_prefix, images.shape[2], images.shape[1])
        texts, progress, saved = outputs.workflow_texts(cls.hidden), Progress(count), []
        for i in range(count):
            path = files.path(".png", i)
            own = {KEYWORD: to_text(pick(latents, [i]))}
            outputs.save_png(path, images[i], texts | own)
            saved.append(outputs.shown(path))
            progress.at(i + 1)
        return io.NodeOutput(ui=ui.SavedImages(saved))


class LoadGANLatentFromImage(io.ComfyNode):
    """The latent that a picture carries."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartLoadGANLatentFromImage",
            "Load GAN Latent from Image",
            CATEGORY,
            description=(
                "Takes the latent out of a picture that Save Images with Latents made: drop the "
                "picture onto the node, or upload it."
            ),
            search_aliases=["png", "metadata"],
            inputs=[
                field(
                    io.Combo,
                    "image",
                    "The picture, unchanged as it was saved: other programs drop what it carries.",
                    options=folders.picture_names(),
                    upload=io.UploadType.image,
                )
            ],
            outputs=[
                result(sockets.GanLatents, "latent", "latent", "The latent it was made from.")
            ],
        )

    @classmethod
    def validate_inputs(cls, image: str) -> bool | str:
        """Whether the picture is there; one may also stand in a folder that the list lacks."""
        try:
            folders.find_picture(image)
        except GenartError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, image: str) -> str:
        """Changes when the picture's content does."""
        try:
            return folders.content_mark(folders.find_picture(image))
        except (GenartError, OSError):
            return "missing"

    @classmethod
    def execute(cls, image: str) -> io.NodeOutput:
        """Read the latent; the picture itself is not decoded."""
        latents = read_png(folders.find_picture(image))
        return io.NodeOutput(latents, ui=say(_count(latents)))


def _count(latents: GANLatent) -> str:
    """What latents are, in a line."""
    many = "1 latent" if len(latents) == 1 else f"{len(latents)} latents"
    return f"{many} in {latents.space}"
