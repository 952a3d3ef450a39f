"""Train a GAN as a job in the graph, or in the background."""

from typing import Any

from comfy_api.latest import io

from ..errors import check_choice
from ..host import folders, memory, sockets
from ..host.progress import Progress, show_text
from ..host.schema import field, result, schema, within_bounds
from ..host.sockets import ManagedGAN
from ..training.beginning import prepare
from ..training.config import TrainConfig
from ..training.picture_sets import PictureSet
from ..training.run_folder import begun, mark, runs_folder
from .run_settings import BACKGROUND, CALLED, MODES, WAIT, complete
from .runs import gan_of, told_of
from .training_settings import first_fields, more_fields, settings
from .training_watch import carry_out


def dataset_field() -> io.Input:
    """The pictures of a node that trains."""
    return field(
        sockets.Dataset,
        "dataset",
        "The pictures to learn from. A run that has begun keeps its own and goes on without them.",
        optional=True,
    )


def queued_again(run_name: str | None, mode: str | None) -> str | float:
    """Changes where a run's folder is gone, so that queueing again begins it anew.

    In the background also with what was reached, so that queueing again brings it. What is
    wired comes as None: anything may have changed.
    """
    runs = runs_folder(folders.output_folder())
    if run_name is None or mode is None or begun(runs, run_name) is None:
        return float("nan")
    return mark(runs, run_name) if mode == BACKGROUND else ""


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
                dataset_field(),
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
        """Changes where queueing it again has something to do."""
        return queued_again(run_name, mode)

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
        known = begun(runs, run_name)
        config, recipe = settings(
            complete(more_fields(), chosen),
            count,
            parent and parent.hash,
            memory.training_memory(),
            known if isinstance(known, TrainConfig) else None,
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
        found = carry_out(run, mode, recipe)
        picture, shown = told_of(run, found, recipe)
        return io.NodeOutput(gan_of(found), run, picture, ui=shown)
