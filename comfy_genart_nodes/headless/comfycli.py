"""Run comfy-cli as a program: it turns the page's workflows into prompts and queues them.

It is kept offline and away from the person's settings: no tracking, no update check, and a home
folder of its own that goes when it ends (its cache of what a server knows would go stale).
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import site
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ..errors import GenartError
from .client import Server
from .comfyui import spawn, stop
from .workflow import Prompt, label, nodes

_QUIET = {
    "DO_NOT_TRACK": "1",
    "COMFY_NO_UPDATE_CHECK": "1",
    "COMFY_NO_WATCH": "1",
    "COMFY_CLI_NO_REMOTE_REFRESH": "1",
    "PYTHONUTF8": "1",
}
_PROGRESS_EVERY = 5.0  # seconds between two lines about one node
_LAST_WORD = 15.0  # seconds to learn the id of a prompt that is being queued while we give up
_MOST_CHOICES = 12

Event = dict[str, Any]


def convert(server: Server, path: Path) -> Prompt:
    """The prompt a workflow in the page's format stands for; muted and bypassed nodes are gone.

    Raises:
        GenartError: the file cannot be turned into one.
    """
    with _comfy(server, path, "--print-prompt") as events:
        for event in events:
            if event.get("type") == "envelope":
                if event.get("ok"):
                    return nodes(event["data"]["prompt"])
                raise GenartError(f"{path}: {explain(event['error'], {})}")
    raise GenartError(f"comfy-cli said nothing about {path}.")


def run_prompt(server: Server, prompt: Prompt, silence: int, say: Callable[[str], None]) -> str:
    """Queue a prompt and wait for its end.

    Whatever ends the waiting early, be it silence, an error or a KeyboardInterrupt, the prompt is
    taken off the server.

    Args:
        server: Where.
        prompt: What, in API format.
        silence: Seconds without news after which to give up.
        say: Is told which node runs and how far it is.

    Returns:
        The prompt's id, under which the server's history lists its outputs.

    Raises:
        GenartError: the server refuses it, a node fails, or the silence is too long.
        KeyboardInterrupt: somebody stopped it on the server.
    """
    with tempfile.TemporaryDirectory(prefix="genart-") as scratch:
        path = Path(scratch) / "prompt.json"
        path.write_text(json.dumps(prompt), encoding="utf-8")
        prompt_id, finished = "", False
        with _comfy(server, path, "--wait", f"--timeout={silence}") as events:
            try:
                for event in _told(events, say):
                    prompt_id = event.get("prompt_id") or prompt_id
                    if event.get("type") == "envelope":
                        finished = bool(event.get("ok"))
                        if not finished:
                            _fail(event["error"], prompt, silence)
                if not finished:
                    raise GenartError("comfy-cli ended without a word about the workflow.")
            finally:
                if not finished:
                    server.interrupt(prompt_id or _late_id(events))
    return prompt_id


def _fail(error: dict[str, Any], prompt: Prompt, silence: int) -> None:
    if error["code"] == "cancelled":
        raise KeyboardInterrupt
    if error["code"] == "ws_timeout":
        raise GenartError(
            f"The server was silent for {silence} s, so the workflow was stopped; "
            "a longer --timeout waits longer."
        )
    raise GenartError(explain(error, prompt))


def _told(events: _Events, say: Callable[[str], None]) -> Iterator[Event]:
    """Pass events on and say what they mean, progress at most every few seconds."""
    title, said = "", 0.0
    for event in events:
        kind, now = event.get("type"), time.monotonic()
        if kind == "executing":
            title, said = event.get("title", ""), now
            say(title)
        elif kind == "progress" and now - said > _PROGRESS_EVERY:
            said = now
            say(f"{title} {event['completed']}/{event['total']}")
        yield event


def _late_id(events: _Events) -> str:
    deadline = time.monotonic() + _LAST_WORD
    while (event := events.next_until(deadline)) is not None:
        if event.get("prompt_id"):
            return str(event["prompt_id"])
    return ""


def explain(error: dict[str, Any], prompt: Prompt) -> str:
    """One sentence out of comfy-cli's account of what is wrong, naming nodes, inputs, choices."""
    details = error.get("details") or {}
    if "errors" in details:
        found = [_preflight(item, prompt) for item in details["errors"]]
    elif "node_errors" in details:
        found = [_rejected(item, prompt) for item in details["node_errors"]]
    elif "node_id" in details:
        found = [f"node {label(prompt, str(details['node_id']))} failed: {error['message']}"]
    else:
        found = [": ".join(filter(None, (error["message"], error.get("hint"))))]
    return "; ".join(found).rstrip(".") + "."


def _preflight(item: dict[str, Any], prompt: Prompt) -> str:
    where = f"node {label(prompt, str(item.get('node_id')))}: {item.get('message', '')}"
    choices = item.get("valid_options")
    if not choices:
        return where
    more = ", ..." if len(choices) > _MOST_CHOICES else ""
    return f"{where}; it can be {', '.join(map(str, choices[:_MOST_CHOICES]))}{more}"


def _rejected(item: dict[str, Any], prompt: Prompt) -> str:
    words = [f"{e.get('message', '')} ({e.get('details', '')})" for e in item.get("errors", [])]
    return f"node {label(prompt, str(item.get('node_id')))}: {', '.join(words)}"


class _Events:
    """comfy-cli's lines of JSON, read in a thread, so that waiting for one can end in time."""

    def __init__(self, stream: IO[str]) -> None:
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            self._lines.put(line)
        self._lines.put(None)

    def __iter__(self) -> Iterator[Event]:
        while (event := self.next_until(float("inf"))) is not None:
            yield event

    def next_until(self, deadline: float) -> Event | None:
        """The next event; None at the end, or when the monotonic clock passes the deadline."""
        while time.monotonic() < deadline:
            try:
                line = self._lines.get(timeout=0.2)  # Windows can break into a short wait only
            except queue.Empty:
                continue
            if line is None:
                return None
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                return event
        return None


@contextmanager
def _comfy(server: Server, path: Path, *options: str) -> Iterator[_Events]:
    """`comfy run` on a workflow file, for as long as the block lasts."""
    where = ["--where=local", f"--host={server.host}", f"--port={server.port}"]
    with tempfile.TemporaryDirectory(prefix="genart-") as home:
        child: subprocess.Popen[str] | None = None
        try:
            child = spawn(
                [_program(), "run", *where, f"--workflow={path.absolute()}", "--json", *options],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                encoding="utf-8",
                cwd=home,
                env=_environment(home, server.host),
            )
            assert child.stdout is not None
            yield _Events(child.stdout)
        finally:
            if child is not None:
                stop(child)


def _program() -> str:
    for folder in (str(Path(sys.executable).parent), sysconfig.get_path("scripts"), None):
        if found := shutil.which("comfy", path=folder):
            return found
    raise GenartError(
        f"comfy-cli is missing; install with: {sys.executable} -m pip install comfy-cli==1.23.0"
    )


def _environment(home: str, host: str) -> dict[str, str]:
    """Ours without settings of comfy-cli (a key to spend money with is one), and its own home."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COMFY_")}
    homes = dict.fromkeys(("HOME", "USERPROFILE", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), home)
    user = {"PYTHONUSERBASE": site.getuserbase()}  # or a changed home would hide its packages
    return {**kept, **_QUIET, **homes, **user, "NO_PROXY": f"{host},{kept.get('NO_PROXY', '')}"}
