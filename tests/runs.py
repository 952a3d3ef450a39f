"""Small runs that tests train."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from comfy_genart_nodes.training.run_folder import RunFolder


def save_squares(folder: Path, count: int = 16) -> None:
    """Coloured squares as PNG files."""
    folder.mkdir()
    for i, colour in enumerate(np.random.default_rng(0).integers(0, 256, (count, 3))):
        Image.new("RGB", (32, 32), tuple(map(int, colour))).save(folder / f"{i}.png")


def machine(run: RunFolder, **values: Any) -> RunFolder:
    """The run with other values of where and how it is trained."""
    file = run.path / "run.json"
    whole = json.loads(file.read_text())
    whole["machine"] |= values
    file.write_text(json.dumps(whole))
    return RunFolder(run.path)
