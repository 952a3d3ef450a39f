"""Fields that all training nodes have, and what they stand for in a run's settings."""

from typing import Any

from comfy_api.latest import io

from ..errors import GenartError
from ..host import sockets
from ..host.schema import field, seed_field
from ..training.run_config import FITS, RunConfig

PRECISIONS = ["auto", "fp32", "bf16"]
WAIT, BACKGROUND = MODES = ["wait", "background"]

CALLED = {
    "batch": "batch_size",
    "rate": "learning_rate",
    "sample_kimg": "preview_every",
    "checkpoint_kimg": "checkpoint_every",
    "measure_kimg": "measure_every",
    "plateau_kimg": "plateau",
    "parent": "base",
}
"""What the page calls the run's settings, where it does not use the engine's names."""

_SAME = (
    *("resolution", "kimg", "seed", "fit", "background", "mirror", "precision"),
    *("keep_last", "keep_best", "held_out"),
)


def option(kind: Any, name: str, tooltip: str, **keywords: Any) -> io.Input:
    """A field that has a good value already."""
    return field(kind, name, tooltip, optional=True, advanced=True, **keywords)


def amount(name: str, tooltip: str, default: float, high: float, **keywords: Any) -> io.Input:
    """The same of a number from 0 to `high`."""
    return option(
        io.Float,
        name,
        tooltip,
        default=default,
        max=high,
        **{"min": 0.0, "round": 0.001} | keywords,
    )


def dataset_field() -> io.Input:
    """The pictures."""
    return field(
        sockets.Dataset,
        "dataset",
        "The pictures to learn from. A run that has begun keeps its own and goes on without them.",
        optional=True,
    )


def name_field(default: str) -> io.Input:
    """The run's name."""
    return field(
        io.String,
        "run_name",
        "The run's folder under output/genart. The same name goes on with the run.",
        default=default,
    )


def pace_fields() -> list[io.Input]:
    """When the run ends, pictures a step, and the seed."""
    return [
        field(
            io.Float,
            "kimg",
            "When to stop: after the network saw so many thousand pictures. Raise it to go on with "
            "a finished run.",
            default=500.0,
            min=0.001,
            max=100000.0,
            step=10.0,
            round=0.001,
        ),
        field(
            io.Int,
            "batch_size",
            "Pictures a step; 0 takes the recipe's. Where memory is short the trainer works on a "
            "batch in parts by itself.",
            default=0,
            min=0,
            max=1024,
        ),
        seed_field("Decides everything random in the run.", control=False),
    ]


def rate_field() -> io.Input:
    """The learning rate."""
    return amount(
        "learning_rate",
        "How far each step goes; 0 takes the recipe's. Too high, and pictures fall apart.",
        0.0,
        0.1,
        step=0.0001,
        round=0.000001,
    )


def fit_fields() -> list[io.Input]:
    """How pictures become square and opaque."""
    return [
        option(
            io.Combo,
            "fit",
            "How pictures of other shapes become square. crop: their middle. pad: all of it, on "
            "the background. letterbox: likewise, never enlarged. random: a part chosen by chance.",
            options=list(FITS),
            default="crop",
        ),
        option(
            io.String,
            "background",
            "The colour behind transparent pictures and beside padded ones: a name, or #rrggbb.",
            default="white",
        ),
    ]


def mirror_field() -> io.Input:
    """Mirror images."""
    return option(
        io.Boolean,
        "mirror",
        "Show every picture's mirror image too. Not for writing, nor for faces that all look "
        "the same way.",
        default=False,
    )


def precision_field() -> io.Input:
    """Arithmetic."""
    return option(
        io.Combo,
        "precision",
        "bf16 is faster on recent graphics cards and on CPUs with AMX or AVX512-BF16; fp32 runs "
        "everywhere; auto takes the faster one.",
        options=PRECISIONS,
        default="auto",
    )


def keeping_fields(score: str) -> list[io.Input]:
    """How often sheets and checkpoints are made, and how many of these are kept.

    Args:
        score: by which checkpoints are compared, as people call it.
    """
    return [
        amount(
            "preview_every",
            "A new sheet of samples after so many thousand pictures.",
            RunConfig.sample_kimg,
            1000.0,
            min=0.001,
            step=1.0,
        ),
        amount(
            "checkpoint_every",
            "A checkpoint after so many thousand pictures, and every half hour at the least: what "
            "a crash can cost. Cancel writes one anyway.",
            RunConfig.checkpoint_kimg,
            1000.0,
            min=0.001,
            step=1.0,
        ),
        option(
            io.Int,
            "keep_last",
            "So many of the newest checkpoints are kept.",
            default=RunConfig.keep_last,
            min=1,
            max=1000,
        ),
        option(
            io.Int,
            "keep_best",
            f"So many of the checkpoints with the best {score} are kept as well, where it is "
            "measured.",
            default=RunConfig.keep_best,
            min=0,
            max=1000,
        ),
    ]


def end_fields(score: str) -> list[io.Input]:
    """What ends a run besides kimg."""
    return [
        amount("hours", "Stop after so many hours of training; 0 for no limit.", 0.0, 10000.0),
        amount(
            "plateau",
            f"Stop after so many thousand pictures without a better {score}; 0 for never. Needs "
            "measure_every.",
            0.0,
            100000.0,
            step=10.0,
        ),
    ]


def where_fields() -> list[io.Input]:
    """Where the training runs."""
    return [
        option(
            io.Int,
            "gpus",
            "Graphics cards that train together; batch_size is shared among them.",
            default=1,
            min=1,
            max=64,
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
    ]


def complete(fields: list[io.Input], chosen: dict[str, Any]) -> dict[str, Any]:
    """What a workflow or script left out, as the page would have it."""
    return {each.id: getattr(each, "default", None) for each in fields} | chosen


def common(chosen: dict[str, Any], score: str) -> dict[str, Any]:
    """The settings that these fields stand for, by the engine's names.

    Raises:
        GenartError: when the run is to stop by a score that it does not measure.
    """
    if chosen["plateau"] and not chosen["measure_every"]:
        raise GenartError(f"plateau watches the {score}: set measure_every too, or plateau to 0.")
    return {
        **{name: chosen[name] for name in _SAME},
        "sample_kimg": chosen["preview_every"],
        "checkpoint_kimg": chosen["checkpoint_every"],
        "measure_kimg": chosen["measure_every"],
        "hours": chosen["hours"] or None,
        "plateau_kimg": chosen["plateau"] or None,
    }
