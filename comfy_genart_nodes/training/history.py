"""What a run's events tell of its past: how long it was trained, what was measured when."""

import math
from collections.abc import Iterable
from typing import Any

Events = Iterable[dict[str, Any]]

_BETWEEN = ("unreadable", "failed")
"""Events that may come days after the last step: of a process that has not begun to train."""


def spent_seconds(events: Events) -> float:
    """For how long a run has been trained so far."""
    total, began, last = 0.0, math.inf, 0.0
    for event in events:
        if event["event"] in _BETWEEN:
            continue
        if event["event"] in ("started", "resumed"):
            total += max(last - began, 0.0)
            began = event["time"]
        last = event["time"]
    return total + max(last - began, 0.0)


def scores(events: Events, name: str) -> dict[int, float]:
    """A measure at every step where it was taken; of steps trained twice, the later one."""
    return {event["step"]: event[name] for event in events if event["event"] == "measures"}
