"""A trainer process, seen from the one that wants it: started, watched, stopped."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import GenartError
from . import child
from .run_folder import RunFolder

POLL_SECONDS = 0.1
_KILLED = (-9, 137)  # by SIGKILL, which nobody but the system and its masters send
FIRST_STEP_SECONDS = 600.0  # as long as none is known: large networks on a slow CPU
PATIENCE_SECONDS = 120.0  # for the checkpoint that a stop writes, on a slow disk


class TrainerJob:
    """Trains a run in a process of its own for as long as the `with` block lasts.

    Leaving the block, however that happens, asks the process to stop, which writes a checkpoint,
    and waits for its end: the device is free afterwards.

    Args:
        run: the run to train.

    Raises:
        GenartError: on entry, when the run is being trained already.
    """

    def __init__(self, run: RunFolder) -> None:
        self.run = run

    def __enter__(self) -> "TrainerJob":
        self._seen, self._logged = self.run.recorded, _size(self.run.log)
        self._process = _spawn(self.run, subprocess.PIPE)
        self._step_seconds = FIRST_STEP_SECONDS
        return self

    def events(self) -> Iterator[dict[str, Any] | None]:
        """Every event of the run as it is recorded, and None whenever there is none for a moment.

        Ends when the process has ended.

        Raises:
            GenartError: when training failed, or was stopped by somebody else; the sentence says
                why.
        """
        failure = ""
        while True:
            ended = self._process.poll() is not None
            events, self._seen = self.run.events_from(self._seen)
            for event in events:
                failure = event["reason"] if event["event"] == "failed" else failure
                if speed := event.get("pictures_per_second"):
                    self._step_seconds = self.run.config.batch / speed
                yield event
            if ended:
                break
            if not events:
                yield None
                time.sleep(POLL_SECONDS)
        if self._process.returncode == child.STOPPED:
            raise GenartError(
                f"The run {self.run.path.name!r} was stopped from elsewhere; what it reached is "
                "kept: queue it again, and it goes on."
            )
        if self._process.returncode != child.FINISHED:
            code = self._process.returncode
            raise GenartError(failure or _last_words(self.run, code, self._logged))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(PATIENCE_SECONDS + 3 * self._step_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def start_in_background(run: RunFolder, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Train a run in a process that outlives this one; returns when it has begun.

    Args:
        run: the run to train.
        meanwhile: called while it starts; may raise, which ends it again.

    Raises:
        GenartError: when the run is being trained already, or fails before its first step.
    """
    seen, logged = run.recorded, _size(run.log)
    process = _spawn(run, subprocess.DEVNULL, child.BACKGROUND)
    threading.Thread(target=process.wait, daemon=True).start()  # so that no zombie is left
    try:
        while not (events := run.events_from(seen)[0]) and process.poll() is None:
            meanwhile()
            time.sleep(POLL_SECONDS)
    except BaseException:
        process.terminate()
        raise
    failed = [event["reason"] for event in events if event["event"] == "failed"]
    if failed or process.poll() not in (None, child.FINISHED, child.STOPPED):
        raise GenartError(failed[-1] if failed else _last_words(run, process.returncode, logged))


def ask_to_stop(
    run: RunFolder, seconds: float, meanwhile: Callable[[], None] = lambda: None
) -> str:
    """Ask the process that trains a run to write a checkpoint and end, and wait for it.

    Args:
        run: the run.
        seconds: how long to wait.
        meanwhile: called while waiting; may raise.

    Returns:
        A sentence that says what happened.

    Raises:
        GenartError: when the run's folder cannot be written.
    """
    name = run.path.name
    if not run.training:
        return f"{name} is not being trained now: there is nothing to stop."
    try:
        run.stop_file.touch()
    except OSError as error:
        raise GenartError(f"{run.stop_file} cannot be written ({error.strerror}).") from error
    deadline = time.monotonic() + seconds
    while run.training:
        if time.monotonic() >= deadline:
            return (
                f"{name} was asked to stop and has not ended within {seconds:g} s: it ends after "
                "its step, once the checkpoint is written."
            )
        meanwhile()
        time.sleep(POLL_SECONDS)
    run.stop_file.unlink(missing_ok=True)
    return _how_it_ended(run)


def _how_it_ended(run: RunFolder) -> str:
    name, events = run.path.name, run.events()
    last = events[-1] if events else {"event": ""}
    if last["event"] == "finished":
        return f"{name} had just finished, at {last['kimg']:g} kimg."
    if last["event"] != "stopped":
        return f"{name} has ended without a checkpoint of its end; see {run.log}."
    kept = run.checkpoints
    if not kept:
        return f"{name} stopped before its first step; there is no checkpoint yet."
    return f"{name} stopped at {last['kimg']:g} kimg; {kept[-1].name} keeps what it reached."


def _spawn(run: RunFolder, stdin: int, *words: str) -> subprocess.Popen[bytes]:
    """Start a trainer process.

    Raises:
        GenartError: when the run is being trained already.
    """
    with run.locked():
        pass
    flags = ["-s"] if sys.flags.no_user_site else []
    command = [sys.executable, *flags, "-X", "utf8", str(child.__file__), str(run.path), *words]
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NO_WINDOW}
    with run.log.open("ab") as log:
        return subprocess.Popen(command, stdin=stdin, stdout=log, stderr=log, **apart)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _last_words(run: RunFolder, code: int | None, logged: int) -> str:
    """What can be said of a process that ended without a word.

    Args:
        run: its run.
        code: how it ended.
        logged: bytes that were in the log before it started.
    """
    if code in _KILLED:
        return (
            "The system ended the trainer, most likely since memory ran out: lower the batch or "
            "the resolution, or close other programs; queued again it goes on from its newest "
            "checkpoint."
        )
    with run.log.open("rb") as file:
        file.seek(logged)
        lines = file.read().decode(errors="replace").strip().splitlines()
    said = f" Its last words: {lines[-1]}" if lines else ""
    return f"The trainer ended with code {code}; see {run.log}.{said}"
