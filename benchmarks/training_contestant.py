"""One contestant of `training.py`: a process that takes a training step at every "run" it reads.

The originals are imported from the folder they are checked out in; none of their code is here.
"""

from __future__ import annotations

import copy
import importlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.contestants import serve
from comfy_genart_nodes.training.config import TrainConfig
from comfy_genart_nodes.training.step import Training

Step = Callable[[], object]
R1_EVERY, PATH_LENGTH_EVERY = 16, 4  # lazy regularisation (Karras et al. 2020)


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
        bf16: with autocast.
        reference: checkout whose networks to train in place of ours, "" for ours.
        own_loss: with the checkout's loss and phases, in place of ours.
    """

    resolution: int
    channel_base: int
    batch: int
    path_length: float
    device: str
    threads: int
    bf16: bool = False
    reference: str = ""
    own_loss: bool = False

    @property
    def config(self) -> TrainConfig:
        """The run, as ours has it: no augmentation, which the originals' networks come without."""
        return TrainConfig(
            resolution=self.resolution,
            channel_base=self.channel_base,
            batch=self.batch,
            path_length=self.path_length,
            augment=(),
        )


def pictures(task: Task) -> np.ndarray:
    """The pictures everyone trains on, uint8 [64, 3, side, side]: what they show takes no time."""
    shape = (64, 3, task.resolution, task.resolution)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _ours(task: Task) -> Step:
    precision = "bf16" if task.bf16 else "fp32"
    training = Training(task.config, pictures(task), torch.device(task.device), precision)
    return training.advance


class _Originals:
    """Networks of a checkout, optimisers, and what a step needs beside them."""

    def __init__(self, task: Task) -> None:
        sys.path.insert(0, task.reference)
        module = importlib.import_module("training.networks")
        spec = task.config.generator_spec()
        widths = {"channel_base": spec.channel_base, "channel_max": spec.channel_max}
        shapes = {"c_dim": 0, "img_resolution": spec.resolution, "img_channels": 3}
        mapping = {"num_layers": spec.mapping_layers}
        self.g: Any = module.Generator(
            spec.z_dim, w_dim=spec.w_dim, mapping_kwargs=mapping, synthesis_kwargs=widths, **shapes
        )
        self.d: Any = module.Discriminator(**widths, **shapes)
        for network in (self.g, self.d):
            network.train().requires_grad_(False).to(task.device)
        self.g_ema = copy.deepcopy(self.g).eval()
        self.task, self.config = task, task.config
        self.adam_g, self.adam_d = self._adam(self.g), self._adam(self.d)
        self.pictures = torch.from_numpy(pictures(task))
        self.none = torch.empty(task.batch, 0, device=task.device)  # classes
        self.step = 0

    def _adam(self, network: nn.Module) -> torch.optim.Optimizer:
        # As the checkout has it; torch wants both betas to be floats nowadays.
        return torch.optim.Adam(network.parameters(), lr=self.config.rate, betas=(0.0, 0.99))

    def real(self) -> Tensor:
        """A batch of pictures, -1..1."""
        places = (torch.arange(self.task.batch) + self.step * self.task.batch) % len(self.pictures)
        return self.pictures[places].to(self.task.device).float() / 127.5 - 1

    def z(self) -> Tensor:
        """A batch of latents."""
        return torch.randn(self.task.batch, self.config.z_dim, device=self.task.device)

    @torch.no_grad()
    def average(self) -> None:
        """Move the averaged generator, and go on to the next step."""
        beta = 0.5 ** (self.task.batch / (self.config.ema_kimg * 1000))
        for mean, trained in zip(self.g_ema.parameters(), self.g.parameters(), strict=True):
            mean.lerp_(trained, 1 - beta)
        for kept, current in zip(self.g_ema.buffers(), self.g.buffers(), strict=True):
            kept.copy_(current)
        self.step += 1


def _their_phases(task: Task) -> Step:
    """The checkout's loss in the order of its own loop: pictures are made anew for each network."""
    own = _Originals(task)
    loss = importlib.import_module("training.loss").StyleGAN2Loss(
        torch.device(task.device),
        own.g.mapping,
        own.g.synthesis,
        own.d,
        style_mixing_prob=0,  # ours has none
        r1_gamma=task.config.r1_weight,
        pl_weight=task.path_length,
    )

    def phases() -> Iterator[tuple[str, nn.Module, torch.optim.Optimizer, int]]:
        yield "Gmain", own.g, own.adam_g, 1
        if task.path_length and own.step % PATH_LENGTH_EVERY == 0:
            yield "Greg", own.g, own.adam_g, PATH_LENGTH_EVERY
        yield "Dmain", own.d, own.adam_d, 1
        if own.step % R1_EVERY == 0:
            yield "Dreg", own.d, own.adam_d, R1_EVERY

    def step() -> None:
        real = own.real()
        for name, network, adam, gain in phases():
            adam.zero_grad()
            network.requires_grad_(True)
            loss.accumulate_gradients(name, real, own.none, own.z(), own.none, True, gain)
            network.requires_grad_(False)
            adam.step()
        own.average()

    return step


def _our_phases(task: Task) -> Step:
    """The checkout's networks, both taught by the same pictures, as ours are."""
    own = _Originals(task)
    if task.path_length:
        sys.exit("With path length regularisation only the originals' own phases are measured.")

    def step() -> None:
        real, penalised = own.real(), own.step % R1_EVERY == 0
        own.g.requires_grad_(True)
        fake = own.g(own.z(), own.none)
        own.d.requires_grad_(True)
        real.requires_grad_(penalised)
        score = own.d(real, own.none)
        loss = F.softplus(-score).mean() + F.softplus(own.d(fake.detach(), own.none)).mean()
        if penalised:
            (slope,) = torch.autograd.grad(score.sum(), real, create_graph=True)
            r1 = slope.square().sum(dim=(1, 2, 3)).mean()
            loss = loss + r1 * (task.config.r1_weight / 2 * R1_EVERY)
        loss.backward()
        own.adam_d.step()
        own.adam_d.zero_grad()
        own.d.requires_grad_(False)
        F.softplus(-own.d(fake, own.none)).mean().backward()
        own.adam_g.step()
        own.adam_g.zero_grad()
        own.average()

    return step


def main(task: Task) -> None:
    """Take a step, R1 among it; then another at every line read, until it says "end"."""
    make = _ours if not task.reference else _their_phases if task.own_loss else _our_phases
    serve(lambda: make(task), task.device, task.threads)


if __name__ == "__main__":
    main(Task(**json.loads(sys.argv[1])))
