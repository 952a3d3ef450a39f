"""`genart run`: queue workflows on a real ComfyUI and bring home what they make and say."""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import GenartError
from ..files import written
from .client import Server
from .comfycli import convert, run_prompt
from .comfyui import running, stop_on_signals
from .provision import add_comfyui_options, find_comfyui
from .workflow import (
    Prompt,
    missing_nodes,
    override,
    own_seed,
    parse_seeds,
    read,
    title,
    with_seed,
)

_COUNTER = re.compile(r"_\d{5,}_?$")  # what ComfyUI appends: walk_00007_.webp
_PREVIEW = re.compile(r"_temp_[a-z]{5}$")  # and, before it, to the name of a preview
_UNSAFE = re.compile(r'[\\/:*?"<>|\x00-\x1f]')

Reports = list[tuple[str, dict[str, Any]]]
"""What each node of a finished prompt reported, by its id, in the order of the workflow."""


@dataclass
class Delivery:
    """Where outputs go, and under which names.

    A name is `<prefix>_seed<N>_<nnnnn>_.<type>`, counted here and not by the server, so that the
    same command gives the same names whatever the server made before.
    """

    folder: Path
    _count: Counter[str] = field(default_factory=Counter)

    def take(self, server: Server, prompt: Prompt, reported: Reports) -> list[Path]:
        """Fetch every file that a finished prompt's nodes reported."""
        paths = []
        for _, report in reported:
            for item in _files(report):
                path = self.path(item["filename"], own_seed(prompt))
                server.file(item, path)
                paths.append(path)
        return paths

    def write(self, name: str, prompt: Prompt, text: str) -> Path:
        """Write what the nodes of a prompt say, beside its pictures."""
        path = self.path(f"{name}.txt", own_seed(prompt))
        with written(path) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
        return path

    def path(self, served: str, seed: int | None) -> Path:
        """Where a file goes that the server calls `served`: always new, always in the folder."""
        safe = Path(_UNSAFE.sub("_", served))
        stem = _PREVIEW.sub("", _COUNTER.sub("", safe.stem)).lstrip(".") or "output"
        stem += "" if seed is None else f"_seed{seed}"
        self._count[stem + safe.suffix] += 1
        return self.folder / f"{stem}_{self._count[stem + safe.suffix]:05}_{safe.suffix}"


def _files(reported: dict[str, Any]) -> Iterator[dict[str, str]]:
    """The files a node reported, under whatever heading; not those it was given as inputs."""
    for items in reported.values():
        for item in items if isinstance(items, list) else ():
            if isinstance(item, dict) and "filename" in item and item.get("type") != "input":
                yield item


def _reports(server: Server, prompt: Prompt, prompt_id: str) -> Reports:
    """What the nodes reported; one that expands into others does so under the workflow's own id."""
    order = {id_: number for number, id_ in enumerate(prompt)}
    # Those others have ids as "3.0.0.9", for one of node 3.
    found = [(id_.partition(".")[0], each) for id_, each in server.outputs(prompt_id).items()]
    return sorted(found, key=lambda report: order.get(report[0], len(order)))


def told(prompt: Prompt, reported: Reports, known: dict[str, Any]) -> str:
    """The texts that nodes show on the page, each under its node's name; "" where there are none.

    Args:
        prompt: the workflow.
        reported: what its nodes reported.
        known: the server's object_info, which has the names of nodes without a title.
    """
    parts = []
    for id_, report in reported:
        shown = report.get("text") or ()
        texts = [shown] if isinstance(shown, str) else [each for each in shown if each]
        if texts:
            parts += [f"{title(prompt, id_, known)}:", *map(_indented, texts)]
    return "\n".join(parts)


def _indented(text: Any) -> str:
    return textwrap.indent(str(text), "  ")


