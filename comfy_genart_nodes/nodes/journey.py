"""Widgets of all nodes that travel from key to key."""

from collections.abc import Sequence

from comfy_api.latest import io

from ..errors import check_choice
from ..host.schema import field
from ..latent.journey import Journey
from ..latent.tracks import EASINGS
from ..ranges import read_times

MOST_FRAMES = 100_000


def journey_fields(key: str) -> list[io.Input]:
    """How to go from key to key.

    Args:
        key: what the keys are.
    """
    return [loop_field(key), *way_fields(key)]


def loop_field(key: str) -> io.Input:
    """Whether it returns."""
    return field(
        io.Boolean,
        "loop",
        f"Go on from the last {key} to the first, for an animation without an end.",
        default=True,
    )


def way_fields(key: str, optional: bool = False) -> list[io.Input]:
    """How it goes, loop or not.

    Args:
        key: what the keys are.
        optional: they may be left out, as where workflows are older than these widgets.
    """
    return [
        field(
            io.Boolean,
            "smooth",
            f"Go through each {key} in a curve. Off: turn there on the spot.",
            default=False,
            optional=optional,
        ),
        field(
            io.Combo,
            "easing",
            f"How each way from {key} to {key} is gone: linear evenly, in and out with a rest at "
            "both ends, hold with a jump.",
            options=list(EASINGS),
            default="linear",
            optional=optional,
        ),
        field(
            io.String,
            "times",
            f"When each {key} is reached, in seconds or frames or whatever you count: as 0, 1, "
            "2.5. A loop has one time more, that of the return. Empty: evenly.",
            default="",
            optional=optional,
        ),
    ]


def journey(loop: bool, smooth: bool, easing: str, times: str) -> Journey:
    """What the widgets say.

    Raises:
        GenartError: for times that are no numbers.
    """
    check_choice("easing", easing, list(EASINGS))
    read: Sequence[float] = read_times(times)
    return Journey(tuple(read), loop, smooth, easing)
