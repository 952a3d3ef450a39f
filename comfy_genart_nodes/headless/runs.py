"""`genart runs` and `genart stop NAME`: training runs, wherever they were begun, from the shell."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import GenartError
from .provision import default_base


def add_base(parser: argparse.ArgumentParser) -> None:
    """Let the person say below which folder runs lie."""
    parser.add_argument(
        "--base", type=Path, help="ComfyUI base directory; runs lie in its output/genart"
    )


def runs_of(args: argparse.Namespace) -> Path:
    """The folder of all runs that the person means."""
    from ..training.run_folder import runs_folder

    base: Path = args.base or default_base()
    return runs_folder(base.expanduser().absolute() / "output")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `runs` and `stop` to the command."""
    runs = subparsers.add_parser(
        "runs",
        help="list training runs: how far they are, whether they are at work, their last score",
        description="List training runs, begun on the page or in a shell; those at work last come "
        "first.",
    )
    add_base(runs)
    runs.set_defaults(handler=_list)
    stop = subparsers.add_parser(
        "stop",
        help="stop a training run, in the background or elsewhere",
        description="Ask a training run, in the background or in another program, to write a "
        "checkpoint and end. It can go on at any time.",
    )
    stop.add_argument("run", metavar="NAME", help="name of the run, as `genart runs` has it")
    stop.add_argument(
        "--seconds",
        type=float,
        default=60.0,
        metavar="S",
        help="how long to wait for its end, which comes all the same when a step takes longer (60)",
    )
    add_base(stop)
    stop.set_defaults(handler=_stop)


def _list(args: argparse.Namespace) -> int:
    from ..training.run_folder import run_names

    folder = runs_of(args)
    names = run_names(folder)
    if not names:
        print(f"there is no run in {folder} yet")
        return 0
    rows = [("run", "reached", "state", "measured"), *(_row(folder, name) for name in names)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    return 0


def _row(folder: Path, name: str) -> tuple[str, str, str, str]:
    """Name, how far, state, and last score or what is wrong with the run."""
    from ..training.run_folder import open_run
    from ..training.status import standing

    try:
        return (name, *standing(open_run(folder, name)))
    except (GenartError, OSError) as error:
        return name, "", "unreadable", str(error)


def _stop(args: argparse.Namespace) -> int:
    from ..training.job import ask_to_stop
    from ..training.run_folder import open_run

    run = open_run(runs_of(args), args.run)
    print(ask_to_stop(run, args.seconds))
    return 1 if run.training else 0
