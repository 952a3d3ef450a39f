"""Train a GAN as a job in the graph, or in the background."""

import time
from typing import Any

from comfy_api.latest import io
from PIL import Image

from ..errors import GenartError, check_choice
from ..host import folders, memory, sockets
from ..host.progress import Progress, check_cancelled, show_text
from ..host.schema import field, result, schema, seed_field, within_bounds
from ..training.beginning import prepare
from ..training.config import TrainConfig
from ..training.job import TrainerJob, start_in_background
from ..training.picture_sets import PictureSet
from ..training.reached import reached
from ..training.run_folder import RunFolder, mark, runs_folder
from ..training.status import duration, headline
from .runs import outputs_of

PRECISIONS = ["auto", "fp32", "bf16"]
WAIT, BACKGROUND = MODES = ["wait", "background"]
BEAT_SECONDS = 1.0


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
                "Trains a StyleGAN2 on your pictures. Cancel keeps what was reached; queueing it "
                "again goes on; a finished run returns at once. Everything lies in "
                "output/genart/<run name>."
            ),
            search_aliases=["train stylegan", "learn"],
            is_output_node=True,
            inputs=[
                field(sockets.Dataset, "dataset", "The pictures to learn from."),
                field(
                    io.String,
                    "run_name",
                    "The run's folder under output/genart. The same name goes on with the run.",
                    default="my_gan",
                ),
                field(
                    io.Int,
                    "resolution",
                    "Side of the square pictures: 32 to 1024, and 4, 5, 6 or 7 times a power of "
                    "two. Twice the side takes about four times as long.",
                    default=64,
                    min=32,
                    max=1024,
                    step=8,
                ),
                field(
                    io.Float,
                    "kimg",
                    "When to stop: after the network saw so many thousand pictures. Raise it to go "
                    "on with a finished run.",
                    default=500.0,
                    min=0.001,
                    max=100000.0,
                    step=10.0,
                    round=0.001,
                ),
                field(
                    io.Int,
                    "batch_size",
                    "Pictures a step. Lower it when memory is short.",
                    default=16,
                    min=2,
                    max=256,
                ),
                seed_field("Decides everything random in the run.", control=False),
                field(
                    io.Int,
                    "channel_base",
                    "Width of the network: higher learns more detail, needs more memory and time "
                    "and makes larger files. 0: 64 times the resolution.",
                    default=0,
                    min=0,
                    max=65536,
                    step=512,
                    advanced=True,
                ),
                field(
                    io.Boolean,
                    "mirror",
                    "Show every picture's mirror image too. Not for writing, nor for faces that "
                    "all look the same way.",
                    default=False,
                    advanced=True,
                ),
                field(
                    io.Combo,
                    "precision",
                    "bf16 is faster on recent graphics cards and on CPUs with AMX; fp32 runs "
                    "everywhere; auto takes the faster one.",
                    options=PRECISIONS,
                    default="auto",
                    advanced=True,
                ),
                field(
                    io.Combo,
                    "mode",
                    "wait: the queue waits for the end, and Cancel stops the training. background: "
                    "the queue goes on; Stop Run ends the training.",
                    options=MODES,
                    default=WAIT,
                    optional=True,
                ),
            ],
            outputs=[
                result(sockets.Gan, "gan", "GAN", "The trained network."),
                result(sockets.Run, "run", "run", "The run's folder."),
                result(io.Image, "samples", "samples", "The last sheet of samples."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, run_name: str = "", mode: str = WAIT, **_: Any) -> str:
        """In the background, changes with what was reached, so that queueing again brings it."""
        if mode != BACKGROUND:
            return ""
        return mark(runs_folder(folders.output_folder()), str(run_name))

    @classmethod
    @within_bounds
    def execute(
        cls,
        dataset: PictureSet,
        run_name: str,
        resolution: int,
        kimg: float,
        batch_size: int,
        seed: int,
        channel_base: int,
        mirror: bool,
        precision: str,
        mode: str = WAIT,
    ) -> io.NodeOutput:
        """Begin the run or go on with it, wait for its end or not, and read what it reached."""
        check_choice("precision", precision, PRECISIONS)
        check_choice("mode", mode, MODES)
        config = TrainConfig(
            resolution=resolution,
            batch=batch_size,
            seed=seed,
            kimg=kimg,
            channel_base=channel_base or None,
            mirror=mirror,
            precision=precision,
        )
        show_text("Reading pictures")
        progress = Progress(len(dataset))
        device = memory.training_device()
        runs = runs_folder(folders.output_folder())
        run = prepare(runs, run_name, dataset, config, device, progress=progress.at)
        told = _in_background(run) if mode == BACKGROUND else _until_the_end(run)
        return outputs_of(run, reached(run), told)


def _until_the_end(run: RunFolder) -> str:
    if run.finished:
        return headline(run)
    if run.training:
        raise GenartError(
            f"The run {run.path.name!r} is being trained already: end that with Stop Run, or set "
            "mode to background to see what it has reached."
        )
    memory.release_all()
    _Watch(run).follow()
    return headline(run)


def _in_background(run: RunFolder) -> str:
    """Start the training unless it is under way or done; what the node tells."""
    if not run.finished and not run.training:
        show_text("Starting")
        memory.release_all()
        start_in_background(run, check_cancelled)
    told = headline(run)
    if not run.checkpoints:
        told += (
            "\nThere is no checkpoint yet, so that nothing behind GAN runs: queue again later, or "
            "look at it with Training Status."
        )
    return told


class _Watch:
    """Shows a training job on the node for as long as it runs.

    Args:
        run: what is trained.
    """

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self.last_step = run.config.last_step
        self.progress = Progress(self.last_step)
        self.step = 0

    def follow(self) -> None:
        """Run the job to its end; on Cancel it writes a checkpoint first.

        Raises:
            InterruptProcessingException: when the person pressed Cancel.
            GenartError: when the training failed.
        """
        show_text("Starting")
        beat = time.monotonic()
        with TrainerJob(self.run) as job:
            for event in job.events():
                if event is not None:
                    self._show(event)
                elif time.monotonic() - beat >= BEAT_SECONDS:
                    # Whoever waits for the queue counts silence: report without news too.
                    beat = time.monotonic()
                    self.progress.at(self.step)
                else:
                    check_cancelled()

    def _show(self, event: dict[str, Any]) -> None:
        self.step = event.get("step", self.step)
        preview = None
        if event["event"] == "samples":
            with Image.open(self.run.path / event["file"]) as picture:
                preview = picture.convert("RGB")
        elif event["event"] == "progress":
            show_text(self._line(event))
        self.progress.at(self.step, self.last_step, preview)

    def _line(self, event: dict[str, Any]) -> str:
        """How far it is, how fast, how long to go, and the losses."""
        config = self.run.config
        speed = event["pictures_per_second"]
        left = (self.last_step - self.step) * config.batch / max(speed, 1e-9)
        return (
            f"{event['kimg']:.1f} of {self.last_step * config.batch / 1000:.1f} kimg, "
            f"{speed:.0f} pictures/s, {duration(left)} to go\n"
            f"loss G {event['loss_g']:.2f}, D {event['loss_d']:.2f}{self._skipped()}"
        )

    def _skipped(self) -> str:
        """Which pictures could not be read."""
        names = self.run.data["skipped"]
        if not names:
            return ""
        more = "" if len(names) < 4 else f" and {len(names) - 3} more"
        return f"\nskipped, since unreadable: {', '.join(names[:3])}{more}"
