"""A trainer process, seen from the one that wants it: started, watched, stopped."""

import subprocess
import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from ..errors import GenartError
from . import child
from .run_folder import RunFolder

POLL_SECONDS = 0.1
PATIENCE_SECONDS = 120.0  # for the checkpoint that a stop writes, on a slow disk


class TrainerJob:
    """Trains a run in a process of its own for as long as the `with` block lasts.

    Leaving the block, however that happens, asks the process to stop, which writes a checkpoint,
    and waits for its end: the device is free afterwards.

    Args:
        run: the run to train.
    """

    def __init__(self, run: RunFolder) -> None:
        self.run = run

    def __enter__(self) -> "TrainerJob":
        flags = ["-s"] if sys.flags.no_user_site else []
        command = [sys.executable, *flags, "-X", "utf8", str(child.__file__), str(self.run.path)]
        apart: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            apart = {"creationflags": subprocess.CREATE_NO_WINDOW}
        self._seen = self.run.events_from(0)[1]
        with (self.run.path / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, **apart
            )
        return self

    def events(self) -> Iterator[dict[str, Any] | None]:
        """Every event of the run as it is recorded, and None whenever there is none for a moment.

        Ends when the process has ended.

        Raises:
            GenartError: when training failed; the sentence says why.
        """
        failure = ""
        while True:
            ended = self._process.poll() is not None
            events, self._seen = self.run.events_from(self._seen)
            for event in events:
                failure = event["reason"] if event["event"] == "failed" else failure
                yield event
            if ended:
                break
            if not events:
                yield None
                time.sleep(POLL_SECONDS)
        if self._process.returncode not in (child.FINISHED, child.STOPPED):
            raise GenartError(failure or self._last_words())

    def _last_words(self) -> str:
        """What can be said of a process that ended without a word."""
        log = self.run.path / "log.txt"
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        said = f" Its last words: {lines[-1]}" if lines else ""
        return f"The trainer ended with code {self._process.returncode}; see {log}.{said}"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
