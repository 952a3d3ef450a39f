"""What runs in the trainer process: a run's steps, its checkpoints, samples and events.

On a CPU a resumed run is identical to one that was never stopped: what a step draws depends on
nothing but the run (`step.py`), the number of threads is part of it, and a checkpoint holds the
rest.
"""

import math
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, Literal

import torch

from ..errors import GenartError
from ..files import replace, written
from ..gan import checkpoint
from . import failures, history
from .heap import retain_heap
from .log import AstrayError, Log
from .measuring import held_out
from .run_config import RunConfig
from .run_folder import RunFolder
from .shortage import is_shortage
from .team import Team, join
from .trainee import Figures, begin

Outcome = Literal["finished", "stopped"]

SAFE_SECONDS = 1800.0  # without a checkpoint, where so few steps take longer
SLOWER = 0.5  # times the learning rate, after losses that are not numbers


def train(
    folder: Path,
    should_stop: Callable[[], bool],
    listen: Callable[[dict[str, Any]], None] | None = None,
) -> Outcome:
    """Train the run in a folder until its stop rule, or until asked to stop.

    Started by torchrun, the processes train it together, and the first of them writes.

    Args:
        folder: a run folder that `beginning.prepare` made.
        should_stop: asked after every step; a checkpoint is written before it is obeyed.
        listen: hears every event that is recorded.

    Raises:
        GenartError: when the run is being trained already, cannot be read, or its losses are not
            numbers any more.
    """
    run, began = RunFolder(folder), time.time()
    team = join(run.machine["device"])
    with run.locked() if team.first else nullcontext():
        try:
            if team.first:
                run.stop_file.unlink(missing_ok=True)  # meant for a process that is gone
            return _Session(run, team, should_stop, listen or _nobody).train()
        except Exception as error:
            # The first speaks for all, but for what only another has met.
            if team.first or not isinstance(error, GenartError):
                failures.record(run, failures.sentence(error), began, listen or _nobody)
            if is_shortage(error):
                raise GenartError(failures.sentence(error)) from error
            raise


def _nobody(event: dict[str, Any]) -> None:
    """Listen to nothing."""


