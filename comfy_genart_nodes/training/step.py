"""The networks of a run, their optimisers, and one step of them.

Every draw is a function of (seed, step, purpose, picture): nothing random has to be saved, what a
picture meets does not depend on how often the run was stopped, and a batch may be divided into
micro-batches and among processes.
"""

import copy
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from .. import transfer
from ..gan.networks import neighbour_norm
from ..gan.networks.generator import Generator
from . import ada, learners, losses
from .augment import augment
from .config import TrainConfig
from .draws import Draws, StepNoise
from .learners import DTYPES, Learning, Optimiser
from .log import Report, note
from .order import Order, shown
from .parents import Parent
from .players import one_hot, parts, players
from .recording import Recorder, capture
from .shortage import patiently
from .team import Team

# Lazy regularisation (Karras et al. 2020, section 3.1); R3GAN's penalties act at every step.
PENALTY_EVERY = {"logistic": 16, "minimax": 16, "hinge": 16, "r3gan": 1}
PATHS_EVERY = 4  # likewise, of path lengths
ADAPT_EVERY = 4  # steps, of ADA's p


class Training(Learning):
    """The networks of a run, their optimisers, and one step of them.

    Args:
        config: the run's settings.
        pictures: uint8 [n, 3, side, side].
        device: where to compute.
        precision: "fp32" or "bf16"; "fp64" to compare ways of computing the same.
        labels: [n], the class of each picture; None where they have none.
        left_out: places of pictures that are never shown.
        team: the processes that train together.
        parent: what the run goes on from.
    """

    config: TrainConfig

    def __init__(
        self,
        config: TrainConfig,
        pictures: np.ndarray,
        device: torch.device,
        precision: str,
        *,
        labels: np.ndarray | None = None,
        left_out: Sequence[int] = (),
        team: Team | None = None,
        parent: Parent | None = None,
    ) -> None:
        self.config, self.pictures, self.device = config, pictures, torch.device(device)
        self.team = team or Team()
        self.half, self.dtype = precision == "bf16", DTYPES[precision]
        self.labels = None if labels is None else torch.from_numpy(labels).long()
        self.classes = 0 if self.labels is None else int(self.labels.max()) + 1
        self.loss = losses.LOSSES[config.loss]
        self.step = 0
        self.rate_factor = 1.0
        self._kept: list[Tensor] | None = None
        self.path_mean = torch.zeros([], device=device, dtype=self.dtype)
        self.ada_p = 0.0
        self.signs = torch.zeros([], device=device)  # sum of means since ADA's p last moved
        self.players = players(config, self.classes, parent)
        self.share = self.team.share(config.batch, self.players.group)
        self.micro = len(self.share)
        self.g, self.d = self.players.generator, self.players.discriminator
        self.g_ema: Generator = copy.deepcopy(self.g).eval().requires_grad_(False)
        for network in (self.g, self.d, self.g_ema):
            learners.place(network, device, self.dtype)
        fixed = set(self.players.frozen(config.freeze_d))
        learning = {n: p for n, p in self.d.named_parameters() if p not in fixed}
        self.learning = list(learning.values())
        self.d.requires_grad_(False)
        rate, betas = config.rate * self.players.pace, self.players.betas
        generating = dict(self.g.named_parameters())
        self.networks = {"g": self.g, "g_ema": self.g_ema, "d": self.d}
        self.adam_g, self.adam_d = self.optimisers = [
            Optimiser(name, learners.adam([*moved.values()], pace, betas), moved, pace)
            for name, moved, pace in (
                ("adam_g", generating, rate),
                ("adam_d", learning, config.rate),
            )
        ]
        self.order = Order(len(pictures), config.seed, left_out)
        recorded = self.device.type == "cuda" and self.team.size == 1
        self.recorder = Recorder(partial(capture, self.device)) if recorded else None
        self._drawn: dict[range, Draws] = {}

    def advance(self) -> Report:
        """Take one step of both networks.

        Both learn from the same generated pictures: the discriminator from their values, the
        generator through them, judged by the discriminator just updated. Where memory runs out,
        fewer pictures at a time give the same gradients.

        Returns:
            Scalars, means over the batch: loss_g, loss_d, real and fake (mean scores), and r1 (and
            r2) at the steps that have them.
        """
        for draws in self._drawn.values():
            draws.step = self.step
        recorder = self.recorder
        if recorder and recorder.usable and len(self._pieces()) == 1:
            report = recorder.play(self._kind, self._teach, self.forget)
        else:
            report = self._teach()
        self.step += 1
        self.follow(self.g_ema, self.g)
        self.team.sum(list(report.values()))
        if self.config.ada_target is not None:
            self._adapt(report)
        return report

    @property
    def _kind(self) -> tuple[bool, bool, bool]:
        """What decides which kernels a step takes."""
        return self._penalised, self._evens_paths, self.ada_p == 0

    @property
    def _penalised(self) -> bool:
        """Whether R1 is regularised at this step."""
        return self.config.r1_weight > 0 and self.step % PENALTY_EVERY[self.config.loss] == 0

    def _teach(self) -> Report:
        report = {**self._teach_d(), **self._teach_g()}
        self._kept = None
        return report

    def forget(self) -> None:
        """Let go of what an unfinished step has gathered."""
        self._kept = None
        super().forget()

    def relieve(self) -> bool:
        """Do without recordings, whose memory nothing else can have; whether there were any."""
        if not (self.recorder and self.recorder.holds):
            return False
        self.recorder.stop("memory is short")
        return True

    def slow_down(self, factor: float) -> None:
        """Let the networks learn at so many times their first rate."""
        super().slow_down(factor)
        if self.recorder:
            self.recorder.forget()

    def _teach_d(self) -> Report:
        learners.switch(self.learning, True)
        report, w_mean = patiently(self, self._gather_d)
        statistics = neighbour_norm.met(self.g, self.config.batch)
        self.team.sum([w_mean, *statistics])
        neighbour_norm.remember(self.g, statistics)
        self.g.track(w_mean[None])
        self.adam_d.learn(self.team, self.rate_factor)
        self.players.settle()
        return report

    def _gather_d(self) -> tuple[Report, Tensor]:
        """The discriminator's gradients; what was like what, and the mean of w."""
        report: Report = {}
        pieces = self._pieces()
        # One piece is generated once; of several, none waits in memory for the generator's turn.
        alone = len(pieces) == 1
        w_mean = torch.zeros(self.g.spec.w_dim, device=self.device, dtype=self.dtype)
        neighbour_norm.forget(self.g)
        for piece in pieces:
            draws = self._draws(piece)
            with torch.set_grad_enabled(alone), self._autocast():
                fake, w = self._generate(draws)
            w_mean += w.detach().sum(dim=0) / self.config.batch
            self._discriminate([x.detach() for x in fake], draws, report)
            self._kept = fake if alone else None
        return report, w_mean

    def _teach_g(self) -> Report:
        learners.switch(self.learning, False)
        report, path_mean = patiently(self, self._gather_g)
        if self._evens_paths:
            self.team.sum([path_mean])
            self.path_mean.copy_(path_mean)
        self.adam_g.learn(self.team, self.rate_factor)
        return report

    @property
    def _evens_paths(self) -> bool:
        """Whether path lengths are regularised at this step."""
        return self.config.path_length > 0 and self.step % PATHS_EVERY == 0

    def _gather_g(self) -> tuple[Report, Tensor]:
        """The generator's gradients; what was like what, and the mean of path lengths."""
        report: Report = {}
        for piece in self._pieces():
            draws = self._draws(piece)
            fake, self._kept = self._kept, None
            if fake is None:
                with self._autocast():
                    fake, _ = self._generate(draws)
            self._criticise(fake, draws, report)
        return report, self._even_paths(report) if self._evens_paths else self.path_mean

    def _pieces(self) -> list[range]:
        return parts(self.share, self.micro, self.players.group)

    def _draws(self, piece: range) -> Draws:
        if piece not in self._drawn:
            give = self.recorder.give if self.recorder else transfer.give
            self._drawn[piece] = Draws(self.config.seed, self.step, piece, self.config.batch, give)
        return self._drawn[piece]

    def _normal(self, draws: Draws, purpose: str, *shape: int) -> Tensor:
        """Normal numbers, where they are needed."""
        return draws.give(lambda: draws.normal(purpose, *shape), self.device, self.dtype)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.half)

    def _augment(self, pictures: list[Tensor], draws: Draws, purpose: str) -> list[Tensor]:
        if self.config.ada_target is not None:
            if self.ada_p == 0:
                return pictures
            return [ada.augment(x, lambda: self.ada_p, draws, purpose) for x in pictures]
        return [augment(x, self.config.augment, draws, purpose) for x in pictures]

    def _generate(self, draws: Draws) -> tuple[list[Tensor], Tensor]:
        """Pictures with gradients to the generator where they are enabled, and their w."""
        z = self._normal(draws, "z", self.g.spec.z_dim)
        w = self.g.map(z, self._imagined(draws))
        noise = StepNoise(draws=draws, purpose="noise")
        return self.players.make(self._every_layer(w), noise), w

    def _every_layer(self, w: Tensor) -> Tensor:
        """`w [n, w_dim]` for each layer, `[n, num_ws, w_dim]`."""
        return w[:, None].expand(-1, self.g.spec.num_ws, -1)

    def _imagined(self, draws: Draws) -> Tensor | None:
        """The classes of generated pictures: as frequent as among the real ones."""
        if self.labels is None:
            return None

        def chosen() -> list[int]:
            likes = draws.integers("class", len(self.order.shown))
            return [self.order.shown[i] for i in likes.tolist()]

        return self._classes(chosen, draws)

    def _classes(self, places: Callable[[], list[int]], draws: Draws) -> Tensor:
        """The classes of pictures of the set."""
        labels, count = self.labels, self.classes
        assert labels is not None
        return draws.give(
            lambda: one_hot(labels[torch.tensor(places())], count), self.device, self.dtype
        )

    def _real(self, draws: Draws) -> tuple[list[Tensor], Tensor | None]:
        """Pictures, -1..1, some mirrored where the run asks for it, and their classes."""
        config = self.config
        real = shown(self.pictures, self.order, draws, config.mirror, self.device, self.dtype)
        if self.labels is None:
            return self.players.views(real), None
        return self.players.views(real), self._classes(lambda: self.order.part(draws), draws)

    def _discriminate(self, fake: list[Tensor], draws: Draws, report: Report) -> None:
        """Gather the discriminator's gradients, with R1 (at what it sees) every few steps."""
        every, penalised = PENALTY_EVERY[self.config.loss], self._penalised
        share = len(draws.part) / draws.total
        with self._autocast():
            pictures, classes = self._real(draws)
            real = [x.detach() for x in self._augment(pictures, draws, "augment real")]
            fake = self._augment(fake, draws, "augment fake")
            real[0].requires_grad_(penalised)
            fake[0].requires_grad_(penalised and self.loss.relative)
            both = classes, self._imagined(draws)
            score_real, score_fake, lesson = self.players.judge(real, fake, both, draws)
            loss = self.loss.discriminator(score_real, score_fake)
            note(report, share, loss_d=loss, real=score_real.mean(), fake=score_fake.mean())
            if lesson is not None:
                note(report, share, rebuilt=lesson)
                loss = loss + lesson
            if self.config.ada_target is not None:
                note(report, share, signs=score_real.sign().mean())
            if penalised:
                r1 = losses.r1_penalty(real[0], score_real)
                note(report, share, r1=r1)
                if self.loss.relative:  # R2: so that the game of pairs converges (R3GAN)
                    r2 = losses.r1_penalty(fake[0], score_fake)
                    note(report, share, r2=r2)
                    r1 = r1 + r2
                loss = loss + r1 * (self.config.r1_weight / 2 * every)
        (loss * share).backward()

    def _criticise(self, fake: list[Tensor], draws: Draws, report: Report) -> None:
        """Gather the generator's gradients."""
        share = len(draws.part) / draws.total
        with self._autocast():
            seen = self._augment(fake, draws, "augment g")
            score = self.players.score(seen, self._imagined(draws))
            loss = self.loss.generator(self._rivals(draws) if self.loss.relative else score, score)
        note(report, share, loss_g=loss)
        (loss * share).backward()

    def _even_paths(self, report: Report) -> Tensor:
        """Gather gradients towards steps in w that change every picture alike; the mean moved."""
        moved = torch.zeros_like(self.path_mean)
        for piece in self._pieces():
            draws = self._draws(piece)
            share = len(piece) / self.config.batch
            with self._autocast():
                z = self._normal(draws, "path z", self.g.spec.z_dim)
                ws = self._every_layer(self.g.map(z, self._imagined(draws)))
                if not ws.requires_grad:  # of a family whose w is z
                    ws = ws.clone().requires_grad_()
                noise = StepNoise(draws=draws, purpose="path noise")
                made = self.players.make(ws, noise)[0]
                direction = self._normal(draws, "path direction", *made.shape[1:])
                uneven, mean = losses.path_length_penalty(made, ws, self.path_mean, direction)
            moved += mean * share
            note(report, share, path=uneven.mean())
            (uneven.mean() * (share * self.config.path_length * PATHS_EVERY)).backward()
        return moved

    def _adapt(self, report: Report) -> None:
        """Let ADA's p follow the signs of the scores of real pictures."""
        self.signs += report.pop("signs")
        if self.step % ADAPT_EVERY == 0:
            target, signs = self.config.ada_target, float(self.signs) / ADAPT_EVERY
            assert target is not None
            self.ada_p = ada.adapted(self.ada_p, signs, target, ADAPT_EVERY * self.config.batch)
            self.signs.zero_()
        report["ada_p"] = torch.tensor(self.ada_p)

    @torch.no_grad()
    def _rivals(self, draws: Draws) -> Tensor:
        """Scores of the real pictures that generated ones are paired with."""
        pictures, classes = self._real(draws)
        return self.players.score(self._augment(pictures, draws, "augment rival"), classes)

    def own_tensors(self) -> dict[str, Tensor]:
        """The mean of path lengths, and ADA's state."""
        return {"path_mean": self.path_mean, "ada": torch.tensor([self.ada_p, float(self.signs)])}

    def restore(self, tensors: dict[str, Tensor], step: int) -> None:
        """Take up copies of the state that `tensors` gave after a step."""
        learners.restore(tensors, self.networks, self.optimisers)
        # Runs from before these had neither.
        self.path_mean.copy_(tensors.get("path_mean", self.path_mean))
        if "ada" in tensors:
            self.ada_p = float(tensors["ada"][0])
            self.signs.fill_(tensors["ada"][1])
        self.step = step
        if self.recorder:
            self.recorder.forget()
