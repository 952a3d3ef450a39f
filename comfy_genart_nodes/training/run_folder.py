"""A training run on disk: `run.json`, `events.jsonl`, `samples/`, `checkpoints/`, `pictures.npy`.

Everything that shows, resumes, compares or exports a run reads this folder and nothing else.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import GenartError
from ..files import try_lock, unwritable, written
from ..gan.checkpoint import read_header
from ..names import check_name
from .config import TrainConfig
from .history import scores
from .run_config import STOP_RULES, RunConfig
from .vae_config import VAEConfig

FORMAT = 1
PLACE = ("device", "processes")  # of a run's machine, what may change when it goes on
LONGEST_EVENT = 1 << 16  # bytes, and plenty
_KINDS: dict[str, type[RunConfig]] = {"gan": TrainConfig, "vae": VAEConfig}
LOCK_SECONDS = 0.5  # whoever only asks whether a run is trained holds its lock for a moment


class HeldError(GenartError):
    """Another process trains the run."""


class RunFolder:
    """A run that exists.

    Args:
        path: its folder.

    Raises:
        GenartError: when the folder holds no readable run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            run = json.loads((path / "run.json").read_text(encoding="utf-8"))
            newer = int(run["format"]) > FORMAT
            self.config: RunConfig = _KINDS[run.get("kind", "gan")].from_json(run["config"])
            self.machine: dict[str, Any] = run["machine"]
            self.data: dict[str, Any] = run["data"]
        except FileNotFoundError as error:
            raise GenartError(
                f"{path} holds no training run (no run.json): choose another name."
            ) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, GenartError):
                raise
            raise GenartError(
                f"{path / 'run.json'} cannot be read ({error}): restore it or use another name."
            ) from error
        if newer:
            raise GenartError(f"{path} was begun by a newer version of this pack: update the pack.")
        self._run = run

    @property
    def pictures(self) -> np.ndarray:
        """The decoded pictures, uint8 [n, 3, side, side], read from the disk as they are needed.

        Raises:
            GenartError: when somebody has removed or broken them.
        """
        path = self.path / "pictures.npy"
        try:
            return np.load(path, mmap_mode="r")
        except (OSError, ValueError, EOFError) as error:
            raise GenartError(
                f"{path}, the run's pictures, cannot be read ({error}): restore it, or begin again "
                "under a new name."
            ) from error

    @property
    def checkpoints(self) -> list[Path]:
        """The checkpoints, oldest first."""
        return sorted((self.path / "checkpoints").glob("step*.safetensors"))

    @property
    def samples(self) -> list[Path]:
        """The sheets of samples, oldest first."""
        return sorted((self.path / "samples").glob("step*.png"))

    def checkpoint_path(self, step: int) -> Path:
        """Where the checkpoint after a step lies."""
        return self.path / "checkpoints" / f"step{step:08d}.safetensors"

    def sample_path(self, step: int) -> Path:
        """Where the sheet of samples after a step lies."""
        return self.path / "samples" / f"step{step:08d}.png"

    @property
    def finished(self) -> bool:
        """Whether the newest checkpoint reaches the last step, and was measured if it is to be."""
        try:
            step = int(read_header(self.checkpoints[-1])["step"])
        except (IndexError, KeyError, TypeError, ValueError):  # of files that are damaged, too
            return False
        ended = step >= self.config.last_step or bool(self.ended_by(step))
        due = self.config.measure_kimg > 0
        return ended and not (due and step not in scores(self.events(), self.config.SCORE))

    def ended_by(self, step: int) -> str:
        """The rule by which it ended before its last step, if it still has it; "" otherwise.

        Args:
            step: of the newest checkpoint, which does not tell.
        """
        last = (self.events() or [{}])[-1]
        rule, limit = last.get("rule"), last.get("limit")
        if last.get("event") != "finished" or rule not in STOP_RULES or last["step"] > step:
            return ""
        now = getattr(self.config, rule)
        held = now is not None and isinstance(limit, int | float) and now <= limit
        return str(rule) if held else ""

    def events(self) -> list[dict[str, Any]]:
        """What happened so far, oldest first."""
        return self.events_from(0)[0]

    def events_from(self, start: int) -> tuple[list[dict[str, Any]], int]:
        """Events recorded behind a byte of `events.jsonl`, and the byte to go on from.

        A last line that is still being written waits for the next call; one that a killed process
        left half-written is passed over.
        """
        try:
            with (self.path / "events.jsonl").open("rb") as file:
                file.seek(start)
                whole, newline, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return [], start
        events = [event for line in whole.splitlines() if (event := _event(line))]
        return events, start + len(whole) + len(newline)

    @property
    def recorded(self) -> int:
        """The byte of `events.jsonl` behind the last whole event, without reading them all."""
        try:
            with (self.path / "events.jsonl").open("rb") as file:
                start = max(file.seek(0, os.SEEK_END) - LONGEST_EVENT, 0)
                file.seek(start)
                whole, newline, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return 0
        return start + len(whole) + len(newline) if newline else 0

    def record(self, event: dict[str, Any]) -> None:
        """Append an event, as one line of its own.

        Raises:
            GenartError: when it cannot be written.
        """
        line = json.dumps(event, sort_keys=True).encode() + b"\n"
        try:
            with (self.path / "events.jsonl").open("ab+") as file:
                if file.tell():
                    file.seek(-1, os.SEEK_END)
                    line = line if file.read(1) == b"\n" else b"\n" + line
                file.write(line)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def update(self, config: RunConfig, machine: dict[str, Any]) -> None:
        """Write new stop rules and the devices; threads and precision stay as they began."""
        self.config = config
        self.machine = {**self.machine, **{name: machine[name] for name in PLACE}}
        self._run = {**self._run, "config": config.to_json(), "machine": self.machine}
        write_json(self.path / "run.json", self._run)

    @contextmanager
    def locked(self, patience: float = LOCK_SECONDS) -> Iterator[None]:
        """Hold the run's lock, which the system releases however the process ends.

        Args:
            patience: seconds to try for.

        Raises:
            HeldError: when another process trains this run.
            GenartError: when the folder cannot be written, or its disk knows no locks.
        """
        deadline = time.monotonic() + patience
        with ExitStack() as held:
            try:
                file = held.enter_context((self.path / "lock").open("a+b"))
                while not try_lock(file):
                    if time.monotonic() >= deadline:
                        raise HeldError(
                            f"The run {self.path.name!r} is being trained already: stop that one "
                            "first."
                        )
                    time.sleep(0.02)
            except OSError as error:
                raise GenartError(
                    f"The run in {self.path} cannot be locked ({error.strerror or error}): move it "
                    "to a disk of this machine, into a folder that can be written."
                ) from error
            yield

    @property
    def training(self) -> bool:
        """Whether a process trains this run now."""
        try:
            with self.locked(patience=0):
                return False
        except HeldError:
            return True
        except GenartError:  # where nothing can be locked, nothing is trained
            return False

    @property
    def log(self) -> Path:
        """What its processes print."""
        return self.path / "log.txt"

    @property
    def stop_file(self) -> Path:
        """What asks the process that trains to write a checkpoint and end, once it is there."""
        return self.path / "stop"


