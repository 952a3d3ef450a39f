"""Train a VAE as a job in the graph, or in the background."""

from typing import Any

from comfy_api.latest import io

from ..errors import check_choice
from ..host import folders, sockets
from ..host.schema import result, schema, within_bounds
from ..host.vae_object import loaded_of
from ..training.picture_sets import PictureSet
from ..training.run_folder import begun, runs_folder
from ..training.vae_config import VAEConfig
from .run_settings import MODES, WAIT, complete, dataset_field
from .runs import told_of, vae_of
from .training_watch import carry_out, queued_again
from .vae_settings import first_fields, more_fields, settings


class TrainVAE(io.ComfyNode):
    """Pictures to a VAE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartTrainVAE",
            "Train VAE",
            "genart/training",
            description=(
                "Trains a VAE on your pictures, or the decoder of one you have. Cancel keeps what "
                "was reached; queueing it again goes on; a finished run returns at once. "
                "Everything lies in output/genart/<run name>."
            ),
            search_aliases=["autoencoder", "taesd", "beta-vae", "vq", "fsq", "fine-tune decoder"],
            is_output_node=True,
            inputs=[dataset_field(), *first_fields(), *more_fields()],
            outputs=[
                result(io.Vae, "vae", "VAE", "The trained VAE, for every node that takes one."),
                result(sockets.Run, "run", "run", "The run's folder."),
                result(
                    io.Image,
                    "samples",
                    "samples",
                    "The last sheet: pictures, and below each what the VAE makes of it.",
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(
        cls, run_name: str | None = None, mode: str | None = WAIT, **_: Any
    ) -> str | float:
        """As Train GAN's."""
        return queued_again(run_name, mode)

    @classmethod
    @within_bounds
    def execute(
        cls,
        run_name: str,
        dataset: PictureSet | None = None,
        base: Any = None,
        mode: str = WAIT,
        gpus: int = 1,
        **chosen: Any,
    ) -> io.NodeOutput:
        """Begin the run or go on with it, wait for its end or not, and read what it reached."""
        check_choice("mode", mode, MODES)
        parent = None if base is None else loaded_of(base)
        known = begun(runs_folder(folders.output_folder()), run_name)
        config, told = settings(
            complete(more_fields(), chosen),
            parent and parent.hash,
            known if isinstance(known, VAEConfig) else None,
        )
        run, found = carry_out(run_name, dataset, config, parent, gpus, mode, told)
        picture, shown = told_of(run, found, told)
        return io.NodeOutput(vae_of(found), run, picture, ui=shown)
