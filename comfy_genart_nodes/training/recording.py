"""Steps that a card plays as a whole (CUDA graphs), in place of kernel after kernel.

A step of a small network is some two thousand small kernels: at 64x64 a fast card works for a tenth
of the time that a CPU takes to order them one by one. Recorded once, they are ordered by one call.

A recording knows nothing but memory: what comes from the CPU at every step (drawn numbers,
pictures) has to be put into the same memory before it is played. So a step asks for it by giving a
function, which is called again before every later step of the same kind.
"""

import warnings
from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor

from ..transfer import give
from .log import Report

Work = Callable[[], Report]
Capture = Callable[[Work, Any], tuple[Work, Any]]
"""Records work without doing it, with the memory that another recording has; gives what plays it,
and the memory it takes."""


def capture(device: torch.device, work: Work, memory: Any) -> tuple[Work, Any]:
    """Record work on a card of CUDA's.

    Recordings share their memory: nothing in it is needed once a recording has been played, but for
    its report, of which copies are given.
    """
    with torch.cuda.device(device):  # else kernels would be ordered beside the recording
        graph, before = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        try:
            with torch.cuda.graph(graph, pool=memory, stream=torch.cuda.Stream()):
                report = work()
        finally:
            torch.cuda.set_stream(before)  # which a recording that went wrong forgets

    def play() -> Report:
        with torch.cuda.device(device):
            graph.replay()
        return {name: value.clone() for name, value in report.items()}

    return play, graph.pool()


class Recorder:
    """Plays steps whose work is the same, but for what comes from the CPU.

    Args:
        capture: how work is recorded.
    """

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._takes: dict[Hashable, _Take] = {}
        self._memory: Any = None
        self._taking: _Take | None = None
        self.usable = True

    @property
    def holds(self) -> bool:
        """Whether there are recordings, which keep their memory between steps."""
        return any(take.play for take in self._takes.values())

    def forget(self) -> None:
        """Let go of recordings, to record anew: they know tensors, or a rate, that are no more."""
        self._takes.clear()
        self._memory = None

    def stop(self, why: object) -> None:
        """Let go of recordings and their memory, and record no more; a warning says why."""
        warnings.warn(f"Steps are not recorded, which is slower: {why}", stacklevel=3)
        self.forget()
        self.usable = False

    def give(
        self, make: Callable[[], Tensor], device: torch.device, dtype: torch.dtype | None = None
    ) -> Tensor:
        """A `Giver`, for the work that is being recorded."""
        if self._taking is None:
            return give(make, device, dtype)
        return self._taking.give(make, device, dtype)

    def play(self, kind: Hashable, work: Work, undo: Callable[[], None]) -> Report:
        """Do a step's work.

        The first of its kind is done as it is, which shows what it asks for, and has libraries
        choose their kernels; the second is recorded. What cannot be recorded is done as it is from
        then on, and a warning says so.

        Args:
            kind: of the work: equal where it orders the same kernels.
            work: changes tensors in place, and gives a report of new ones.
            undo: lets go of what work that was broken off has gathered.
        """
        take = self._takes.get(kind)
        if take is None:
            take = _Take()
            report = self._within(take, work)
            if self.usable:  # after this work, too
                self._takes[kind] = take
            return report
        if take.play is None:
            try:
                take.play, self._memory = self._capture(
                    lambda: self._within(take, work), self._memory
                )
            except RuntimeError as error:
                self.stop(error)
                undo()
                return work()
        take.refill()
        return take.play()

    def _within(self, take: "_Take", work: Work) -> Report:
        take.asked, self._taking = 0, take
        try:
            return work()
        finally:
            self._taking = None


class _Take:
    """What one kind of work asks for, in turn, and the recording of it."""

    def __init__(self) -> None:
        self.given: list[tuple[Callable[[], Tensor], Tensor]] = []
        self.asked = 0
        self.play: Work | None = None

    def give(
        self, make: Callable[[], Tensor], device: torch.device, dtype: torch.dtype | None
    ) -> Tensor:
        """The next thing asked for: always in the same memory."""
        if self.asked == len(self.given):
            self.given.append((make, give(make, device, dtype)))
        self.asked += 1
        return self.given[self.asked - 1][1]

    def refill(self) -> None:
        """Put what this step gets where the last one's was."""
        for make, there in self.given:
            there.copy_(make().to(there.dtype), non_blocking=True)
