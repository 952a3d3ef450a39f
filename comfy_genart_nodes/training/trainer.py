"""What runs in the trainer process: a run's steps, its checkpoints, samples and events.

A resumed run is identical to one that was never stopped: what a step draws depends on nothing but
the run (`step.py`), the number of threads is part of it, and a checkpoint holds the rest.
"""

import ctypes
import dataclasses
import math
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..errors import GenartError
from ..files import replace, written
from ..gan import checkpoint
from .config import TrainConfig
from .run_folder import RunFolder
from .step import Training

Outcome = Literal["finished", "stopped"]

LOG_SECONDS = 1.0
KEEP_CHECKPOINTS = 2  # the newest, and one to fall back on


def train(
    folder: Path,
    should_stop: Callable[[], bool],
    listen: Callable[[dict[str, Any]], None] = lambda event: None,
) -> Outcome:
    """Train the run in a folder until its stop rule, or until asked to stop.

    Args:
        folder: a run folder that `run_folder.prepare` made.
        should_stop: asked after every step; a checkpoint is written before it is obeyed.
        listen: hears every event that is recorded.

    Raises:
        GenartError: when the run is being trained already, cannot be read, or its losses are not
            numbers any more.
    """
    run = RunFolder(folder)
    with run.locked():
        try:
            return _Session(run, should_stop, listen).train()
        except Exception as error:
            event = {"event": "failed", "reason": _sentence(error), "time": time.time()}
            with suppress(GenartError):  # a full disk, most likely what has just been met
                run.record(event)
            listen(event)
            if _is_shortage(error):
                raise GenartError(_sentence(error)) from error
            raise


