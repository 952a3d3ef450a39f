"""Opens files in a process of its own that notes everything that happens besides reading them.

python guarded_opening.py FOLDER CONTROL: opens every file in the folder, then, to show that the
guard is awake, lets the standard library load the control. Prints a report as JSON.
"""

import json
import os
import pickle
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.gan.formats.opening import open_gan

GIGABYTE = 2**30
HARMLESS = {"builtins.id", "mmap.__new__"}


class Guard:
    """Notes the interpreter's audit events while it is awake; none can be kept from it."""

    def __init__(self) -> None:
        self.file = ""
        self.events: list[str] = []
        # A plain function: millions of events are harmless, and a method costs three times as much.
        sys.addaudithook(lambda event, args: event in HARMLESS or self.note(event, args))

    def note(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.file:
            return
        if event == "open" and str(args[0]) == self.file and not self.writes(args):
            return
        awake, self.file = self.file, ""  # what is noted causes no events of its own
        self.events.append(f"{Path(awake).name}: {event} {str(args)[:200]}")
        self.file = awake

    @staticmethod
    def writes(args: tuple[Any, ...]) -> bool:
        flags = args[2] if isinstance(args[2], int) else 0
        return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND))


def outcome(path: Path) -> dict[str, str]:
    try:
        open_gan(path)
    except GenartError as error:
        return {"refused": str(error)}
    except BaseException as error:
        return {"raised": f"{type(error).__name__}: {error}"[:300]}
    return {"opened": ""}


def peak() -> int:
    """The most memory this process has had, in bytes; 0 where that cannot be asked."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def limit() -> None:
    """A gigabyte more than now, and no more (where /proc tells how much that is)."""
    statistics = Path("/proc/self/statm")
    if statistics.exists():
        import resource

        now = int(statistics.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + GIGABYTE, now + GIGABYTE))


def main(folder: Path, control: Path, known: list[Path]) -> None:
    torch.set_num_threads(1)
    for path in known:  # whatever is imported when it is first needed
        outcome(path)
    guard, before = Guard(), peak()
    limit()
    outcomes = {}
    for path in sorted(folder.iterdir()):
        guard.file = str(path)
        outcomes[path.name] = outcome(path)
        guard.file = ""
    noted, guard.events, memory = guard.events, [], peak() - before
    guard.file = "control"
    pickle.loads(control.read_bytes())
    guard.file = ""
    report = {"outcomes": outcomes, "events": noted, "control": guard.events, "memory": memory}
    print(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), [Path(each) for each in sys.argv[3:]])
