"""The script of a trainer process: `python child.py RUN_FOLDER [background]`.

SIGTERM, or a file `stop` in the run's folder, asks it to write a checkpoint and end. So does
end-of-file on standard input, whether the parent closed it or died; in the background it has none
and goes on. The exit code is 0 when the run is finished, 3 when it was stopped, 1 when it failed
(and `events.jsonl` says why).

Of a run that several processes train, this is the first; it starts the others (`crew.py`) with the
word `companion`, and they end when it does.
"""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

FINISHED, FAILED, STOPPED = 0, 1, 3
BACKGROUND = "background"


def main() -> int:
    """Train the run that the command line names."""
    # This file's own folder must not lend its modules' names; embedded Pythons ignore PYTHONPATH.
    own = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != own]
    sys.path.insert(0, str(own.parents[1]))
    from comfy_genart_nodes.training import crew

    folder, words = Path(sys.argv[1]), sys.argv[2:]
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    if crew.COMPANION in words:
        _at_end_of_input(lambda: os._exit(STOPPED))
        return _train(folder, asked, first=False)
    companions = crew.gather(folder)
    crew.watch(companions, folder, well=(FINISHED, STOPPED))
    if BACKGROUND not in words:
        _at_end_of_input(asked.set)
    try:
        return _train(folder, asked, first=True)
    finally:
        crew.dismiss(companions)


def _train(folder: Path, asked: threading.Event, first: bool) -> int:
    from comfy_genart_nodes.errors import GenartError
    from comfy_genart_nodes.training import tensorboard
    from comfy_genart_nodes.training.run_folder import RunFolder
    from comfy_genart_nodes.training.trainer import train

    try:
        listen = tensorboard.listener(RunFolder(folder)) if first else None
        outcome = train(folder, asked.is_set, listen)
    except GenartError as error:
        print(error, file=sys.stderr)
        return FAILED
    return FINISHED if outcome == "finished" else STOPPED


def _at_end_of_input(act: Callable[[], object]) -> None:
    """Act once whoever holds the other end of standard input has closed it or died."""

    def wait() -> None:
        # os.read, not sys.stdin: a buffered reader's lock would abort the interpreter at its exit.
        while os.read(0, 1):
            pass
        act()

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    try:
        code = main()
    except Exception:
        traceback.print_exc()
        code = FAILED
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is written. Python's own way out, with torch and busy cores, takes two seconds
    # more, in which whoever pressed Cancel would wait.
    os._exit(code)