class _Session:
    """One stretch of a run, from its newest checkpoint to its end or to a stop."""

    def __init__(
        self,
        run: RunFolder,
        team: Team,
        should_stop: Callable[[], bool],
        listen: Callable[[dict[str, Any]], None],
    ) -> None:
        self.run, self.team = run, team
        self.should_stop, self.listen = should_stop, listen
        config = run.config
        self.scores = history.scores(run.events(), config.SCORE)
        self._measuring: Callable[[], Figures] | None = None
        torch.set_num_threads(int(run.machine["threads"]))
        retain_heap()
        # Shapes stay as they are for thousands of steps; AMD's library would search for minutes.
        torch.backends.cudnn.benchmark = torch.version.hip is None
        self.pictures = run.pictures
        self.training = begin(run, self.pictures, team, self._apart())
        self.micro = self.training.micro
        self.checkpoint_steps = _every(config.checkpoint_kimg, config)
        self.sample_steps = _every(config.sample_kimg, config)
        self.measure_steps = _every(config.measure_kimg, config) if config.measure_kimg else 0
        self.unsafe = time.monotonic() + SAFE_SECONDS
        self.deadline = math.inf
        if config.hours is not None:
            spent = history.spent_seconds(run.events())
            self.deadline = time.monotonic() + config.hours * 3600 - spent

    def _apart(self) -> list[int]:
        """Places of the pictures that are kept apart for measures."""
        config = self.run.config
        return held_out(len(self.pictures), config.held_out, config.seed)

    def train(self) -> Outcome:
        """Step until the end."""
        if self.team.first:
            self._sweep()
        resumed = self._resume()
        rule = self.run.ended_by(self.training.step) if self.team.first else ""
        (over,) = self.team.any(bool(rule))
        self._record("resumed" if resumed else "started")
        last = self.run.config.last_step
        began = self.training.step
        if resumed:
            self._catch_up(over or began >= last)
        else:
            self._sample()
        log = Log(began, self.run.config.batch)
        while self.training.step < last and not (rule or over):
            now = time.monotonic()
            wishes = (now >= self.deadline, self._flat(), log.due(), now >= self.unsafe)
            stop, late, flat, due, unsafe = self.team.any(self._wanted_elsewhere(), *wishes)
            try:
                if stop:
                    if self.training.step > began:
                        self._checkpoint(log)
                    self._record("stopped")
                    return "stopped"
                rule = "plateau_kimg" if flat else "hours" if late else ""
                self._step(log, due, unsafe, bool(rule) or self.training.step + 1 == last)
            except AstrayError as error:
                self._go_back(error)
                log, rule = Log(self.training.step, self.run.config.batch), ""
                self._checkpoint(log)  # which keeps the rate, too
        (unmeasured,) = self.team.any(self._unmeasured)
        if unmeasured:  # since it was asked to stop meanwhile
            self._record("stopped")
            return "stopped"
        limit = {"rule": rule, "limit": getattr(self.run.config, rule)} if rule else {}
        self._record("finished", **limit)
        return "finished"

    def _step(self, log: Log, due: bool, unsafe: bool, done: bool) -> None:
        """One step, and what is due after it.

        Args:
            log: of the steps.
            due: their means are to be recorded.
            unsafe: there has been no checkpoint for long.
            done: it is the last one.
        """
        training = self.training
        log.add(training.advance())
        if training.micro != self.micro:
            self.micro = training.micro
            self._record("micro_batch", pictures=self.micro)
        measured = bool(self.measure_steps) and (done or training.step % self.measure_steps == 0)
        if done or measured or unsafe or training.step % self.checkpoint_steps == 0:
            self._checkpoint(log)
        elif due:
            self._report(log)
        if done or training.step % self.sample_steps == 0:
            self._sample()
        if measured:
            self._measure()

    def _catch_up(self, done: bool) -> None:
        """Show and measure what a process was to, had it not been stopped or killed before."""
        step = self.training.step
        shown = self.run.sample_path(step).exists()
        if not shown and (done or step % self.sample_steps == 0):
            self._sample()
        if self._unmeasured and (done or step % self.measure_steps == 0):
            self._measure()

    @property
    def _unmeasured(self) -> bool:
        """Whether this run is measured, and its state was not."""
        measures = self.team.first and bool(self.measure_steps)
        return measures and self.training.step not in self.scores

    def _measure(self) -> None:
        """Record what the averaged network is worth, unless somebody wants to stop meanwhile."""
        if not self.team.first:
            return
        if self._measuring is None:
            self._measuring = self.training.measuring(self.run.path, self._apart(), self._heed)
        with suppress(_WantedElsewhereError):
            figures = self._measuring()
            self.scores[self.training.step] = figures[self.run.config.SCORE]
            self._record("measures", **figures)

    def _heed(self, done: int, total: int) -> None:
        """Give up measuring when asked to stop: what was trained lies in its checkpoint."""
        if self._wanted_elsewhere():
            raise _WantedElsewhereError

    def _wanted_elsewhere(self) -> bool:
        """Whether somebody has asked this process to stop, in whichever way."""
        return self.should_stop() or self.run.stop_file.exists()

    def _flat(self) -> bool:
        """Whether the score has not become better for as long as the run wants to wait."""
        patience = self.run.config.plateau_kimg
        if patience is None or not self.scores or not self.team.first:
            return False
        best = min(self.scores, key=self.scores.__getitem__)
        return (max(self.scores) - best) * self.run.config.batch >= patience * 1000

    def _go_back(self, error: AstrayError) -> None:
        """Take up the last good state and learn more slowly from there, once in a run.

        Raises:
            AstrayError: when that has been tried before.
        """
        if self.training.rate_factor < 1:
            raise error
        if not self._resume():
            self.training.forget()
            del self.training  # there may be no room for two
            self.training = begin(self.run, self.pictures, self.team, self._apart())
            self.micro = self.training.micro
        self.training.slow_down(SLOWER)
        rate = self.run.config.rate * SLOWER
        self._record("rate_lowered", rate=rate, reason=str(error))

    def _sweep(self) -> None:
        """Remove what a process that was killed was writing."""
        for name in ("", "checkpoints", "samples"):
            for left in (self.run.path / name).glob(".*.tmp"):
                left.unlink(missing_ok=True)

    def _report(self, log: Log) -> None:
        """Record what the steps since the last report were like; refuses losses gone astray."""
        if log.sums:
            self._record("progress", **log.summary(self.training.step))

    def _record(self, kind: str, **values: Any) -> None:
        if not self.team.first:
            return
        step = self.training.step
        kimg = round(step * self.run.config.batch / 1000, 6)
        event = {"event": kind, "step": step, "kimg": kimg, "time": time.time(), **values}
        self.run.record(event)
        self.listen(event)

    def _resume(self) -> bool:
        """Take up the newest checkpoint that can be read, if there is any; all the same one."""
        found = self._newest() if self.team.first else None
        (after,) = self.team.totals(0.0 if found is None else found + 1.0)
        if not after:
            return False
        if not self.team.first:
            self._take_up(self.run.checkpoint_path(int(after) - 1))
        return True

    def _take_up(self, path: Path) -> int:
        """Restore a checkpoint's state; its step."""
        checkpoint.verify(path)
        header = checkpoint.read_header(path)
        step = int(header["step"])
        if path != self.run.checkpoint_path(step):
            raise GenartError(f"{path.name} says that it is of step {step}.")
        self.training.restore(checkpoint.read(path), step)
        self.training.slow_down(float(header.get("rate", 1.0)))
        self.training.micro = min(int(header.get("micro", len(self.training.share))), self.micro)
        self.micro = self.training.micro
        # What a process that was killed measured beyond this state is measured again.
        self.scores = {at: score for at, score in self.scores.items() if at <= self.training.step}
        return self.training.step

    def _newest(self) -> int | None:
        """Take up the newest checkpoint that can be read; put aside those that could not.

        Raises:
            GenartError: when there are checkpoints and none can be read: what is left may still
                be mended, so nothing begins anew over it.
        """
        unreadable: dict[Path, str] = {}
        for path in reversed(self.run.checkpoints):
            try:
                step = self._take_up(path)
                if self.training.astray:
                    raise GenartError(f"{path.name} holds weights that are not numbers.")
            except checkpoint.NewerError:
                raise  # it is whole, and to be kept
            except (ValueError, KeyError, TypeError, RuntimeError) as error:
                if is_shortage(error):
                    raise  # it is whole, and fits where it was made
                unreadable[path] = str(error)
            else:
                for broken, reason in unreadable.items():
                    replace(broken, broken.with_suffix(".unreadable"))
                    self._record("unreadable", file=broken.name, reason=reason)
                return step
        if unreadable:
            why = next(iter(unreadable.values())).rstrip(".")
            raise GenartError(
                f"None of the checkpoints in {self.run.path / 'checkpoints'} can be read ({why}): "
                "restore one of them, or begin again under a new name."
            )
        return None

    def _checkpoint(self, log: Log) -> None:
        """Write the state, then let go of checkpoints that are no longer to be kept.

        Raises:
            AstrayError: when the state is not worth keeping.
        """
        self.unsafe = time.monotonic() + SAFE_SECONDS
        self._report(log)
        if self.training.astray:
            raise AstrayError("A weight", "not a number", self.training.step)
        if not self.team.first:
            return
        step = self.training.step
        path = self.run.checkpoint_path(step)
        header = {
            **self.training.header(),
            "info": training_info(self.run, step),
            "step": step,
            "rate": self.training.rate_factor,
        }
        if self.training.micro < len(self.training.share):
            header["micro"] = self.training.micro
        if not path.exists() or checkpoint.read_header(path).get("rate") != header["rate"]:
            checkpoint.write(path, self.training.tensors(), header, summed=True)
        checkpoint.verify(path)  # before an older one goes
        self._let_go()
        self._record("checkpoint", file=f"checkpoints/{path.name}")

    def _let_go(self) -> None:
        """Remove checkpoints that are neither among the newest nor among the best."""
        config = self.run.config
        there = self.run.checkpoints
        measured = [step for step in self.scores if self.run.checkpoint_path(step) in there]
        best = sorted(measured, key=self.scores.__getitem__)[: config.keep_best]
        kept = {*there[-config.keep_last :], *map(self.run.checkpoint_path, best)}
        for old in there:
            if old not in kept:
                with suppress(PermissionError):  # Windows: another program reads it; next time
                    old.unlink(missing_ok=True)

    def _sample(self) -> None:
        if not self.team.first:
            return
        path = self.run.sample_path(self.training.step)
        with written(path) as temporary:
            self.training.sheet().save(temporary, format="PNG")
        self._record("samples", file=f"samples/{path.name}")


def training_info(run: RunFolder, step: int) -> dict[str, Any]:
    """What a checkpoint tells of how it was made, and of what under which terms."""
    config, settings = run.config, run.config.to_json()
    for rule in ("kimg", "steps"):
        settings.pop(rule)
    kimg = round(step * config.batch / 1000, 6)
    pictures, terms = len(run.data["pictures"]), run.data.get("terms", {})
    training = {"kimg": kimg, "step": step, "pictures": pictures, "settings": settings}
    return {"training": training | terms}


def _every(kimg: float, config: RunConfig) -> int:
    return max(1, round(kimg * 1000 / config.batch))


class _WantedElsewhereError(Exception):
    """Somebody asked to stop while the run was being measured."""
