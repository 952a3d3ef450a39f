"""Train a GAN as a job in the graph, or in the background."""

from typing import Any

from comfy_api.latest import io

from ..errors import GenartError, check_choice
from ..host import folders, memory, sockets
from ..host.progress import Progress, check_cancelled, show_text
from ..host.schema import field, result, schema, within_bounds
from ..host.sockets import ManagedGAN
from ..training.beginning import prepare
from ..training.job import start_in_background
from ..training.picture_sets import PictureSet
from ..training.reached import reached
from ..training.run_folder import RunFolder, begun, mark, runs_folder
from ..training.status import headline, notable
from .runs import NOTHING_YET, outputs_of
from .training_settings import (
    BACKGROUND,
    CALLED,
    MODES,
    WAIT,
    complete,
    first_fields,
    more_fields,
    settings,
)
from .training_watch import Watch


class TrainGAN(io.ComfyNode):
    """Pictures to a GAN."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartTrainGAN",
            "Train GAN",
            "genart/training",
            description=(
                "Trains a GAN on your pictures. Cancel keeps what was reached; queueing it again "
                "goes on; a finished run returns at once. Everything lies in "
                "output/genart/<run name>."
            ),
            search_aliases=["train stylegan", "fine-tune", "fastgan", "dcgan", "learn"],
            is_output_node=True,
            inputs=[
                field(
                    sockets.Dataset,
                    "dataset",
                    "The pictures to learn from. A run that has begun keeps its own and goes on "
                    "without them.",
                    optional=True,
                ),
                *first_fields(),
                *more_fields(),
            ],
            outputs=[
                result(sockets.Gan, "gan", "GAN", "The trained network."),
                result(sockets.Run, "run", "run", "The run's folder."),
                result(io.Image, "samples", "samples", "The last sheet of samples."),
            ],
        )

    @classmethod
    def fingerprint_inputs(
        cls, run_name: str | None = None, mode: str | None = WAIT, **_: Any
    ) -> str | float:
        """Changes where the run's folder is gone, so that queueing again begins it anew.

        In the background also with what was reached, so that queueing again brings it. What is
        wired comes as None: anything may have changed.
        """
        runs = runs_folder(folders.output_folder())
        if run_name is None or mode is None or begun(runs, run_name) is None:
            return float("nan")
        return mark(runs, run_name) if mode == BACKGROUND else ""

    @classmethod
    @within_bounds
    def execute(
        cls,
        run_name: str,
        dataset: PictureSet | None = None,
        base: ManagedGAN | None = None,
        mode: str = WAIT,
        gpus: int = 1,
        **chosen: Any,
    ) -> io.NodeOutput:
        """Begin the run or go on with it, wait for its end or not, and read what it reached."""
        check_choice("mode", mode, MODES)
        parent = None if base is None else base.loaded
        runs, count = runs_folder(folders.output_folder()), len(dataset) if dataset else 0
        config, recipe = settings(
            complete(chosen),
            count,
            parent and parent.hash,
            memory.training_memory(),
            begun(runs, run_name),
        )
        show_text("Reading pictures")
        run = prepare(
            runs,
            run_name,
            dataset,
            config,
            memory.training_device(),
            progress=Progress(count).at,
            parent=parent,
            processes=gpus,
            called=CALLED,
        )
        if mode == BACKGROUND:
            _in_background(run)
        else:
            _until_the_end(run, recipe)
        found = reached(run)
        told = [headline(run), recipe, *notable(run), "" if found else NOTHING_YET]
        return outputs_of(run, found, "\n".join(filter(None, told)))


def _until_the_end(run: RunFolder, recipe: str) -> None:
    if run.finished:
        return
    if run.training:
        raise GenartError(
            f"The run {run.path.name!r} is being trained already: end that with Stop Run, or set "
            "mode to background to see what it has reached."
        )
    memory.release_all()
    Watch(run, recipe).follow()


def _in_background(run: RunFolder) -> None:
    """Start the training unless it is under way or done."""
    if run.finished or run.training:
        return
    show_text("Starting")
    memory.release_all()
    start_in_background(run, check_cancelled)
