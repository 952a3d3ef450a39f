"""Settings of runs as options of a command, for every kind of network."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ..training.lineage import Parent
    from ..training.picture_sets import PictureSet
    from ..training.run_config import RunConfig

COMMON = {
    "resolution": "side of the square pictures",
    "fit": "how pictures become square: crop, pad, letterbox or random",
    "background": "colour behind transparent and beside padded pictures",
    "batch": "pictures a step",
    "seed": "of everything random in the run",
    "kimg": "stop after so many thousand pictures",
    "steps": "stop after so many steps, if that comes first",
    "hours": "stop after so many hours of training",
    "plateau_kimg": "stop after so many thousand pictures without a better score",
    "rate": "learning rate",
    "ema_kimg": "half-life of the averaged network",
    "mirror": "show mirror images too",
    "precision": "fp32, bf16, or auto for the fastest here",
    "checkpoint_kimg": "keep the state so often",
    "sample_kimg": "make a sheet of samples so often",
    "keep_last": "newest checkpoints to keep",
    "keep_best": "checkpoints of the best score to keep",
    "measure_kimg": "measure so often; 0 for never",
    "held_out": "pictures kept apart for that",
}
"""What the settings of all runs mean, in a few words."""

# Of settings that may be None; others have the type of their default.
_TYPES: dict[str, type] = {
    "steps": int,
    "channel_base": int,
    "gamma": float,
    "hours": float,
    "plateau_kimg": float,
    "ada_target": float,
}


class Kind(Protocol):
    """What the command knows of a kind of network (a module of it is one)."""

    KIND: str
    """As runs of it say (`RunConfig.KIND`)."""
    HELP: Mapping[str, str]
    """Settings that may be given, and what they mean."""

    def automatic(
        self, args: argparse.Namespace, given: dict[str, Any], pictures: PictureSet | None
    ) -> tuple[str, str, dict[str, Any]]:
        """The recipe for a new run, a line that says so, and the settings with it.

        Args:
            args: of the command.
            given: settings that the person gave.
            pictures: what to train on, if that was named.
        """

    def settings(self, recipe: str, given: dict[str, Any]) -> RunConfig:
        """A run's settings: those of a recipe, but for those given."""

    def shapes(self, parent: Any) -> dict[str, Any]:
        """Settings that the network to go on from decides where nobody gave them."""

    def open_file(self, path: Path) -> Parent:
        """The network in a file."""


def add_settings(
    parser: argparse.ArgumentParser,
    config: type[RunConfig],
    recipes: Mapping[str, Any],
    told: Mapping[str, str],
) -> None:
    """Add the recipe, and an option for every setting that may differ from it.

    Args:
        parser: of the command.
        config: the settings of its kind of network.
        recipes: by name.
        told: what the settings mean.
    """
    parser.add_argument(
        "--recipe",
        choices=("auto", *recipes),
        default="auto",
        help="settings that go well together; auto looks at what there is (default: auto)",
    )
    for field in dataclasses.fields(config):
        if field.name not in told:
            continue
        name, text = option(field.name), told[field.name]
        if field.type in ("bool", bool):
            parser.add_argument(name, action="store_true", default=argparse.SUPPRESS, help=text)
            continue
        default: Any = field.default
        kind: Callable[[str], Any] = _TYPES.get(field.name, type(default))
        if isinstance(default, tuple):
            kind, default = _words, ",".join(default)
        shown = "" if default is None else f" (without a recipe's: {default})"
        parser.add_argument(
            name, type=kind, default=argparse.SUPPRESS, metavar="X", help=text + shown
        )


def option(name: str) -> str:
    """What a setting is called in a shell."""
    return "--" + name.replace("_", "-")


def _words(text: str) -> tuple[str, ...]:
    words = (word.strip() for word in text.split(","))
    return tuple(word for word in words if word and word != "none")
