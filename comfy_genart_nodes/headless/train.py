"""`genart train KIND DATA --run NAME`: the trainer, in this process."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import GenartError
from . import train_gan, train_vae
from .runs import add_base, runs_of
from .train_settings import Kind, add_settings, option
from .train_told import Teller, beginning

if TYPE_CHECKING:
    from ..training.lineage import Parent


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `train` to the command."""
    from ..training import recipes, vae_config
    from ..training.config import TrainConfig

    train = subparsers.add_parser("train", help="train a network on a folder of pictures")
    kinds = train.add_subparsers(required=True, metavar="KIND")
    gan = _add_kind(kinds, "a GAN", train_gan)
    add_settings(gan, TrainConfig, recipes.RECIPES, train_gan.HELP)
    vae = _add_kind(kinds, "a VAE", train_vae)
    add_settings(vae, vae_config.VAEConfig, vae_config.RECIPES, train_vae.HELP)


def _add_kind(
    kinds: argparse._SubParsersAction[argparse.ArgumentParser], what: str, kind: Kind
) -> argparse.ArgumentParser:
    """Add the command for a kind of network, without its settings."""
    parser = kinds.add_parser(
        kind.KIND,
        help=what,
        description=f"Train {what} on a folder or zip file of pictures. Ctrl-C writes a checkpoint "
        "and stops; the same command goes on. Only stop rules, and how often and how many "
        "checkpoints and samples are kept, may change in between. Started by torchrun, the "
        "processes share every batch.",
    )
    parser.add_argument(
        "data",
        type=Path,
        metavar="DATA",
        nargs="?",
        help="folder or zip file of pictures; a run that goes on keeps its own and needs none",
    )
    parser.add_argument(
        "--from",
        dest="parent",
        type=Path,
        metavar="FILE|RUN_FOLDER",
        help=f"go on from this {kind.KIND.upper()} (of any family), or from the newest checkpoint "
        "of this run: its shapes take the place of the settings'",
    )
    parser.add_argument("--run", required=True, metavar="NAME", help="name of the run")
    add_base(parser)
    parser.add_argument(
        "--device", help="where to train, as torch names it (default: a GPU if any)"
    )
    parser.add_argument("--threads", type=_positive, help="CPU threads (default: all)")
    parser.set_defaults(handler=_train, kind=kind)
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _train(args: argparse.Namespace) -> int:
    from ..training import tensorboard
    from ..training.run_folder import open_run
    from ..training.team import join
    from ..training.trainer import train

    args.device = args.device or best_device()
    team = join(args.device)
    runs = runs_of(args)
    if team.first:
        _prepare(args, runs, team.size)
    team.totals(0.0)  # the others wait for the folder
    run = open_run(runs, args.run)
    tell = Teller(run)
    asked = threading.Event()
    for number in _asking():
        signal.signal(number, lambda *_: asked.set())
    keep = tensorboard.listener(run) if team.first else _nothing

    def listen(event: dict[str, Any]) -> None:
        with suppress(OSError):  # a terminal that was closed: the checkpoint is to come
            tell(event)
        keep(event)

    outcome = train(run.path, asked.is_set, listen)
    if outcome == "stopped":
        print("genart: stopped; the same command goes on", file=sys.stderr)
        return 130
    if team.first:
        print(f"checkpoint: {run.checkpoints[-1]}")
    return 0


def _prepare(args: argparse.Namespace, runs: Path, joined: int) -> None:
    """Begin the run, or open it with new stop rules; say what is going to happen."""
    from ..training.beginning import check_device, prepare
    from ..training.picture_sets import open_pictures
    from ..training.run_folder import begun

    kind: Kind = args.kind
    check_device(args.device)
    known = begun(runs, args.run)
    if known and args.data and not args.data.exists():
        raise GenartError(
            f"There is no {args.data}: leave it out, and the run {args.run!r} goes on with the "
            "pictures that it has."
        )
    pictures = open_pictures(args.data) if args.data else None
    given = {name: getattr(args, name) for name in kind.HELP if hasattr(args, name)}
    recipe, told = args.recipe, f"recipe: {args.recipe}"
    parent = _parent(kind, args.parent) if args.parent else None
    if parent is not None:
        given = kind.shapes(parent) | given
    if known and known.KIND == kind.KIND and recipe in ("auto", known.recipe):
        # What nobody names stays as it is.
        recipe, told = known.recipe, f"recipe: {known.recipe}, as it began"
        given = {name: getattr(known, name) for name in (*kind.HELP, "parent")} | given
    elif recipe == "auto":
        recipe, told, given = kind.automatic(args, given, pictures)
    run = prepare(
        runs,
        args.run,
        pictures,
        kind.settings(recipe, given),
        args.device,
        args.threads,
        parent=parent,
        joined=joined,
        called={name: option(name) for name in kind.HELP},
    )
    print(beginning(run, pictures, told), flush=True)


def _parent(kind: Kind, path: Path) -> Parent:
    """The network in a file, or in a run's newest checkpoint that can be read.

    Raises:
        GenartError: when there is none of this kind.
    """
    from ..training.reached import newest
    from ..training.run_folder import RunFolder

    if not path.is_dir():
        return kind.open_file(path)
    found = newest(path)
    if RunFolder(path).config.KIND != kind.KIND:
        raise GenartError(f"The run in {path} trains no {kind.KIND.upper()}: go on from another.")
    return found


def _asking() -> list[signal.Signals]:
    """The signals that ask for an end: a terminal that is closed, too, but for what nohup began."""
    asking = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        asking.append(signal.SIGHUP)
    return asking


def _nothing(event: dict[str, Any]) -> None:
    """Keep nothing of an event."""


def best_device() -> str:
    """A GPU where torch finds one, else the CPU."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