def run_workflow(
    server: Server,
    path: Path,
    delivery: Delivery,
    assignments: list[str],
    seeds: list[int],
    silence: int,
) -> list[Path]:
    """Run a workflow file, once or once for each seed; fetch what it makes and tell what it says.

    Args:
        server: Where.
        path: The workflow, in the page's format or the API's.
        delivery: Where its outputs go.
        assignments: What to override, as `Node title.input=value`.
        seeds: Run once with each; as the file has it where there are none.
        silence: Seconds without news from the server after which to give up.

    Returns:
        The files, in the order they were made.

    Raises:
        GenartError: whatever keeps the workflow from running; the sentence names it.
    """
    prompt, known = read(path) or convert(server, path), server.get("/object_info")
    if missing := missing_nodes(prompt, known):
        raise GenartError(f"{path} uses nodes that this ComfyUI lacks: {missing}.")
    for assignment in assignments:
        override(prompt, assignment, known)
    paths = []
    for number, each in enumerate([with_seed(prompt, seed) for seed in seeds] or [prompt], 1):
        say = _Speaker(
            path.stem + (f" seed {seeds[number - 1]} ({number}/{len(seeds)})" if seeds else "")
        )
        prompt_id = run_prompt(server, each, silence, say)
        reported = _reports(server, each, prompt_id)
        made = delivery.take(server, each, reported)
        if text := told(each, reported, known):
            print(text, file=sys.stderr, flush=True)
            made.append(delivery.write(path.stem, each, text))
        for file in made:
            print(file, flush=True)
        paths += made
        if dropped := _dropped(each, known, server.executed(prompt_id)):
            raise GenartError(
                f"{path}: ComfyUI left out {dropped}, because an input there, or before it, is "
                "missing or impossible: wire it or set it on the page; all else ran."
            )
    return paths


def _dropped(prompt: Prompt, known: dict[str, Any], executed: set[str]) -> str:
    """The output nodes that ComfyUI did not run, by title; it says so on its log alone."""
    wanted = [id_ for id_, node in prompt.items() if known[node["class_type"]]["output_node"]]
    return ", ".join(title(prompt, id_, known) for id_ in wanted if id_ not in executed)


class _Speaker:
    """Says a line about one run on stderr; stdout is for the names of what was made."""

    def __init__(self, run: str) -> None:
        self._run = run

    def __call__(self, line: str) -> None:
        print(f"{self._run}: {line}", file=sys.stderr, flush=True)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `genart run`."""
    parser = subparsers.add_parser(
        "run",
        help="run workflows and fetch what they make",
        description="Run workflow files (as the page saves or exports them) on a ComfyUI that is "
        "started for them and stopped afterwards, or on a running one, and put the outputs into a "
        "folder, named by seed; texts that nodes show are printed, and written beside them as "
        ".txt. A file of the same name is replaced.",
    )
    parser.add_argument("workflows", nargs="+", type=Path, metavar="WORKFLOW.json")
    parser.add_argument("--server", metavar="URL", help="a running ComfyUI: http://host:8188")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NODE.INPUT=VALUE",
        dest="assignments",
        help='override a value; NODE is the node\'s title, id or type: --set "Sample GAN.psi=0.7"',
    )
    parser.add_argument(
        "--seeds",
        metavar="1-8|1,5,9",
        help="run once with each: sets every input called seed or noise_seed that is not wired",
    )
    parser.add_argument("--out", type=Path, default=Path("out"), metavar="DIR", help="(out)")
    parser.add_argument(
        "--timeout",
        type=int,
        default=600,
        metavar="S",
        help="give up after S seconds without news from the server (600)",
    )
    add_comfyui_options(parser)
    parser.set_defaults(handler=_run)


def _run(args: argparse.Namespace) -> int:
    seeds = parse_seeds(args.seeds) if args.seeds else []
    for path in args.workflows:
        read(path)
    if args.timeout < 1:
        raise GenartError("--timeout is in seconds, 1 or more.")
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GenartError(f"Cannot make the folder {args.out}: {error.strerror}.") from error
    delivery, made = Delivery(args.out), []
    with stop_on_signals(), _server(args) as server:
        for path in args.workflows:
            made += run_workflow(server, path, delivery, args.assignments, seeds, args.timeout)
    if not made:
        print("genart: the workflow ran and made no files", file=sys.stderr)
    return 0


@contextlib.contextmanager
def _server(args: argparse.Namespace) -> Iterator[Server]:
    if not args.server:
        with running(find_comfyui(args), say=_Speaker("genart")) as server:
            yield server
        return
    if args.comfyui or args.base or args.python:
        raise GenartError("--server is a ComfyUI that runs; --comfyui, --base, --python start one.")
    server = Server(args.server)
    if not server.answers():
        raise GenartError(f"No ComfyUI answers at {server.url}; start it, or leave out --server.")
    yield server
