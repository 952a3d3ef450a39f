"""A run's numbers and sheets in `<run>/tensorboard` too, where TensorBoard is installed."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from PIL import Image

from ..errors import GenartError
from .curves import numbers
from .run_folder import RunFolder

Listen = Callable[[dict[str, Any]], None]


def listener(run: RunFolder, asked: bool = False) -> Listen:
    """What writes a run's events for TensorBoard, where it can.

    Args:
        run: whose folder to write into.
        asked: whether the person asked for it; otherwise a missing TensorBoard is nothing to
            speak of.

    Returns:
        What to call with every event of the run; it does nothing without TensorBoard.

    Raises:
        GenartError: when it was asked for and is not installed.
    """
    if find_spec("tensorboard") is None:
        if asked:
            raise GenartError(
                "TensorBoard is not installed: install it with `pip install tensorboard`, or train "
                "without."
            )
        return lambda event: None
    return _Writer(run).listen


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
