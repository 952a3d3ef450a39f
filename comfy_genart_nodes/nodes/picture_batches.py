"""Pictures of a dataset as images of the graph."""

from dataclasses import replace

import numpy as np
import torch
from comfy_api.latest import io

from ..errors import GenartError
from ..host import sockets
from ..host.progress import Progress, say
from ..host.schema import field, result, schema, within_bounds
from ..training.picture_sets import PictureSet
from ..training.pictures import decoded


class ImagesFromPictures(io.ComfyNode):
    """A dataset to a batch of images."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartImagesFromPictures",
            "Images from Pictures",
            "genart/dataset",
            description=(
                "Takes pictures of a folder or zip file into the graph as one batch of squares of "
                "the same size, transparent parts white."
            ),
            search_aliases=["load folder", "image batch from folder", "dataset to images"],
            inputs=[
                field(sockets.Dataset, "dataset", "The pictures, from Picture Folder."),
                field(
                    io.Int,
                    "side",
                    "Of the squares, in pixels: the middle of each picture, scaled.",
                    default=256,
                    min=8,
                    max=4096,
                ),
                field(io.Int, "count", "How many pictures at most.", default=64, min=1, max=16384),
                field(
                    io.Int,
                    "skip",
                    "How many to pass over first; they come in the order of their names.",
                    default=0,
                    min=0,
                    max=10**9,
                ),
            ],
            outputs=[result(io.Image, "images", "images", "The pictures, as a batch.")],
        )

    @classmethod
    @within_bounds
    def execute(cls, dataset: PictureSet, side: int, count: int, skip: int) -> io.NodeOutput:
        """Decode them."""
        names = dataset.names[skip : skip + count]
        if not names:
            raise GenartError(
                f"There are {len(dataset)} pictures in {dataset.place}, fewer than skip passes "
                "over: lower skip."
            )
        progress, kept = Progress(len(names)), []
        for done, (_, made) in enumerate(decoded(replace(dataset, names=names), side), 1):
            if made is not None:
                kept.append(made)
            progress.at(done)
        if not kept:
            raise GenartError(
                f"None of these {len(names)} pictures of {dataset.place} can be read: look at them "
                "with Dataset Report."
            )
        image = torch.from_numpy(np.stack(kept)).movedim(1, -1).float() / 255
        broken = len(names) - len(kept)
        lost = f", {broken} cannot be read" if broken else ""
        return io.NodeOutput(image, ui=say(f"{len(kept)} pictures of {dataset.place}{lost}"))