def _event(line: bytes) -> dict[str, Any] | None:
    """The event in a line; None where a killed process, or a damaged disk, has left no event."""
    with suppress(ValueError):
        event = json.loads(line)
        whole = isinstance(event, dict) and isinstance(event.get("event"), str)
        if whole and isinstance(event.get("time"), int | float):
            return dict(event)
    return None


def runs_folder(output: Path) -> Path:
    """Where runs lie below ComfyUI's output folder: the page can show their sheets."""
    return output / "genart"


def run_names(runs: Path) -> list[str]:
    """The runs in a folder of runs; those that were at work last come first."""
    if not runs.is_dir():
        return []
    found = [path for path in runs.iterdir() if _holds_run(path)]
    named = [path for path in found if not path.name.startswith(".")]
    return [path.name for path in sorted(named, key=_last_work, reverse=True)]


def _holds_run(path: Path) -> bool:
    """Whether a folder is a run's, as far as one may look into it."""
    try:
        return (path / "run.json").is_file()
    except PermissionError:
        return True


def _last_work(path: Path) -> float:
    for each in (path / "events.jsonl", path / "run.json", path):
        with suppress(OSError):
            return each.stat().st_mtime
    return 0.0


def open_run(runs: Path, name: str) -> RunFolder:
    """The run of a name.

    Raises:
        GenartError: when there is none, or it cannot be read.
    """
    path = runs / check_name(name, "run")
    if not (path / "run.json").is_file():
        known = ", ".join(run_names(runs)[:5]) or "none yet"
        raise GenartError(f"There is no run {name!r} in {runs}: choose one of those ({known}).")
    return RunFolder(path)


def begun(runs: Path, name: str) -> RunConfig | None:
    """The settings of a run, where one of that name has begun and can be read."""
    try:
        return open_run(runs, name).config
    except GenartError:
        return None


def mark(runs: Path, name: str) -> str:
    """Changes with everything that a run records, and when its training begins or ends."""
    try:
        run = open_run(runs, name)
        return f"{run.recorded} {run.training}"
    except GenartError as error:
        return str(error)


def write_json(path: Path, value: object) -> None:
    """Write a value as JSON with sorted keys, whole or not at all."""
    with written(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, sort_keys=True), encoding="utf-8")
