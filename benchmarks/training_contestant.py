"""One contestant of `training.py`: a process that takes a training step at every "run" it reads."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.contestants import serve
from benchmarks.originals import (
    LightweightOriginal,
    Original,
    StyleGAN2Original,
    is_lightweight,
)
from comfy_genart_nodes.training.config import TrainConfig
from comfy_genart_nodes.training.heap import retain_heap
from comfy_genart_nodes.training.recipes import settings
from comfy_genart_nodes.training.step import Training


@dataclass(frozen=True)
class Task:
    """What a contestant trains, and how.

    Attributes:
        resolution: side of the pictures.
        channel_base: a block of side r has `channel_base / r` channels, at most 512.
        batch: pictures a step.
        path_length: weight of path length regularisation, every fourth step; 0 for none.
        device: torch's name.
        threads: of torch, on a CPU.
        half: in bfloat16, ours; in float16 at its four largest sides, stylegan2-ada-pytorch.
        reference: checkout whose networks to train in place of ours, "" for ours.
        own_phases: with the checkout's loss and phases, in place of ours.
        recipe: of ours; augmentation only where the recipe is not about StyleGAN2.
        channel_max: limit of lightweight-gan's widths.
        own_time: count the process's own CPU seconds.
    """

    resolution: int
    channel_base: int
    batch: int
    path_length: float
    device: str
    threads: int
    half: bool = False
    reference: str = ""
    own_phases: bool = False
    recipe: str = "stylegan2"
    channel_max: int = 512
    own_time: bool = False

    @property
    def config(self) -> TrainConfig:
        """The run, as ours has it: no augmentation, which NVIDIA's networks come without."""
        plain = {"augment": ()} if self.recipe == "stylegan2" else {}
        return settings(
            self.recipe,
            resolution=self.resolution,
            channel_base=self.channel_base,
            channel_max=self.channel_max,
            batch=self.batch,
            path_length=self.path_length,
            **plain,
        )


def pictures(task: Task) -> np.ndarray:
    """The pictures everyone trains on, uint8 [64, 3, side, side]: what they show takes no time."""
    shape = (64, 3, task.resolution, task.resolution)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def make(task: Task) -> Training | Original:
    """What a task trains."""
    device, shown, checkout = torch.device(task.device), pictures(task), Path(task.reference)
    if not task.reference:
        retain_heap()  # as a trainer of ours does
        return Training(task.config, shown, device, "bf16" if task.half else "fp32")
    if is_lightweight(checkout):
        return LightweightOriginal(checkout, task.config, shown, device)
    own, half = task.own_phases, task.half
    return StyleGAN2Original(checkout, task.config, shown, device, own, half=half)


def main(task: Task) -> None:
    """Take a step, R1 among it; then another at every line read, until it says "end"."""
    serve(lambda: make(task).advance, task.device, task.threads, task.own_time)


if __name__ == "__main__":
    main(Task(**json.loads(sys.argv[1])))
