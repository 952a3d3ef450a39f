"""Runs that keep pictures apart, begun without a graph."""

from typing import Any

import numpy as np

from comfy_genart_nodes.training.beginning import prepare
from comfy_genart_nodes.training.config import TrainConfig
from comfy_genart_nodes.training.picture_sets import from_images
from comfy_genart_nodes.training.run_folder import RunFolder


def begin(server: Any, name: str, **settings: Any) -> RunFolder:
    """Forty pictures of 32 pixels, for four steps of a small network, not trained yet."""
    small = np.random.default_rng(0).integers(0, 256, (40, 4, 4, 3), np.uint8)
    pictures = from_images([np.kron(small, np.ones((8, 8, 1), np.uint8))])
    values = {
        "resolution": 32,
        "batch": 4,
        "steps": 4,
        "channel_base": 512,
        "precision": "fp32",
        "z_dim": 16,
        "w_dim": 16,
    }
    runs = server.base / "output" / "genart"
    runs.mkdir(parents=True, exist_ok=True)
    return prepare(runs, name, pictures, TrainConfig(**values | settings), "cpu", threads=1)
