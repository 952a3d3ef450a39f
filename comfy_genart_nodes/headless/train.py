"""`genart train gan DATA --run NAME`: the trainer, in this process."""

from __future__ import annotations

import argparse
import dataclasses
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import GenartError
from .runs import add_base, runs_of
from .train_told import Teller, beginning

if TYPE_CHECKING:
    from ..gan.checkpoint import LoadedGAN


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `train` to the command."""
    train = subparsers.add_parser("train", help="train a network on a folder of pictures")
    kinds = train.add_subparsers(required=True, metavar="KIND")
    gan = kinds.add_parser(
        "gan",
        help="a GAN",
        description="Train a GAN on a folder or zip file of pictures. Ctrl-C writes a checkpoint "
        "and stops; the same command goes on. Only stop rules, and how often and how many "
        "checkpoints and samples are kept, may change in between. Started by torchrun, the "
        "processes share every batch.",
    )
    gan.add_argument(
        "data",
        type=Path,
        metavar="DATA",
        nargs="?",
        help="folder or zip file of pictures; a run that goes on keeps its own and needs none",
    )
    gan.add_argument(
        "--from",
        dest="parent",
        type=Path,
        metavar="FILE|RUN_FOLDER",
        help="go on from this GAN (of any family), or from the newest checkpoint of this run: its "
        "shapes take the place of the settings'",
    )
    gan.add_argument("--run", required=True, metavar="NAME", help="name of the run")
    add_base(gan)
    gan.add_argument("--device", help="where to train, as torch names it (default: a GPU if any)")
    gan.add_argument("--threads", type=_positive, help="CPU threads (default: all)")
    _add_settings(gan)
    gan.set_defaults(handler=_train_gan)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


_HELP = {
    "family": "of the generator: stylegan2, fastgan or dcgan",
    "loss": "logistic, minimax, hinge or r3gan",
    "resolution": "side of the square pictures, 32 to 1024",
    "fit": "how pictures become square: crop, pad, letterbox or random",
    "background": "colour behind transparent and beside padded pictures",
    "classes": "sub-folders are classes",
    "batch": "pictures a step",
    "seed": "of everything random in the run",
    "kimg": "stop after so many thousand pictures",
    "steps": "stop after so many steps, if that comes first",
    "hours": "stop after so many hours of training",
    "plateau_kimg": "stop after so many thousand pictures without a better KID",
    "channel_base": "channels times side: the networks' width (default: 64 * resolution)",
    "channel_max": "channels at most",
    "mapping_layers": "layers of the mapping network",
    "z_dim": "length of z",
    "w_dim": "length of w",
    "rate": "learning rate",
    "gamma": "weight of R1 (default: .0002 * resolution^2 / batch)",
    "path_length": "weight of path length regularisation; 0 for none",
    "ema_kimg": "half-life of the averaged generator",
    "augment": "of colour, translation and cutout, with commas; none for none",
    "ada_target": "ADA instead of DiffAugment, towards this share of recognised pictures",
    "freeze_d": "blocks of the discriminator that stay as the parent has them",
    "mirror": "show mirror images too",
    "precision": "fp32, bf16, or auto for the fastest here",
    "checkpoint_kimg": "keep the state so often",
    "sample_kimg": "make a sheet of samples so often",
    "keep_last": "newest checkpoints to keep",
    "keep_best": "checkpoints of the best KID to keep",
    "measure_kimg": "measure KID and its company so often; 0 for never",
    "held_out": "pictures kept apart for that",
}
_TYPES: dict[str, type] = {
    "steps": int,
    "channel_base": int,
    "gamma": float,
    "hours": float,
    "plateau_kimg": float,
    "ada_target": float,
}


def _add_settings(parser: argparse.ArgumentParser) -> None:
    """The recipe, and an option for every setting that differs from it."""
    from ..training.config import TrainConfig
    from ..training.recipes import RECIPES

    parser.add_argument(
        "--recipe",
        choices=("auto", *RECIPES),
        default="auto",
        help="settings that go well together; auto looks at the pictures (default: auto)",
    )
    for field in dataclasses.fields(TrainConfig):
        if field.name not in _HELP:
            continue
        option, text = _option(field.name), _HELP[field.name]
        if field.type in ("bool", bool):
            parser.add_argument(option, action="store_true", default=argparse.SUPPRESS, help=text)
            continue
        default: Any = field.default
        kind: Callable[[str], Any] = _TYPES.get(field.name, type(default))
        if field.name == "augment":
            kind, default = _words, ",".join(default)
        shown = "" if default is None else f" (without a recipe's: {default})"
        parser.add_argument(
            option, type=kind, default=argparse.SUPPRESS, metavar="X", help=text + shown
        )


def _option(name: str) -> str:
    """What a setting is called in a shell."""
    return "--" + name.replace("_", "-")


def _words(text: str) -> tuple[str, ...]:
    words = (word.strip() for word in text.split(","))
    return tuple(word for word in words if word and word != "none")


def _train_gan(args: argparse.Namespace) -> int:
    from ..training import tensorboard
    from ..training.run_folder import open_run
    from ..training.team import join
    from ..training.trainer import train

    team = join(args.device or best_device())
    runs = runs_of(args)
    if team.first:
        _prepare(args, runs)
    team.totals(0.0)  # the others wait for the folder
    run = open_run(runs, args.run)
    tell = Teller(run)
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    keep = tensorboard.listener(run) if team.first else _nothing

    def listen(event: dict[str, Any]) -> None:
        tell(event)
        keep(event)

    outcome = train(run.path, asked.is_set, listen)
    if outcome == "stopped":
        print("genart: stopped; the same command goes on", file=sys.stderr)
        return 130
    if team.first:
        print(f"checkpoint: {run.checkpoints[-1]}")
    return 0


def _prepare(args: argparse.Namespace, runs: Path) -> None:
    """Begin the run, or open it with new stop rules; say what is going to happen."""
    from ..training import recipes
    from ..training.beginning import prepare
    from ..training.config import TrainConfig
    from ..training.picture_sets import open_pictures
    from ..training.run_folder import begun

    pictures = open_pictures(args.data) if args.data else None
    given = {name: getattr(args, name) for name in _HELP if hasattr(args, name)}
    recipe, known = args.recipe, begun(runs, args.run)
    told = f"recipe: {recipe}"
    if recipe == "auto" and known:  # what nobody names stays as it is
        recipe = known.recipe
        told = f"recipe: {recipe}, as it began"
        given = {name: getattr(known, name) for name in (*_HELP, "parent")} | given
    elif recipe == "auto":
        side, count = given.get("resolution", TrainConfig.resolution), len(pictures or ())
        parent, classes = args.parent is not None, given.get("classes", False)
        recipe, narrow = recipes.automatic(count, side, parent, _memory(args), classes)
        narrow = None if given.get("channel_base") else narrow
        given = {"channel_base": narrow} | given
        told = recipes.told(recipe, count, parent, narrow)
    run = prepare(
        runs,
        args.run,
        pictures,
        recipes.settings(recipe, **given),
        args.device or best_device(),
        args.threads,
        parent=_parent(args.parent) if args.parent else None,
        called={name: _option(name) for name in _HELP},
    )
    print(beginning(run, pictures, told), flush=True)


def _parent(path: Path) -> LoadedGAN:
    """The GAN of a file, or of a run's newest checkpoint that can be read."""
    from ..gan.formats.opening import open_gan
    from ..training.reached import reached
    from ..training.run_folder import RunFolder

    if not path.is_dir():
        return open_gan(path)
    found = reached(RunFolder(path))
    if found is None:
        raise GenartError(
            f"The run in {path} has no checkpoint yet: wait for its first, or go on from another."
        )
    return found.gan


def _memory(args: argparse.Namespace) -> int | None:
    """Bytes of the graphics card that is to train, if it is one that says."""
    import torch

    device = torch.device(args.device or best_device())
    if device.type != "cuda" or not torch.cuda.is_available():
        return None
    return int(torch.cuda.get_device_properties(device).total_memory)


def _nothing(event: dict[str, Any]) -> None:
    """Keep nothing of an event."""


def best_device() -> str:
    """A GPU where torch finds one, else the CPU."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
