"""What Train GAN shows while it waits for the trainer."""

import time
from typing import Any

from PIL import Image

from ..host.progress import Progress, check_cancelled, show_text
from ..training.job import TrainerJob
from ..training.run_folder import RunFolder
from ..training.status import duration, incident, measured, skipped

BEAT_SECONDS = 1.0


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
        config = self.run.config
        speed = event["pictures_per_second"]
        left = (self.last_step - self.step) * config.batch / max(speed, 1e-9)
        return (
            f"{event['kimg']:.1f} of {self.last_step * config.batch / 1000:.1f} kimg, "
            f"{speed:.0f} pictures/s, {duration(left)} to go\n"
            f"loss G {event['loss_g']:.2f}, D {event['loss_d']:.2f}"
        )
