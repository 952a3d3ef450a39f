"""Start a ComfyUI, wait until it answers, and stop it whatever happens."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from ..errors import GenartError
from .client import Server
from .provision import ComfyUI, add_comfyui_options, find_comfyui, start_flags

# Known to every ComfyUI from 0.3.64 to 0.33. In memory, because a second server on one base folder
# would otherwise wait for the first one's database.
_FLAGS = ("--database-url", "sqlite:///:memory:", "--disable-auto-launch", "--disable-api-nodes")
_STOP_SECONDS = 10.0
_START_SECONDS = 600.0


def command(comfyui: ComfyUI, port: int) -> list[str]:
    """The command line that starts this ComfyUI on a port.

    Raises:
        GenartError: its Python lacks something.
    """
    main = [*comfyui.python, str(comfyui.folder / "main.py"), "--port", str(port)]
    return [*main, "--base-directory", str(comfyui.base), *_FLAGS, *start_flags(comfyui.python)]


def check_port(port: int) -> None:
    """Make sure that nothing listens on a port of this machine.

    Raises:
        GenartError: something does, or the number is no port.
    """
    if not 0 < port < 65536:
        raise GenartError(f"{port} is no port; take one between 1024 and 65535.")
    with socket.socket() as probe:
        if sys.platform != "win32":  # there it would share the port instead of waiting out a close
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise GenartError(
                f"Port {port} is not free ({error.strerror}); stop what uses it or take another "
                "with --port."
            ) from error


def free_port() -> int:
    """A port of this machine that nothing uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def stop_on_signals() -> Iterator[None]:
    """Turn SIGTERM and a closed terminal into KeyboardInterrupt, so that `finally` is reached."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), interrupt) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def spawn(command: list[str], **options: Any) -> subprocess.Popen[Any]:
    """Start a child in a session of its own: a Ctrl-C reaches us alone, and we stop the child."""
    if sys.platform == "win32":
        options["creationflags"] = subprocess.CREATE_NEW_PROCESS_GROUP
    else:
        options["start_new_session"] = True
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)


def stop(child: subprocess.Popen[Any]) -> None:
    """End a child and whatever it started in its session; returns when it is gone."""
    if child.poll() is None:
        _end(child, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_STOP_SECONDS)
    if child.poll() is None:
        _end(child, getattr(signal, "SIGKILL", signal.SIGTERM))
        child.wait()


def _end(child: subprocess.Popen[Any], number: int) -> None:
    if sys.platform == "win32":
        child.terminate()
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)


@contextlib.contextmanager
def running(
    comfyui: ComfyUI,
    say: Callable[[str], None] = lambda line: None,
) -> Iterator[Server]:
    """A ComfyUI on a free port of this machine, for as long as the block lasts.

    Its log is `<base>/user/genart-<port>.log`, kept when it ended by itself. Previews go into a
    folder of its own: a starting ComfyUI empties the one it finds.

    Args:
        comfyui: What to start.
        say: Is told, line by line, how the start goes.

    Raises:
        GenartError: it ended or did not answer; with the last lines of its log.
    """
    port = free_port()
    arguments = command(comfyui, port)
    log = comfyui.base / "user" / f"genart-{port}.log"
    server = Server(f"http://127.0.0.1:{port}")
    variables = {**os.environ, "PYTHONUTF8": "1"}
    child = None
    with tempfile.TemporaryDirectory(prefix="genart-") as temporary:
        arguments += ["--temp-directory", temporary]
        say(f"starting ComfyUI on {server.url}")
        try:
            with log.open("wb") as output:
                child = spawn(
                    arguments, stdout=output, stderr=output, cwd=comfyui.folder, env=variables
                )
            _wait_until_ready(child, server, say)
            yield server
        except GenartError as error:
            if child is None or child.poll() is None:
                raise
            raise GenartError(f"ComfyUI ended: {last_words(log)} (all it said: {log})") from error
        finally:
            if child is not None and child.poll() is None:
                stop(child)
                log.unlink(missing_ok=True)


def _wait_until_ready(
    child: subprocess.Popen[Any], server: Server, say: Callable[[str], None]
) -> None:
    start = told = time.monotonic()
    while not server.answers():
        now = time.monotonic()
        if child.poll() is not None:
            raise GenartError("ComfyUI ended while it started.")
        if now - start > _START_SECONDS:
            raise GenartError(f"ComfyUI did not answer within {now - start:.0f} s.")
        if now - told > 5:
            told = now
            say(f"starting ComfyUI, {now - start:.0f} s")
        time.sleep(0.25)


def last_words(log: Path) -> str:
    """The end of a log on one line: a Python error's last lines, else simply the last ones."""
    text = log.read_text(encoding="utf-8", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-3:]) or "it said nothing"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `genart serve`."""
    parser = subparsers.add_parser(
        "serve",
        help="open a ComfyUI with this pack",
        description="Run a ComfyUI with this pack in the foreground; stop it with Ctrl-C.",
    )
    parser.add_argument("--port", type=int, default=8188, help="port of this machine (8188)")
    add_comfyui_options(parser)
    parser.set_defaults(handler=_serve)


def _serve(args: argparse.Namespace) -> int:
    check_port(args.port)
    comfyui = find_comfyui(args)
    arguments = command(comfyui, args.port)
    with stop_on_signals():
        child = spawn(arguments, cwd=comfyui.folder)
        try:
            while child.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(0.5)  # Windows can break into a short wait only
        finally:
            stop(child)
    if child.returncode:
        raise GenartError(
            f"ComfyUI ended with exit code {child.returncode}; its lines above say why."
        )
    return 0
