"""A VAE that learns, its critic, their optimisers, and one step of them.

As with GANs (`step.py`) every draw is a function of (seed, step, purpose, picture), and a batch may
be divided into micro-batches and among processes.
"""

import copy
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..gan.networks.layers import initialise
from ..vae.files import LoadedVAE
from ..vae.networks.autoencoder import Autoencoder, Coded
from ..vae.networks.families import build
from . import ada, learners, muon
from .draws import Draws, generator
from .learners import DTYPES, Learning, Optimiser
from .log import Report, note
from .order import Order, shown
from .patch_critic import PatchCritic
from .perceptual import Perceptual
from .players import parts
from .shortage import patiently
from .team import Team
from .vae_config import VAEConfig
from .vae_losses import adaptive_weight, eq_views, hinge, kl_share, pixel_loss, pull

BETAS = (0.5, 0.9)  # as latent diffusion's first stages are trained with a critic
CALM_BETAS = (0.9, 0.99)  # without one
CRITIC = "adam_critic"
FULL_KIMG = 2.0  # at the first rate
MEMORY = 0.99  # of the statistics of latents, a step

_WEIGHT = 3  # the row of the statistics of latents that says how many pictures they are of


class VAETraining(Learning):
    """The networks of a run, their optimisers, and one step of them.

    Args:
        config: the run's settings.
        pictures: uint8 [n, 3, side, side].
        device: where to compute.
        precision: "fp32" or "bf16"; "fp64" to compare ways of computing the same.
        left_out: places of pictures that are never shown.
        team: the processes that train together.
        parent: what the run goes on from.

    Attributes:
        vae: the network that learns.
        average: its moving average, which is what a run is worth.
    """

    config: VAEConfig

    def __init__(
        self,
        config: VAEConfig,
        pictures: np.ndarray,
        device: torch.device,
        precision: str,
        *,
        left_out: Sequence[int] = (),
        team: Team | None = None,
        parent: LoadedVAE | None = None,
    ) -> None:
        self.config, self.pictures, self.device = config, pictures, device
        self.team = team or Team()
        self.half, self.dtype = precision == "bf16", DTYPES[precision]
        self.step, self.rate_factor = 0, 1.0
        self.share = self.team.share(config.batch, 1)
        self.micro = len(self.share)
        self.vae = _network(config, parent)
        self.average: Autoencoder = copy.deepcopy(self.vae).eval().requires_grad_(False)
        self.perceptual = Perceptual(device) if config.perceptual else None
        self.critic = PatchCritic() if config.adversarial else None
        self.networks: dict[str, torch.nn.Module] = {"vae": self.vae, "ema": self.average}
        if self.critic is not None:
            initialise(self.critic, config.seed + 1)
            self.networks["critic"] = self.critic
        for network in self.networks.values():
            learners.place(network, device, self.dtype)
        self.optimisers = self._optimisers()
        self.adversarial_weight = torch.zeros([], device=device, dtype=self.dtype)
        self.statistics = torch.zeros(4, self.vae.channels, device=device, dtype=self.dtype)
        self.order = Order(len(pictures), config.seed, left_out)

    def _optimisers(self) -> list[Optimiser]:
        """Those of the VAE, or of its decoder alone, and the critic's."""
        learning = dict(self.vae.named_parameters())
        if self.config.decoder_only:
            decoders = set(self.vae.decoder_parameters())
            learning = {name: p for name, p in learning.items() if p in decoders}
        self.vae.requires_grad_(False)
        learners.switch(learning.values(), True)
        by_muon = self.config.optimiser == "muon"
        codebook = "bottleneck.codebook"  # a list of vectors, each for itself
        inner = {
            name: p
            for name, p in learning.items()
            if by_muon and muon.takes(p) and name != codebook
        }
        others = {name: p for name, p in learning.items() if name not in inner}
        made = [self._adam("adam_vae", others)]
        if inner:
            rate = self.config.rate
            made.append(Optimiser("muon_vae", muon.Muon(inner.values(), rate), inner, rate))
        if self.critic is not None:
            made.append(self._adam(CRITIC, dict(self.critic.named_parameters())))
        return made

    def _adam(self, name: str, learning: dict[str, nn.Parameter]) -> Optimiser:
        betas = CALM_BETAS if self.critic is None else BETAS
        rate = self.config.rate
        return Optimiser(name, learners.adam([*learning.values()], rate, betas), learning, rate)

    @property
    def judged(self) -> bool:
        """Whether the critic takes part in this step."""
        after = self.config.adversarial_after * 1000
        return self.critic is not None and self.step * self.config.batch >= after

    @property
    def pace(self) -> float:
        """Times the first rate, at this step.

        Muon's steps are as long when there is little left to learn: left so, they wear layers out
        until nothing passes. So all become shorter, with the root of what was seen.
        """
        if self.config.optimiser != "muon":
            return 1.0
        return math.sqrt(min(FULL_KIMG * 1000 / (self.config.batch * max(self.step, 1)), 1.0))

    def advance(self) -> Report:
        """Take one step of both networks, which learn from the same pictures.

        Returns:
            Scalars, means over the batch: loss (all that the VAE learns from, but for the critic),
            pixel, and where they are there features (their distance), nats (a picture), codes (what
            the codebook costs), adversarial and critic.
        """
        report, pulls, statistics, raw = patiently(self, self._gather)
        self.team.sum([*report.values(), pulls, statistics, raw])
        for optimiser in self.optimisers:
            if optimiser.name != CRITIC or self.judged:
                optimiser.learn(self.team, self.rate_factor * self.pace)
        self._keep_codes(raw)
        self.statistics = MEMORY * self.statistics + (1 - MEMORY) * statistics
        if self.judged:
            self.adversarial_weight = adaptive_weight(*pulls)
        self.step += 1
        self.follow(self.average, self.vae)
        return report

    def _gather(self) -> tuple[Report, Tensor, Tensor, Tensor]:
        """All gradients; what was like what, who pulls how (`_persuade`), statistics of latents.

        Last comes what encoders of codes gave, of the whole batch, zero where others have it.
        """
        report: Report = {}
        pulls = self._last_layer.new_zeros(2, *self._last_layer.shape)
        statistics = torch.zeros_like(self.statistics)
        raw = self._room_for_codes()
        for piece in parts(self.share, self.micro, 1):
            draws = Draws(self.config.seed, self.step, piece, self.config.batch)
            share = len(piece) / self.config.batch
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
                real = self._shown(draws)
                coded = self._code(real, draws)
                target, made = self._make(real, coded)
            statistics += share * _statistics(coded, self.dtype)
            self._teach(real, target, made, coded, share, report, pulls)
            if self.judged:
                self._teach_critic(target, made.detach(), share, report)
            if len(raw) and coded.raw is not None:
                raw[piece.start : piece.stop] = coded.raw.detach()
        return report, pulls, statistics, raw

    @property
    def _last_layer(self) -> nn.Parameter:
        """Weights of the last convolution that makes pictures."""
        return [p for p in self.vae.decoder_parameters() if p.ndim == 4][-1]

    def _shown(self, draws: Draws) -> Tensor:
        """Pictures of the set, `[n, 3, side, side]`."""
        config = self.config
        real = shown(self.pictures, self.order, draws, config.mirror, self.device, self.dtype)
        if config.augment:
            real = ada.augment(real, lambda: config.augment, draws, "augment").clamp(-1, 1)
        return real

    def _code(self, real: Tensor, draws: Draws) -> Coded:
        """Their latents, with noise where the VAE has any and its encoder learns."""
        if self.config.decoder_only:
            with torch.no_grad():
                return self.vae.code(real, None)
        side = self.config.resolution // self.vae.factor
        shape = self.vae.channels, side, side
        noise = draws.give(lambda: draws.normal("latents", *shape), self.device, self.dtype)
        return self.vae.code(real, noise)

    def _make(self, real: Tensor, coded: Coded) -> tuple[Tensor, Tensor]:
        """What is to be made of latents, and what is made of them."""
        turned = generator(self.config.seed, self.step, "eq")
        if float(torch.rand([], generator=turned)) < self.config.eq:
            latents, real = eq_views(coded.latents, real, turned)
            return real, self.vae.decode(latents).float().to(self.dtype)
        return real, self.vae.decode(coded.latents).float().to(self.dtype)

    def _teach(
        self,
        real: Tensor,
        target: Tensor,
        made: Tensor,
        coded: Coded,
        share: float,
        report: Report,
        pulls: Tensor,
    ) -> None:
        """Gather the VAE's gradients, from pictures, what is to be made of them and what is."""
        config = self.config
        pixel = pixel_loss(config.pixel, made, target)
        rebuilt = pixel
        note(report, share, pixel=pixel)
        if self.perceptual is not None:
            distance = self.perceptual(made, target).mean()
            note(report, share, features=distance)
            rebuilt = rebuilt + config.perceptual * distance
        other = self._regular(real, coded, share, report)
        note(report, share, loss=rebuilt + (0.0 if other is None else other))
        (towards,) = torch.autograd.grad(rebuilt * share, made)
        if self.judged:
            towards = self._persuade(made, towards, share, report, pulls)
        graph, gradients = [made], [towards]
        if other is not None:
            graph.append(other * share)
            gradients.append(torch.ones_like(other))
        torch.autograd.backward(graph, gradients)

    def _regular(self, real: Tensor, coded: Coded, share: float, report: Report) -> Tensor | None:
        """What latents cost: nats, or what the codebook asks for."""
        if self.config.decoder_only:
            return None
        cost = coded.cost
        if cost is not None:
            note(report, share, codes=cost)
        if coded.logvar is not None:
            nats = coded.kl().to(self.dtype)
            note(report, share, nats=nats.flatten(1).sum(dim=1).mean())
            if self.config.kl:
                divergence = self.config.kl * kl_share(nats, real)
                cost = divergence if cost is None else cost + divergence
        return cost

    def _persuade(
        self, made: Tensor, towards: Tensor, share: float, report: Report, pulls: Tensor
    ) -> Tensor:
        """The gradients of pictures, those of the critic added.

        It weighs as the pulls of the step before had it: those were the whole batch's, however it
        is divided. The pulls of here are added to those of this step.
        """
        assert self.critic is not None
        self.critic.requires_grad_(False)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            loss = -self.critic(made).float().mean()
        note(report, share, adversarial=loss)
        (judged,) = torch.autograd.grad(loss * share, made)
        for total, gradient in zip(pulls, (towards, judged), strict=True):
            total += pull(made, gradient, self._last_layer)
        factor = self.config.adversarial * self.adversarial_weight
        return towards + factor * judged

    def _teach_critic(self, real: Tensor, made: Tensor, share: float, report: Report) -> None:
        """Gather the critic's gradients."""
        assert self.critic is not None
        self.critic.requires_grad_(True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            loss = hinge(self.critic(real).float(), self.critic(made).float())
        note(report, share, critic=loss)
        (loss * share).backward()

    def _room_for_codes(self) -> Tensor:
        """Room for what an encoder with a codebook gives for a batch; none for others."""
        if not self.vae.has_codebook or self.config.decoder_only:
            return self.statistics.new_zeros(0)
        side = self.config.resolution // self.vae.factor
        return self.statistics.new_zeros(self.config.batch, self.vae.channels, side, side)

    def _keep_codes(self, raw: Tensor) -> None:
        """Note which codes the whole batch took, and bring back those that are forgotten."""
        if len(raw):
            drawn = generator(self.config.seed, self.step, "codes")
            self.vae.upkeep(Coded(raw, raw, raw=raw), drawn)

    def own_tensors(self) -> dict[str, Tensor]:
        """The critic's weight, and the statistics of latents."""
        return {"adversarial_weight": self.adversarial_weight, "statistics": self.statistics}

    def restore(self, tensors: dict[str, Tensor], step: int) -> None:
        """Take up copies of the state that `tensors` gave after a step."""
        learners.restore(tensors, self.networks, self.optimisers)
        self.adversarial_weight = tensors["adversarial_weight"].to(self.device, copy=True)
        self.statistics = tensors["statistics"].to(self.device, copy=True)
        self.step = step

    def latents(self) -> dict[str, list[float]]:
        """Mean, deviation and nats of latents, a number a channel; {} before the first step."""
        rows = self.statistics.double().cpu()
        if not rows[_WEIGHT].any():
            return {}
        mean, square, nats, _ = rows / rows[_WEIGHT]
        deviation = (square - mean.square()).clamp(min=0).sqrt()
        return {"mean": mean.tolist(), "std": deviation.tolist(), "kl": nats.tolist()}


def _network(config: VAEConfig, parent: LoadedVAE | None) -> Autoencoder:
    """The network that a run trains: with the first weights of its seed, or its parent's."""
    if parent is not None:
        return copy.deepcopy(parent.network)
    family, spec = config.network()
    made = build(family, spec)
    made.initialise(torch.Generator().manual_seed(config.seed))
    return made


@torch.no_grad()
def _statistics(coded: Coded, dtype: torch.dtype) -> Tensor:
    """Of each channel mean, mean square and nats a place, and what they weigh, `[4, c]`."""
    latents, over = coded.latents.detach().to(dtype), (0, 2, 3)
    nats = coded.kl().to(dtype).expand_as(latents).mean(dim=over)
    rows = [latents.mean(dim=over), latents.square().mean(dim=over), nats, torch.ones_like(nats)]
    return torch.stack(rows)
