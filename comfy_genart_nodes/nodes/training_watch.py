"""What nodes that train do: begin the run, start the trainer, show what it does meanwhile."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image

from ..errors import GenartError
from ..host import folders, memory
from ..host.progress import Progress, check_cancelled, show_text
from ..training.beginning import prepare
from ..training.history import spent_seconds
from ..training.job import TrainerJob, start_in_background
from ..training.lineage import Parent
from ..training.picture_sets import PictureSet
from ..training.reached import Reached, reached
from ..training.run_config import RunConfig
from ..training.run_folder import RunFolder, begun, mark, runs_folder
from ..training.status import ahead, done, incident, losses, measured, skipped
from .run_settings import BACKGROUND, CALLED

BEAT_SECONDS = 1.0


def queued_again(run_name: str | None, mode: str | None) -> str | float:
    """Changes where a run's folder is gone, so that queueing again begins it anew.

    In the background also with what was reached, so that queueing again brings it. What is
    wired comes as None: anything may have changed.
    """
    runs = runs_folder(folders.output_folder())
    if run_name is None or mode is None or begun(runs, run_name) is None:
        return float("nan")
    return mark(runs, run_name) if mode == BACKGROUND else ""


def carry_out(
    run_name: str,
    dataset: PictureSet | None,
    config: RunConfig,
    parent: Parent | None,
    gpus: int,
    mode: str,
    chosen: str,
) -> tuple[RunFolder, Reached | None]:
    """Begin a run or go on with it: wait for its end, or leave it in the background.

    Args:
        run_name: its name.
        dataset: the pictures; a run that has begun needs none.
        config: its settings.
        parent: the network that it goes on from, if any.
        gpus: how many graphics cards train together.
        mode: of `MODES`.
        chosen: a line that says what was chosen for the person; "" for nothing.

    Returns:
        The run, and what it has reached.

    Raises:
        InterruptProcessingException: when the person pressed Cancel.
        GenartError: when the run cannot begin, the training failed, or it is under way already.
    """
    show_text("Reading pictures")
    run = prepare(
        runs_folder(folders.output_folder()),
        run_name,
        dataset,
        config,
        memory.training_device(),
        progress=Progress(len(dataset) if dataset else 0).at,
        parent=parent,
        processes=gpus,
        called=CALLED,
    )
    if mode == BACKGROUND:
        _in_background(run)
    else:
        _until_the_end(run, chosen)
    return run, reached(run)


def _until_the_end(run: RunFolder, chosen: str) -> None:
    if run.finished:
        return
    if run.training:
        raise GenartError(
            f"The run {run.path.name!r} is being trained already: end that with Stop Run, or set "
            "mode to background to see what it has reached."
        )
    memory.release_all()
    Watch(run, chosen).follow()


def _in_background(run: RunFolder) -> None:
    """Start the training unless it is under way or done."""
    if run.finished or run.training:
        return
    show_text("Starting")
    memory.release_all()
    start_in_background(run, check_cancelled)


class Watch:
    """Shows a training job on the node for as long as it runs.

    Args:
        run: what is trained.
        recipe: a line that says what settings were chosen for the person; "" for none.
    """

    def __init__(self, run: RunFolder, recipe: str) -> None:
        self.run = run
        self.recipe = recipe
        self.last_step = run.config.last_step
        self.progress = Progress(self.last_step)
        self.step = 0
        self.began, self.spent = time.monotonic(), spent_seconds(run.events())
        self.pace = "Starting"
        self.notable: dict[str, str] = {}

    def follow(self) -> None:
        """Run the job to its end; on Cancel it writes a checkpoint first.

        Raises:
            InterruptProcessingException: when the person pressed Cancel.
            GenartError: when the training failed.
        """
        self._tell()
        beat = time.monotonic()
        with TrainerJob(self.run) as job, _said_at_cancel():
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
            self.pace = self._line(event)
            self._tell()
        elif told := measured(event) or incident(event):
            self.notable[event["event"]] = told
            self._tell()
        self.progress.at(self.step, self.last_step, preview)

    def _tell(self) -> None:
        lines = [self.pace, *self.notable.values(), self.recipe, skipped(self.run)]
        show_text("\n".join(filter(None, lines)))

    def _line(self, event: dict[str, Any]) -> str:
        """How far it is, how fast, how long to go, and the losses."""
        speed, spent = event["pictures_per_second"], self.spent + time.monotonic() - self.began
        return (
            f"{done(self.run.config, event['kimg'])}, "
            f"{ahead(self.run.config, self.step, speed, spent)}\n"
            f"{losses(event)}"
        )


@contextmanager
def _said_at_cancel() -> Iterator[None]:
    """A step may be long, and what it says is all there is to see meanwhile."""
    try:
        yield
    except BaseException:
        show_text("Stopping: after this step a checkpoint is written")
        raise
