"""Why a run has failed: as one sentence, and once, whichever of its processes met it."""

import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ..errors import GenartError
from .run_folder import RunFolder
from .shortage import is_shortage


def sentence(error: Exception) -> str:
    """What to tell a person of an error that ended training."""
    if isinstance(error, GenartError):
        return str(error)
    if is_shortage(error):
        return "The device has too little memory for this training: lower the batch or resolution."
    said = (str(error).strip().splitlines() or [""])[0].rstrip(".")
    return f"Training failed with {type(error).__name__}: {said}; its log.txt has more."


def record(
    run: RunFolder,
    reason: str,
    since: float = math.inf,
    listen: Callable[[dict[str, Any]], None] = lambda event: None,
) -> None:
    """Record why a run has failed.

    Args:
        run: the run.
        reason: one sentence.
        since: unless one of its processes has recorded the cause after this time.
        listen: hears the event.
    """
    if any(e["event"] == "failed" and e["time"] >= since for e in run.events()):
        return
    event = {"event": "failed", "reason": reason, "time": time.time()}
    with suppress(GenartError):  # a full disk, most likely what has just been met
        run.record(event)
    listen(event)
