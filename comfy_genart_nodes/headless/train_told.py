"""What `genart train` prints: what begins, how it goes and for how long, what was measured."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..training.picture_sets import PictureSet
    from ..training.run_folder import RunFolder

_SHOWN = ("loss_g", "loss_d", "r1", "pixel", "features", "nats", "critic")


def beginning(run: RunFolder, pictures: PictureSet | None, recipe: str) -> str:
    """What is going to be trained on what, and until when; a line a subject.

    Args:
        run: a run that is ready to be trained.
        pictures: what the person named, if anything.
        recipe: a line that says which settings were chosen.
    """
    from ..training.dataset_report import passed
    from ..training.status import beyond, headline, until

    config, device = run.config, run.machine["device"]
    apart = f", {config.held_out} of them kept apart for measures" if config.held_out else ""
    lines = [
        f"run folder: {run.path}",
        headline(run) if run.events() else "",
        recipe,
        f"{len(run.data['pictures'])} pictures{apart}; {config.resolution}x{config.resolution}, "
        f"{config.batch} a step, on {device}",
        *(passed(pictures) if pictures else []),
        *(f"skipped, cannot be read: {name}" for name in run.data["skipped"]),
        beyond(run) or until(config),
    ]
    return "\n".join(filter(None, lines))


class Teller:
    """Prints the events of a run at work.

    Args:
        run: the run, before its training begins.
    """

    def __init__(self, run: RunFolder) -> None:
        from ..training.history import spent_seconds
        from ..training.status import RECENT

        self._config = run.config
        self._began, self._spent = time.monotonic(), spent_seconds(run.events())
        self._speeds: deque[float] = deque(maxlen=RECENT)

    def __call__(self, event: dict[str, Any]) -> None:
        """Print an event as one line."""
        if event["event"] != "failed":  # else the error itself is on its way
            print(self._line(event), flush=True)

    def _line(self, event: dict[str, Any]) -> str:
        from ..training.status import ahead, incident, measured

        words = [f"{event['kimg']:9.3f} kimg  step {event['step']:<7d} {event['event']}"]
        words += [f"{name} {event[name]:.3f}" for name in _SHOWN if name in event]
        if "pictures_per_second" in event:
            self._speeds.append(event["pictures_per_second"])
            speed = sum(self._speeds) / len(self._speeds)
            spent = self._spent + time.monotonic() - self._began
            words.append(ahead(self._config, event["step"], speed, spent))
        words += filter(None, [measured(event), incident(event) or event.get("file", "")])
        return "  ".join(words)
