"""Train a GAN as a job in the graph, or in the background."""

from typing import Any

from comfy_api.latest import io

from ..errors import check_choice
from ..host import folders, memory, sockets
from ..host.schema import result, schema, within_bounds
from ..host.sockets import ManagedGAN
from ..training.config import TrainConfig
from ..training.picture_sets import PictureSet
from ..training.run_folder import begun, runs_folder
from .run_settings import MODES, WAIT, complete, dataset_field
from .runs import gan_of, told_of
from .training_settings import first_fields, more_fields, settings
from .training_watch import carry_out, queued_again


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
            inputs=[dataset_field(), *first_fields(), *more_fields()],
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
        known = begun(runs_folder(folders.output_folder()), run_name)
        config, recipe = settings(
            complete(more_fields(), chosen),
            len(dataset) if dataset else 0,
            parent and parent.hash,
            memory.training_memory(),
            known if isinstance(known, TrainConfig) else None,
        )
        run, found = carry_out(run_name, dataset, config, parent, gpus, mode, recipe)
        picture, shown = told_of(run, found, recipe)
        return io.NodeOutput(gan_of(found), run, picture, ui=shown)
