"""What a run recorded, as curves over the pictures seen."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

_WHEN = ("step", "kimg", "time")


@dataclass(frozen=True)
class Curve:
    """A number of a run as it went.

    Attributes:
        kimg: thousands of pictures seen, rising.
        values: the number there.
    """

    kimg: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


def numbers(event: dict[str, Any]) -> dict[str, float]:
    """What an event measured: its finite numbers, by their names."""
    if event["event"] not in ("progress", "measures"):
        return {}
    return {
        name: float(value)
        for name, value in event.items()
        if name not in _WHEN and type(value) in (int, float) and math.isfinite(value)
    }


def curves(events: Iterable[dict[str, Any]]) -> dict[str, Curve]:
    """Losses, scores, speed and measures of a run, by the names its events give them.

    A run that was killed trains some steps twice: later points take the place of earlier ones.

    Args:
        events: of `RunFolder.events`.
    """
    found: dict[str, Curve] = {}
    for event in events:
        for name, value in numbers(event).items():
            curve = found.setdefault(name, Curve())
            while curve.kimg and curve.kimg[-1] >= event["kimg"]:
                curve.kimg.pop()
                curve.values.pop()
            curve.kimg.append(event["kimg"])
            curve.values.append(value)
    return found
