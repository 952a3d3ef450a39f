"""The networks of a run, their optimisers, and one step of them.

Every draw is a function of (seed, step, purpose): nothing random has to be saved, and what a
picture meets does not depend on how often the run was stopped.
"""

import copy
import hashlib
from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ..gan.networks.discriminator import Discriminator, DiscriminatorSpec
from ..gan.networks.generator import Noise
from ..gan.networks.layers import initialise
from ..gan.networks.stylegan2 import StyleGAN2
from . import losses
from .augment import augment
from .config import TrainConfig

R1_EVERY = 16  # lazy regularisation (Karras et al. 2020, section 3.1)
EMA_RAMP_UP = 0.05  # the moving average is never longer than this part of the run so far


def draws(seed: int, step: int, purpose: str) -> torch.Generator:
    """The random generator of one purpose at one step."""
    digest = hashlib.sha256(f"{seed} {step} {purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


class Order:
    """Which pictures each step sees: every epoch all of them, in an order of its own.

    Args:
        count: how many pictures there are.
        seed: the run's.
    """

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed = count, seed
        self._epoch, self._places = -1, torch.empty(0, dtype=torch.long)

    def batch(self, step: int, size: int) -> list[int]:
        """The indices of a step's pictures."""
        return [self._at(step * size + i) for i in range(size)]

    def _at(self, place: int) -> int:
        epoch, within = divmod(place, self.count)
        if epoch != self._epoch:
            self._places = torch.randperm(self.count, generator=draws(self.seed, epoch, "order"))
            self._epoch = epoch
        return int(self._places[within])


class Training:
    """The networks of a run, their optimisers, and one step of them.

    Args:
        config: the run's settings.
        pictures: uint8 [n, 3, side, side].
        device: where to compute.
        precision: "fp32" or "bf16".
    """

    def __init__(
        self, config: TrainConfig, pictures: np.ndarray, device: torch.device, precision: str
    ) -> None:
        self.config, self.pictures, self.device = config, pictures, device
        self.half = precision == "bf16"
        self.step = 0
        self.g = StyleGAN2(config.spec)
        self.d = Discriminator(DiscriminatorSpec.against(config.spec))
        initialise(self.g, config.seed)
        initialise(self.d, config.seed + 1)
        self.g_ema = copy.deepcopy(self.g).eval().requires_grad_(False)
        for network in (self.g, self.d, self.g_ema):
            network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.adam_g = _adam(self.g, config.rate)
        self.adam_d = _adam(self.d, config.rate)
        self.order = Order(len(pictures), config.seed)

    def advance(self) -> dict[str, Tensor]:
        """Take one step of both networks.

        Both learn from the same generated pictures: the discriminator from their values, the
        generator through them, judged by the discriminator just updated.

        Returns:
            Scalars: loss_g, loss_d, real and fake (mean scores), and r1 at the steps that have it.
        """
        report: dict[str, Tensor] = {}
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            fake = self._generate()
            self.d.requires_grad_(True)
            loss = self._discriminate(fake.detach(), report)
            loss.backward()
            self.adam_d.step()
            self.adam_d.zero_grad()
            self.d.requires_grad_(False)
            loss_g = losses.generator_loss(self.d(self._augment(fake, "augment g")))
            report["loss_g"] = loss_g.detach()
            loss_g.backward()
        self.adam_g.step()
        self.adam_g.zero_grad()
        self.step += 1
        self._average()
        return report

    def _draws(self, purpose: str) -> torch.Generator:
        return draws(self.config.seed, self.step, purpose)

    def _augment(self, x: Tensor, purpose: str) -> Tensor:
        return augment(x, self.config.augment, self._draws(purpose))

    def _generate(self) -> Tensor:
        """One batch, with gradients to the generator."""
        shape = (self.config.batch, self.config.z_dim)
        z = torch.randn(shape, generator=self._draws("z")).to(self.device)
        w = self.g.mapping(z)
        self.g.mapping.track(w)
        ws = w[:, None].expand(-1, self.g.spec.num_ws, -1)
        return self.g.synthesis(ws, Noise("random", generators=[self._draws("noise")]))

    def _real(self) -> Tensor:
        """One batch of pictures, -1..1, some mirrored where the run asks for it."""
        indices = self.order.batch(self.step, self.config.batch)
        batch = torch.from_numpy(np.stack([self.pictures[i] for i in indices]))
        real = batch.to(self.device, memory_format=torch.channels_last).float() / 127.5 - 1
        if self.config.mirror:
            turn = torch.rand(len(real), 1, 1, 1, generator=self._draws("mirror")) < 0.5
            real = torch.where(turn.to(self.device), real.flip(3), real)
        return real

    def _discriminate(self, fake: Tensor, report: dict[str, Tensor]) -> Tensor:
        """The discriminator's loss, with R1 (at what it sees) every few steps."""
        penalised = self.step % R1_EVERY == 0
        real = self._augment(self._real(), "augment real").detach()
        real.requires_grad_(penalised)
        score_real = self.d(real)
        score_fake = self.d(self._augment(fake, "augment fake"))
        loss = losses.discriminator_loss(score_real, score_fake)
        report["loss_d"] = loss.detach()
        report["real"], report["fake"] = score_real.detach().mean(), score_fake.detach().mean()
        if penalised:
            r1 = losses.r1_penalty(real, score_real)
            report["r1"] = r1.detach()
            loss = loss + r1 * (self.config.r1_weight / 2 * R1_EVERY)
        return loss

    @torch.no_grad()
    def _average(self) -> None:
        """Move the averaged generator towards the trained one."""
        seen = self.step * self.config.batch
        half_life = min(self.config.ema_kimg * 1000, seen * EMA_RAMP_UP)
        beta = 0.5 ** (self.config.batch / max(half_life, 1e-8))
        for mean, trained in zip(self.g_ema.parameters(), self.g.parameters(), strict=True):
            mean.lerp_(trained, 1 - beta)
        for kept, current in zip(self.g_ema.buffers(), self.g.buffers(), strict=True):
            kept.copy_(current)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that a checkpoint must hold, by name."""
        found: dict[str, Tensor] = {}
        for prefix, network in self._networks():
            found |= {f"{prefix}.{name}": t for name, t in network.state_dict().items()}
        for prefix, network, adam in self._optimisers():
            for name, parameter in network.named_parameters():
                for key, value in adam.state[parameter].items():
                    found[f"{prefix}.{key}.{name}"] = value
        return found

    def restore(self, tensors: dict[str, Tensor], step: int) -> None:
        """Take up the state that `tensors` gave after a step."""
        for prefix, network in self._networks():
            network.load_state_dict(_below(tensors, prefix))
        for prefix, network, adam in self._optimisers():
            stored = _below(tensors, prefix)
            for name, parameter in network.named_parameters():
                adam.state[parameter] = {
                    key: self._like(stored[f"{key}.{name}"], parameter)
                    for key in ("step", "exp_avg", "exp_avg_sq")
                }
        self.step = step

    def _like(self, value: Tensor, parameter: nn.Parameter) -> Tensor:
        """A stored moment on the parameter's device, laid out as the parameter is."""
        if value.shape != parameter.shape:  # the count of steps
            return value.to(self.device)
        return torch.empty_like(parameter).copy_(value).detach()

    def _networks(self) -> Iterator[tuple[str, nn.Module]]:
        yield from (("g", self.g), ("g_ema", self.g_ema), ("d", self.d))

    def _optimisers(self) -> Iterator[tuple[str, nn.Module, torch.optim.Optimizer]]:
        yield from (("adam_g", self.g, self.adam_g), ("adam_d", self.d, self.adam_d))

    @torch.no_grad()
    def sheet(self) -> Image.Image:
        """A sheet of what the averaged generator makes of the run's fixed latents."""
        side = self.config.resolution
        columns = min(max(1024 // side, 2), 8)
        shape = (columns * max(columns // 2, 1), self.config.z_dim)
        z = torch.randn(shape, generator=draws(self.config.seed, 0, "sheet"))
        rows: list[Tensor] = []
        for part in z.split(columns):
            w = self.g_ema.mapping(part.to(self.device))
            ws = w[:, None].expand(-1, self.g.spec.num_ws, -1)
            rows.append(torch.cat(list(self.g_ema.synthesis(ws, Noise()).cpu()), dim=2))
        pixels = (torch.cat(rows, dim=1) * 127.5 + 128).clamp(0, 255).byte()
        return Image.fromarray(pixels.permute(1, 2, 0).numpy())


def _adam(network: nn.Module, rate: float) -> torch.optim.Optimizer:
    device = next(network.parameters()).device.type
    return torch.optim.Adam(
        network.parameters(), lr=rate, betas=(0.0, 0.99), fused=device in ("cpu", "cuda")
    )


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    start = prefix + "."
    return {name[len(start) :]: t for name, t in tensors.items() if name.startswith(start)}
