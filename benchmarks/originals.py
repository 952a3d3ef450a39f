"""Networks of others' checkouts, trained as their own tools train them, on any device.

The originals are imported from the folder they are checked out in; none of their code is here.
Their trainers want CUDA, so that the loops are written anew around their networks and losses.
"""

from __future__ import annotations

import copy
import importlib
import random
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from comfy_genart_nodes.training.augment import augment
from comfy_genart_nodes.training.config import TrainConfig
from comfy_genart_nodes.training.draws import Draws
from comfy_genart_nodes.training.learners import EMA_RAMP_UP

R1_EVERY, PATH_LENGTH_EVERY = 16, 4  # lazy regularisation (Karras et al. 2020)
PENALTY_EVERY = 4  # lightweight-gan's
PENALTY = 10.0  # its weight there


class Original(ABC):
    """Two networks of a checkout, the generator's moving average, and one step of them.

    Args:
        config: batch, rates, sizes and seed.
        pictures: uint8 [n, 3, side, side].
        device: where to compute.
    """

    g: Any
    d: Any

    def __init__(self, config: TrainConfig, pictures: np.ndarray, device: torch.device) -> None:
        self.config, self.device = config, device
        self.pictures = torch.from_numpy(pictures)
        self.step = 0
        random.seed(config.seed)
        np.random.seed(config.seed)
        torch.manual_seed(config.seed)

    def averaged(self) -> None:
        """Begin the moving average, once the networks are made."""
        for network in (self.g, self.d):
            network.train().requires_grad_(False).to(self.device)
        self.g_ema = copy.deepcopy(self.g).eval()

    @property
    def parameters(self) -> int:
        """Of both networks."""
        return sum(p.numel() for network in (self.g, self.d) for p in network.parameters())

    def real(self) -> Tensor:
        """A batch of pictures, -1..1, every one as often as any other."""
        count, size = len(self.pictures), self.config.batch
        numbers = range(self.step * size, (self.step + 1) * size)
        orders = {epoch: self._order(epoch) for epoch in {n // count for n in numbers}}
        places = [orders[n // count][n % count] for n in numbers]
        return self.pictures[places].to(self.device).float() / 127.5 - 1

    def _order(self, epoch: int) -> list[int]:
        drawn = torch.Generator().manual_seed(self.config.seed * 1_000_003 + epoch)
        return torch.randperm(len(self.pictures), generator=drawn).tolist()

    def z(self) -> Tensor:
        """A batch of latents."""
        return torch.randn(self.config.batch, self.config.z_dim, device=self.device)

    @torch.no_grad()
    def average(self) -> None:
        """Move the averaged generator as ours is moved, and go on to the next step."""
        self.step += 1
        seen = self.step * self.config.batch
        half_life = min(self.config.ema_kimg * 1000, seen * EMA_RAMP_UP)
        beta = 0.5 ** (self.config.batch / half_life)
        for mean, trained in zip(self.g_ema.parameters(), self.g.parameters(), strict=True):
            mean.lerp_(trained, 1 - beta)
        for kept, current in zip(self.g_ema.buffers(), self.g.buffers(), strict=True):
            kept.copy_(current)

    def draw(self, count: int) -> Tensor:
        """Pictures `[count, 3, side, side]`, about -1..1, of the averaged generator."""
        drawn = torch.Generator().manual_seed(0)
        z = torch.randn(count, self.config.z_dim, generator=drawn).to(self.device)
        with torch.no_grad():
            return torch.cat([self.show(part) for part in z.split(32)])

    @abstractmethod
    def show(self, z: Tensor) -> Tensor:
        """Latents to pictures about -1..1, by the averaged generator."""

    @abstractmethod
    def advance(self) -> None:
        """One step of both networks."""


class StyleGAN2Original(Original):
    """Of stylegan2-ada-pytorch: its own loss in the order of its own loop, or one batch for both.

    Args:
        checkout: its folder.
        config, pictures, device: as `Original` has them; `config.augment` is applied as ours is.
        own_phases: with its own loss, and pictures made anew for each network.
        mixing: probability of style mixing, with its own loss.
        half: float16 at the four largest sides, whose features are limited, as its command has it.
    """

    def __init__(
        self,
        checkout: Path,
        config: TrainConfig,
        pictures: np.ndarray,
        device: torch.device,
        own_phases: bool,
        mixing: float = 0.0,
        half: bool = False,
    ) -> None:
        super().__init__(config, pictures, device)
        sys.path.insert(0, str(checkout))
        _register_builds()
        module = importlib.import_module("training.networks")
        spec: Any = config.generator_spec()
        widths: dict[str, Any] = {
            "channel_base": spec.channel_base,
            "channel_max": spec.channel_max,
        }
        if half:
            widths |= {"num_fp16_res": 4, "conv_clamp": 256}
        shapes = {"c_dim": 0, "img_resolution": spec.resolution, "img_channels": 3}
        mapping = {"num_layers": spec.mapping_layers}
        self.g = module.Generator(
            spec.z_dim, w_dim=spec.w_dim, mapping_kwargs=mapping, synthesis_kwargs=widths, **shapes
        )
        self.d = module.Discriminator(**widths, **shapes)
        self.averaged()
        self.none = torch.empty(config.batch, 0, device=device)  # classes
        self.own_phases, self.changes = own_phases, 0
        self.adam_g = self._adam(self.g, PATH_LENGTH_EVERY if config.path_length else 0)
        self.adam_d = self._adam(self.d, R1_EVERY)
        self.loss = importlib.import_module("training.loss").StyleGAN2Loss(
            device,
            self.g.mapping,
            self.g.synthesis,
            self.d,
            augment_pipe=self._change if config.augment else None,
            style_mixing_prob=mixing,
            r1_gamma=config.r1_weight,
            pl_weight=config.path_length,
        )

    def _adam(self, network: nn.Module, every: int) -> torch.optim.Optimizer:
        """As the checkout has it; torch wants both betas to be floats nowadays."""
        ratio = every / (every + 1) if every and self.own_phases else 1.0
        betas = (0.0, 0.99**ratio)
        return torch.optim.Adam(network.parameters(), lr=self.config.rate * ratio, betas=betas)

    def _change(self, x: Tensor) -> Tensor:
        """DiffAugment, anew at every call."""
        self.changes += 1
        draws = Draws(self.config.seed, self.changes, range(len(x)), len(x))
        return augment(x, self.config.augment, draws, "augment")

    def show(self, z: Tensor) -> Tensor:
        """At psi 1, with the constant noise."""
        pictures: Tensor = self.g_ema(z, self.none.new_empty(len(z), 0), noise_mode="const")
        return pictures

    def advance(self) -> None:
        """One step, in either order."""
        if self.own_phases:
            self._their_phases()
        else:
            self._our_phases()
        self.average()

    def _phases(self) -> Iterator[tuple[str, nn.Module, torch.optim.Optimizer, int]]:
        yield "Gmain", self.g, self.adam_g, 1
        if self.config.path_length and self.step % PATH_LENGTH_EVERY == 0:
            yield "Greg", self.g, self.adam_g, PATH_LENGTH_EVERY
        yield "Dmain", self.d, self.adam_d, 1
        if self.step % R1_EVERY == 0:
            yield "Dreg", self.d, self.adam_d, R1_EVERY

    def _their_phases(self) -> None:
        real = self.real()
        for name, network, adam, gain in self._phases():
            adam.zero_grad()
            network.requires_grad_(True)
            self.loss.accumulate_gradients(name, real, self.none, self.z(), self.none, True, gain)
            network.requires_grad_(False)
            adam.step()

    def _our_phases(self) -> None:
        real, penalised = self.real(), self.step % R1_EVERY == 0
        self.g.requires_grad_(True)
        fake = self.g(self.z(), self.none)
        self.d.requires_grad_(True)
        real.requires_grad_(penalised)
        score = self.d(real, self.none)
        loss = F.softplus(-score).mean() + F.softplus(self.d(fake.detach(), self.none)).mean()
        if penalised:
            (slope,) = torch.autograd.grad(score.sum(), real, create_graph=True)
            r1 = slope.square().sum(dim=(1, 2, 3)).mean()
            loss = loss + r1 * (self.config.r1_weight / 2 * R1_EVERY)
        loss.backward()
        self.adam_d.step()
        self.adam_d.zero_grad()
        self.d.requires_grad_(False)
        F.softplus(-self.d(fake, self.none)).mean().backward()
        self.adam_g.step()
        self.adam_g.zero_grad()


def _register_builds() -> None:
    """Let a checkout import the kernels that it has built by their name, as torch once did."""
    extensions: Any = importlib.import_module("torch.utils.cpp_extension")
    load = extensions.load

    def registered(name: str, *args: Any, **kwargs: Any) -> ModuleType:
        module: ModuleType = load(name, *args, **kwargs)
        sys.modules[name] = module
        return module

    extensions.load = registered


class LightweightOriginal(Original):
    """Of lightweight-gan, as its command trains by default, but with a batch given at once.

    Hinge loss on the whole picture and on one of side 32, rebuilding, attention at side 32, its
    DiffAugment (translation and cutout) as often as it chooses for so many pictures, gradient
    penalty on real and generated pictures at every fourth step.

    Args:
        checkout: its folder.
        config, pictures, device: as `Original` has them; `channel_max` limits the width of a side.
    """

    def __init__(
        self, checkout: Path, config: TrainConfig, pictures: np.ndarray, device: torch.device
    ) -> None:
        super().__init__(config, pictures, device)
        self.module = module = _lightweight(checkout)
        shapes = {
            "image_size": config.resolution,
            "fmap_max": config.channel_max,
            "attn_res_layers": [32],
        }
        self.g = module.Generator(latent_dim=config.z_dim, **shapes)
        self.d = module.Discriminator(disc_output_size=1, **shapes)
        for network in (self.g, self.d):
            network.apply(lambda part: module.LightweightGAN._init_weights(None, part))
        self.averaged()
        self.judge = module.AugWrapper(self.d, config.resolution)
        often = min(0.5, (1e5 - len(pictures)) * 3e-6)
        self.changes: dict[str, Any] = {"prob": often, "types": ["cutout", "translation"]}
        self.adam_g, self.adam_d = (
            torch.optim.Adam(network.parameters(), lr=config.rate, betas=(0.5, 0.9))
            for network in (self.g, self.d)
        )

    def show(self, z: Tensor) -> Tensor:
        """Its pictures lie in 0..1."""
        pictures: Tensor = self.g_ema(z) * 2 - 1
        return pictures

    def advance(self) -> None:
        """The discriminator's turn, then the generator's with pictures made anew."""
        self._teach_d()
        self._teach_g()
        self.average()

    def _teach_d(self) -> None:
        penalised = self.step % PENALTY_EVERY == 0
        self.adam_d.zero_grad()
        self.d.requires_grad_(True)
        real = (self.real() + 1) / 2
        real.requires_grad_(penalised)
        with torch.no_grad():
            made = self.g(self.z())
        seen, scores_fake = self.judge(
            made,
            detach=True,
            input_requires_grad=penalised,
            return_discr_input=True,
            **self.changes,
        )
        *scores_real, rebuilt = self.judge(real, calc_aux_loss=True, **self.changes)
        loss = rebuilt
        for of_real, of_fake in zip(scores_real, scores_fake[:2], strict=True):
            loss = loss + self.module.hinge_loss(of_real, of_fake)
        if penalised:
            pairs = ((scores_real, real), (scores_fake[:2], seen))
            slopes = [_slope(scores, pictures) for scores, pictures in pairs]
            loss = loss + PENALTY * torch.cat(slopes).square().sum(dim=(1, 2, 3)).mean()
        loss.backward()
        self.adam_d.step()
        self.d.requires_grad_(False)

    def _teach_g(self) -> None:
        self.adam_g.zero_grad()
        self.g.requires_grad_(True)
        scores = self.judge(self.g(self.z()), **self.changes)[:2]
        loss = sum(self.module.gen_hinge_loss(score, None) for score in scores)
        loss.backward()
        self.adam_g.step()
        self.g.requires_grad_(False)


def _slope(scores: list[Tensor], pictures: Tensor) -> Tensor:
    total = sum(score.sum() for score in scores)
    (slope,) = torch.autograd.grad(total, pictures, create_graph=True)
    return slope


def _lightweight(checkout: Path) -> ModuleType:
    """The checkout's module, which is not imported where there is no CUDA."""
    sys.path.insert(0, str(checkout))
    there = torch.cuda.is_available
    torch.cuda.is_available = lambda: True
    try:
        return importlib.import_module("lightweight_gan.lightweight_gan")
    except ImportError as error:
        sys.exit(f"lightweight-gan needs {error.name}: install it in a folder on PYTHONPATH.")
    finally:
        torch.cuda.is_available = there


def is_stylegan2(checkout: Path) -> bool:
    """Whether a folder is a checkout of stylegan2-ada-pytorch."""
    return (checkout / "training" / "loss.py").exists()


def is_lightweight(checkout: Path) -> bool:
    """Whether a folder is a checkout of lightweight-gan."""
    return (checkout / "lightweight_gan" / "lightweight_gan.py").exists()
