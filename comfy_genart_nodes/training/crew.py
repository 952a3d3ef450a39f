"""The other processes of a run that several train on one machine: its first one starts them.

They are copies of the first process, and end with it: their standard input is a pipe that only it
holds. When one of them ends before its time, the run has failed, and nobody waits for it.
"""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

# No torch here: the others load it while the first one does.

COMPANION = "companion"
GRACE_SECONDS = 10.0  # for the first process to notice by itself that another is gone


def gather(folder: Path) -> list[subprocess.Popen[bytes]]:
    """Start the companions that a run asks for; of this process make the first of the team.

    Args:
        folder: the run's.
    """
    size = _processes(folder)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    os.environ |= {"WORLD_SIZE": str(size), "RANK": "0", "LOCAL_RANK": "0"}
    command = [sys.executable, *sys.orig_argv[1:], COMPANION]
    unseen: dict[str, Any] = {}
    if sys.platform == "win32":
        unseen = {"creationflags": subprocess.CREATE_NO_WINDOW}
    companions = []
    for rank in range(1, size):
        place = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        companions.append(
            subprocess.Popen(command, stdin=subprocess.PIPE, env=os.environ | place, **unseen)
        )
    return companions


def _processes(folder: Path) -> int:
    try:
        run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        return int(run["machine"].get("processes", 1))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return 1  # whoever opens the run says what is wrong with it


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def watch(companions: list[subprocess.Popen[bytes]], folder: Path, well: tuple[int, ...]) -> None:
    """End this process with a sentence when a companion has ended badly; returns at once.

    On a CPU the first process meets an error when another is gone; on graphics cards it may wait
    for it for ever.

    Args:
        companions: what `gather` started.
        folder: the run's.
        well: exit codes of those that end as they should.
    """
    began = time.time()
    for rank, companion in enumerate(companions, 1):
        about = (companion, rank, folder, well, began)
        threading.Thread(target=_outlive, args=about, daemon=True).start()


def _outlive(
    companion: subprocess.Popen[bytes],
    rank: int,
    folder: Path,
    well: tuple[int, ...],
    began: float,
) -> None:
    code = companion.wait()
    if code in well:
        return
    time.sleep(GRACE_SECONDS)
    from . import failures
    from .run_folder import RunFolder

    reason = (
        f"Process {rank + 1} of those that train together ended with code {code}: log.txt of the "
        "run may say why; start the run again, and it goes on from its newest checkpoint."
    )
    failures.record(RunFolder(folder), reason, began)
    os._exit(1)


def dismiss(companions: list[subprocess.Popen[bytes]]) -> None:
    """End the companions, which have nothing to keep, and wait until their devices are free."""
    for companion in companions:
        assert companion.stdin is not None
        companion.stdin.close()
    for companion in companions:
        companion.wait()
