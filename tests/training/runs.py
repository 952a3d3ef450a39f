"""Small runs that tests train."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from comfy_genart_nodes.training.config import TrainConfig
from comfy_genart_nodes.training.run_folder import RunFolder

CONFIG = TrainConfig(
    resolution=32,
    batch=4,
    steps=5,
    channel_base=128,
    channel_max=8,
    z_dim=8,
    w_dim=8,
    mirror=True,
    precision="fp32",
    checkpoint_kimg=0.004,  # every step
    sample_kimg=0.016,
)


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


def never() -> bool:
    """No wish to stop."""
    return False


def after(steps: int) -> Callable[[], bool]:
    """A wish to stop after so many steps from now."""
    calls = iter(range(steps + 1))
    return lambda: next(calls) == steps


def digest(run: RunFolder) -> str:
    """Of the checkpoint that a finished run ends with."""
    assert run.finished
    path = run.checkpoint_path(run.config.last_step)
    return hashlib.sha256(path.read_bytes()).hexdigest()
