"""Pictures to train on: of a folder, of a zip, of a graph; and what they are like."""

import hashlib

import torch
from comfy_api.latest import io
from torch import Tensor

from ..errors import GenartError
from ..host import folders, sockets
from ..host.images import to_bytes
from ..host.progress import Progress, say
from ..host.schema import field, result, schema
from ..names import check_name
from ..training.dataset_report import passed, report
from ..training.picture_sets import PictureSet, from_images, open_pictures


class OpenPictureFolder(io.ComfyNode):
    """A folder's name to its pictures."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartOpenPictureFolder",
            "Picture Folder",
            "genart/dataset",
            description="Lists the pictures of a folder or a zip file, for Train GAN.",
            search_aliases=["dataset", "training images", "zip"],
            inputs=[
                field(
                    io.String,
                    "folder",
                    "A folder or zip file inside ComfyUI's input, by its name, or any, by its "
                    "full path; folders inside it count too, and can be classes.",
                    default="my_pictures",
                )
            ],
            outputs=[result(sockets.Dataset, "dataset", "dataset", "The pictures.")],
        )

    @classmethod
    def fingerprint_inputs(cls, folder: str | None) -> str | float:
        """Changes when pictures come or go, and when their list of licences does."""
        if folder is None:  # wired, and not known yet
            return float("nan")
        try:
            pictures = _open(folder)
        except GenartError as error:
            return str(error)
        return hashlib.sha256((pictures.fingerprint + pictures.manifest).encode()).hexdigest()

    @classmethod
    def execute(cls, folder: str) -> io.NodeOutput:
        """List the pictures."""
        pictures = _open(folder)
        return io.NodeOutput(pictures, ui=say(_line(pictures)))


class PicturesFromImages(io.ComfyNode):
    """Images of the graph to pictures to train on."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartPicturesFromImages",
            "Pictures from Images",
            "genart/dataset",
            description=(
                "Makes a dataset for Train GAN out of images that the graph made or loaded: train "
                "a GAN on what a workflow makes."
            ),
            search_aliases=["dataset", "distill", "image batch to dataset"],
            is_input_list=True,
            inputs=[
                field(io.Image, "images", "A batch of images, or a list of batches of any sizes."),
                field(
                    io.String,
                    "class_name",
                    "The class of these images, for training with classes; empty for none.",
                    default="",
                ),
                field(
                    sockets.Dataset,
                    "pictures",
                    "Pictures to add these images to: from another of these nodes, or from Picture "
                    "Folder.",
                    optional=True,
                ),
            ],
            outputs=[result(sockets.Dataset, "dataset", "dataset", "All the pictures.")],
        )

    @classmethod
    def execute(
        cls,
        images: list[Tensor],
        class_name: list[str],
        pictures: list[PictureSet] | None = None,
    ) -> io.NodeOutput:
        """Take the images over, a byte a number."""
        named = class_name[0].strip()
        name = check_name(named, "class") if named else ""
        made = from_images(
            [to_bytes(batch) for batch in images], name, pictures[0] if pictures else None
        )
        return io.NodeOutput(made, ui=say(_line(made)))


class ReportDataset(io.ComfyNode):
    """Pictures to what they are like."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartReportDataset",
            "Dataset Report",
            "genart/dataset",
            description=(
                "Looks through pictures before you train on them: sizes, unreadable files, "
                "near-duplicates, classes, licences and consent, EXIF and GPS, a contact sheet."
            ),
            search_aliases=["duplicates", "corrupt", "contact sheet", "license", "exif"],
            is_output_node=True,
            inputs=[field(sockets.Dataset, "dataset", "The pictures to look through.")],
            outputs=[
                result(io.Image, "contact_sheet", "contact sheet", "Up to 64 of the pictures."),
                result(io.String, "report", "report", "What was found, a line a subject."),
            ],
        )

    @classmethod
    def execute(cls, dataset: PictureSet) -> io.NodeOutput:
        """Look at every picture."""
        found = report(dataset, Progress(len(dataset)).at)
        sheet = torch.from_numpy(found.sheet)[None].float() / 255
        text = found.text()
        return io.NodeOutput(sheet, text, ui=say(text))


def _line(pictures: PictureSet) -> str:
    """How many pictures, from where, in how many folders."""
    count = len(pictures.folders)
    folded = f", {count} sub-folder{'s' * (count > 1)}" if count else ""
    return "\n".join([f"{len(pictures)} pictures in {pictures.place}{folded}", *passed(pictures)])


def _open(folder: str) -> PictureSet:
    named = folder.strip().strip('"')  # Windows copies paths with their quotes
    if not named:
        raise GenartError("Say which folder: its name inside ComfyUI's input, or its full path.")
    at_home = named.startswith("~")
    return open_pictures(named if at_home else folders.input_folder() / named)
