"""One run of `tiny_data.py`: trains, and leaves samples where its time or its pictures are used up.

On a CPU time is the process's own, with one thread: what else the machine does costs nobody's. On a
graphics card it is that of the clock, without the first step, in which libraries are built and
kernels chosen; and everyone takes the precision that its own command takes.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.contestants import peak_bytes
from benchmarks.originals import LightweightOriginal, StyleGAN2Original, is_lightweight
from comfy_genart_nodes.gan.checkpoint import load_gan
from comfy_genart_nodes.gan.latents import from_seeds
from comfy_genart_nodes.gan.sampling import sample
from comfy_genart_nodes.training.beginning import fastest_precision
from comfy_genart_nodes.training.config import TrainConfig
from comfy_genart_nodes.training.parents import Parent, descend
from comfy_genart_nodes.training.recipes import settings
from comfy_genart_nodes.training.step import Training

SAMPLES = 500
MIXING = 0.9  # of styles, as stylegan2-ada-pytorch has it


@dataclass(frozen=True)
class Task:
    """What is trained, on what, and for how long.

    Attributes:
        recipe: of ours; with a checkout of stylegan2-ada-pytorch, "stylegan2".
        reference: checkout whose networks to train in place of ours, "" for ours.
        given: settings in place of the recipe's.
        pictures: file of the training pictures, uint8 [n, 3, side, side].
        folder: where samples and figures go.
        seconds: leave samples after half of so many seconds and after all; 0 for never ...
        kimg: ... and after so many thousand pictures; 0 for never.
        parent: file of a network that ours goes on from, "" for none.
        device: torch's name.
    """

    recipe: str
    reference: str
    given: dict[str, float]
    pictures: str
    folder: str
    seconds: float
    kimg: float
    parent: str = ""
    device: str = "cpu"

    @property
    def config(self) -> TrainConfig:
        """The settings."""
        return settings(self.recipe, **self.given)


class Contestant(Protocol):
    """What trains."""

    def advance(self) -> object:
        """Take one step."""

    def draw(self, count: int) -> Tensor:
        """So many pictures of the averaged generator, -1..1."""

    @property
    def parameters(self) -> int:
        """Of both networks."""


class Ours:
    """Our training, as a contestant.

    Args:
        config: its settings.
        pictures: uint8 [n, 3, side, side].
        parent: file of the network to go on from, "" for none.
        device: torch's name.
    """

    def __init__(
        self, config: TrainConfig, pictures: np.ndarray, parent: str = "", device: str = "cpu"
    ) -> None:
        before = None
        if parent:
            gan = load_gan(Path(parent))
            config = descend(config, gan, classes=0, judged=False)
            before = Parent(gan.spec, gan.generator.state_dict(), None)
        precision = "fp32" if device == "cpu" else fastest_precision(device)
        self.training = Training(config, pictures, torch.device(device), precision, parent=before)

    def advance(self) -> object:
        """Take one step."""
        return self.training.advance()

    def draw(self, count: int) -> Tensor:
        """At psi 1, with the constant noise."""
        mean = self.training.g_ema
        parts = [from_seeds(mean.spec, i, min(32, count - i)) for i in range(0, count, 32)]
        return torch.cat([sample(mean, part) for part in parts])

    @property
    def parameters(self) -> int:
        """Of both networks."""
        networks: tuple[nn.Module, ...] = (self.training.g, self.training.d)
        return sum(p.numel() for network in networks for p in network.parameters())


def make(task: Task) -> Contestant:
    """The contestant that a task is about."""
    pictures, checkout = np.load(task.pictures), Path(task.reference)
    if not task.reference:
        return Ours(task.config, pictures, task.parent, task.device)
    device = torch.device(task.device)
    if is_lightweight(checkout):
        return LightweightOriginal(checkout, task.config, pictures, device)
    half = device.type == "cuda"
    return StyleGAN2Original(checkout, task.config, pictures, device, True, MIXING, half)


def leave(contestant: Contestant, task: Task, name: str, figures: dict[str, float]) -> None:
    """Write samples and what they took."""
    peak = peak_bytes()  # before the samples
    drawn = ((contestant.draw(SAMPLES).clamp(-1, 1) + 1) * 127.5).round().byte()
    folder = Path(task.folder)
    np.save(folder / f"{name}.npy", drawn.cpu().numpy())
    told = {**figures, "parameters": contestant.parameters, "peak_mb": peak / 2**20}
    text = json.dumps({**told, "task": asdict(task)})
    (folder / f"{name}.json").write_text(text)
    print(name, figures, flush=True)


def main(task: Task) -> None:
    """Train until nothing more is asked for."""
    torch.set_num_threads(1)
    on_gpu = task.device.startswith("cuda")
    torch.backends.cudnn.benchmark = on_gpu  # for everyone; lightweight-gan does without
    clock = time.perf_counter if on_gpu else time.process_time
    contestant = make(task)
    due = {f"seconds{task.seconds * part:g}": task.seconds * part for part in (0.5, 1)}
    due = {name: limit for name, limit in due.items() if limit}
    kimg_due, steps, spent = task.kimg, 0, 0.0
    while due or kimg_due:
        start = clock()
        contestant.advance()
        if on_gpu and steps % 50 == 0:  # else orders would pile up, and time with them
            torch.cuda.synchronize()
        spent += clock() - start if steps or not on_gpu else 0.0
        steps += 1
        kimg = steps * task.config.batch / 1000
        figures = {"kimg": kimg, "seconds": spent}
        for name in [name for name, limit in due.items() if spent >= limit]:
            leave(contestant, task, name, figures)
            due.pop(name)
        if kimg_due and kimg >= kimg_due:
            leave(contestant, task, f"kimg{kimg_due:g}", figures)
            kimg_due = 0.0


if __name__ == "__main__":
    main(Task(**json.loads(sys.argv[1])))
