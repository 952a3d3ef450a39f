"""Pictures to train on."""

from comfy_api.latest import io

from ..errors import GenartError
from ..host import folders, sockets
from ..host.progress import say
from ..host.schema import field, result, schema
from ..training.picture_sets import PictureSet, open_pictures


class OpenPictureFolder(io.ComfyNode):
    """A folder's name to its pictures."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartOpenPictureFolder",
            "Picture Folder",
            "genart/dataset",
            description="Lists the pictures of a folder, for Train GAN.",
            search_aliases=["dataset", "training images"],
            inputs=[
                field(
                    io.String,
                    "folder",
                    "A folder inside ComfyUI's input, by its name, or any folder, by its full "
                    "path; folders inside it count too.",
                    default="my_pictures",
                )
            ],
            outputs=[result(sockets.Dataset, "dataset", "dataset", "The pictures.")],
        )

    @classmethod
    def fingerprint_inputs(cls, folder: str) -> str:
        """Changes when pictures come or go."""
        try:
            return _open(folder).fingerprint
        except GenartError as error:
            return str(error)

    @classmethod
    def execute(cls, folder: str) -> io.NodeOutput:
        """List the pictures."""
        pictures = _open(folder)
        return io.NodeOutput(pictures, ui=say(f"{len(pictures)} pictures in {pictures.place}"))


def _open(folder: str) -> PictureSet:
    named = folder.strip().strip('"')  # Windows copies paths with their quotes
    if not named:
        raise GenartError("Say which folder: its name inside ComfyUI's input, or its full path.")
    at_home = named.startswith("~")
    return open_pictures(named if at_home else folders.input_folder() / named)
