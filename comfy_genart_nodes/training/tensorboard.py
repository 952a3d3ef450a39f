"""A run's numbers and sheets in `<run>/tensorboard` too, where TensorBoard is installed."""

import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from PIL import Image

from .curves import numbers
from .run_folder import RunFolder

Listen = Callable[[dict[str, Any]], None]


def listener(run: RunFolder) -> Listen:
    """What writes a run's events for TensorBoard, where it can.

    Args:
        run: whose folder to write into.

    Returns:
        What to call with every event of the run; it does nothing without TensorBoard.
    """
    if find_spec("tensorboard") is None:
        return lambda event: None
    return _Patient(_Writer(run).listen)


class _Patient:
    """Listens until that fails: a broken TensorBoard must not end a training."""

    def __init__(self, listen: Listen) -> None:
        self.listen: Listen | None = listen

    def __call__(self, event: dict[str, Any]) -> None:
        if self.listen is None:
            return
        try:
            self.listen(event)
        except Exception as error:  # whatever its many parts raise where they do not fit together
            self.listen = None
            print(f"TensorBoard is not written any more: {error}", file=sys.stderr, flush=True)


class _Writer:
    """Turns events into TensorBoard's files; the horizontal axis is pictures seen.

    Args:
        run: whose folder to write into.
    """

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self._writer: Any = None

    def listen(self, event: dict[str, Any]) -> None:
        """Write what an event tells."""
        if "kimg" not in event:  # a run that failed
            return
        seen = round(event["kimg"] * 1000)
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            # What an earlier stretch wrote beyond this point is trained anew.
            self._writer = SummaryWriter(str(self.run.path / "tensorboard"), purge_step=seen + 1)
        for name, value in numbers(event).items():
            self._writer.add_scalar(f"{event['event']}/{name}", value, seen, event["time"])
        if event["event"] == "samples":
            with Image.open(self.run.path / event["file"]) as sheet:
                pixels = np.asarray(sheet.convert("RGB"))
            self._writer.add_image("samples", pixels, seen, event["time"], dataformats="HWC")
        if event["event"] != "progress":
            self._writer.flush()
