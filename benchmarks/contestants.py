"""Contestants of a benchmark: processes with the same environment that take turns.

They take turns so that a busy machine slows all of them; ratios are medians over the turns' own.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

_RETAINED = {"MALLOC_MMAP_THRESHOLD_": "4000000000", "MALLOC_TRIM_THRESHOLD_": "8000000000"}


def environment(retain_heap: bool) -> dict[str, str]:
    """That of every contestant; a retained heap (glibc's) spares a process page faults."""
    plain = {key: value for key, value in os.environ.items() if key not in _RETAINED}
    return plain | (_RETAINED if retain_heap else {})


class Contestant:
    """A process that does the same work whenever it is told to.

    Args:
        name: for the table.
        script: what it runs; it calls `serve`.
        arguments: of the script.
        environment: of the process.
    """

    def __init__(
        self, name: str, script: Path, arguments: list[str], environment: dict[str, str]
    ) -> None:
        self.name = name
        self.seconds: list[float] = []
        self._process = subprocess.Popen(
            [sys.executable, script, *arguments],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.first = self._answer()["seconds"]

    def turn(self) -> None:
        """Work once."""
        self.seconds.append(self._ask("run")["seconds"])

    def finish(self) -> None:
        """The process ends."""
        self.peak = self._ask("end")["peak"]
        self._process.wait()

    def _ask(self, word: str) -> dict[str, float]:
        assert self._process.stdin is not None
        print(word, file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} gave up; what it said stands above.")
        return json.loads(line)


def take_turns(contestants: list[Contestant], turns: int) -> None:
    """Every contestant works so often, in an order that turns about."""
    for turn in range(turns):
        for contestant in contestants if turn % 2 == 0 else reversed(contestants):
            contestant.turn()


def median_ratio(seconds: list[float], others: list[float]) -> float:
    """Of the turns' own ratios."""
    return statistics.median(own / other for own, other in zip(seconds, others, strict=True))


def serve(
    make: Callable[[], Callable[[], object]], device: str, threads: int, own_time: bool = False
) -> None:
    """In a contestant's process: prepare, work once, then at every "run" that is read.

    Args:
        make: prepares; gives the work.
        device: torch's name.
        threads: of torch, on a CPU.
        own_time: count the process's own CPU seconds, whatever else the machine does.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the originals print
    torch.set_num_threads(threads)
    work = make()
    on_gpu = device.startswith("cuda")
    torch.backends.cudnn.benchmark = on_gpu  # for everyone; lightweight-gan does without
    clock = time.process_time if own_time else time.perf_counter

    def run() -> None:
        if on_gpu:
            torch.cuda.synchronize()
        start = clock()
        work()
        if on_gpu:
            torch.cuda.synchronize()
        print(json.dumps({"seconds": clock() - start}), file=answers, flush=True)

    run()
    while sys.stdin.readline().strip() == "run":
        run()
    peak = torch.cuda.max_memory_allocated() if on_gpu else peak_bytes()
    print(json.dumps({"peak": peak}), file=answers, flush=True)


def peak_bytes() -> int:
    """The most memory this process has held.

    Linux's getrusage counts what the process held that started it.
    """
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def machine(device: str, threads: int, retain_heap: bool) -> str:
    """What the figures depend on, in a line."""
    if device.startswith("cuda"):
        name = torch.cuda.get_device_name(device)
    else:
        cpuinfo = Path("/proc/cpuinfo")
        lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
        models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
        name = f"{models[0] if models else platform.processor()}, {threads} threads"
        name += f", best instructions {torch.backends.cpu.get_cpu_capability()}"
    heap = "retained heap" if retain_heap else "the system's own allocator settings"
    return f"{name}; torch {torch.__version__}; {heap}"