def _is_shortage(error: Exception) -> bool:
    """Whether memory ran out; the CPU's allocator has no error type of its own."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def _sentence(error: Exception) -> str:
    if isinstance(error, GenartError):
        return str(error)
    if _is_shortage(error):
        return "The device has too little memory for this training: lower the batch or resolution."
    return f"Training failed with {type(error).__name__}: {error}"


class _Session:
    """One stretch of a run, from its newest checkpoint to its end or to a stop."""

    def __init__(
        self,
        run: RunFolder,
        should_stop: Callable[[], bool],
        listen: Callable[[dict[str, Any]], None],
    ) -> None:
        self.run, self.should_stop, self.listen = run, should_stop, listen
        config = run.config
        torch.set_num_threads(int(run.machine["threads"]))
        _retain_heap()
        pictures = np.load(run.path / "pictures.npy", mmap_mode="r")
        device = torch.device(run.machine["device"])
        self.training = Training(config, pictures, device, run.machine["precision"])
        self.checkpoint_steps = _every(config.checkpoint_kimg, config)
        self.sample_steps = _every(config.sample_kimg, config)

    def train(self) -> Outcome:
        """Step until the end."""
        last = self.run.config.last_step
        training = self.training
        self._sweep()
        if self._resume():
            self._record("resumed")
        else:
            self._record("started")
            self._sample()
        began = training.step
        log = _Log(began, self.run.config.batch)
        while training.step < last:
            if self.should_stop():
                if training.step > began:
                    self._checkpoint(log)
                self._record("stopped")
                return "stopped"
            log.add(training.advance())
            done = training.step == last
            if done or training.step % self.checkpoint_steps == 0:
                self._checkpoint(log)
            elif log.due():
                self._report(log)
            if done or training.step % self.sample_steps == 0:
                self._sample()
        self._record("finished")
        return "finished"

    def _sweep(self) -> None:
        """Remove what a process that was killed was writing."""
        for name in ("checkpoints", "samples"):
            for left in (self.run.path / name).glob(".*.tmp"):
                left.unlink(missing_ok=True)

    def _report(self, log: "_Log") -> None:
        """Record what the steps since the last report were like; refuses losses gone astray."""
        if log.sums:
            self._record("progress", **log.summary(self.training.step))

    def _record(self, kind: str, **values: Any) -> None:
        step = self.training.step
        kimg = round(step * self.run.config.batch / 1000, 6)
        event = {"event": kind, "step": step, "kimg": kimg, "time": time.time(), **values}
        self.run.record(event)
        self.listen(event)

    def _resume(self) -> bool:
        """Take up the newest checkpoint that can be read; put aside those that could not.

        Raises:
            GenartError: when there are checkpoints and none can be read: what is left may still
                be mended, so nothing begins anew over it.
        """
        unreadable: list[Path] = []
        for path in reversed(self.run.checkpoints):
            try:
                header = checkpoint.read_header(path)
                self.training.restore(checkpoint.read(path), int(header["step"]))
            except (GenartError, KeyError, RuntimeError) as error:
                self._record("unreadable", file=path.name, reason=str(error))
                unreadable.append(path)
            else:
                for broken in unreadable:
                    replace(broken, broken.with_suffix(".unreadable"))
                return True
        if unreadable:
            raise GenartError(
                f"None of the checkpoints in {unreadable[0].parent} can be read: restore one of "
                "them, or begin again under a new name."
            )
        return False

    def _checkpoint(self, log: "_Log") -> None:
        """Write the state, then let go of checkpoints older than the one before."""
        self._report(log)  # first: no state with losses that are not numbers is worth keeping
        step = self.training.step
        config = self.run.config
        path = self.run.checkpoint_path(step)
        header = {
            "family": "stylegan2",
            "spec": dataclasses.asdict(config.spec),
            "info": training_info(config, step, len(self.training.pictures)),
            "step": step,
        }
        if not path.exists():
            checkpoint.write(path, self.training.tensors(), header)
        checkpoint.read_header(path)  # before an older one goes
        for old in self.run.checkpoints[:-KEEP_CHECKPOINTS]:
            with suppress(PermissionError):  # Windows: another program reads it; next time
                old.unlink(missing_ok=True)
        self._record("checkpoint", file=f"checkpoints/{path.name}")

    def _sample(self) -> None:
        path = self.run.sample_path(self.training.step)
        with written(path) as temporary:
            self.training.sheet().save(temporary, format="PNG")
        self._record("samples", file=f"samples/{path.name}")


def training_info(config: TrainConfig, step: int, pictures: int) -> dict[str, Any]:
    """What a checkpoint tells of how it was made."""
    settings = config.to_json()
    for rule in ("kimg", "steps"):
        settings.pop(rule)
    kimg = round(step * config.batch / 1000, 6)
    return {"training": {"kimg": kimg, "step": step, "pictures": pictures, "settings": settings}}


def _every(kimg: float, config: TrainConfig) -> int:
    return max(1, round(kimg * 1000 / config.batch))


def _retain_heap() -> None:
    """Keep freed memory in the process (Linux): page faults cost a CPU step a fifth of its time.

    What glibc's mallopt(3) calls M_MMAP_THRESHOLD and M_TRIM_THRESHOLD.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(-3, 1 << 30)
            libc.mallopt(-1, (1 << 31) - 1)


class _Log:
    """Means of the losses since the last report, about once a second."""

    def __init__(self, step: int, batch: int) -> None:
        self.sums: dict[str, list[Tensor]] = {}
        self.since, self.step, self.batch = time.monotonic(), step, batch

    def add(self, report: dict[str, Tensor]) -> None:
        for name, value in report.items():
            self.sums.setdefault(name, []).append(value)

    def due(self) -> bool:
        return time.monotonic() - self.since >= LOG_SECONDS

    def summary(self, step: int) -> dict[str, float]:
        """The means, and pictures a second; starts anew.

        Raises:
            GenartError: when a loss is not a number.
        """
        now = time.monotonic()
        means = {n: float(torch.stack(v).float().mean()) for n, v in self.sums.items()}
        broken = [name for name, value in means.items() if not math.isfinite(value)]
        if broken:
            raise GenartError(
                f"{broken[0]} became {means[broken[0]]} at step {step}: begin again under a new "
                "name with a lower learning rate (--rate)."
            )
        speed = (step - self.step) * self.batch / max(now - self.since, 1e-9)
        self.sums, self.since, self.step = {}, now, step
        return {**means, "pictures_per_second": round(speed, 3)}
