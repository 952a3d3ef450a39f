"""What runs in the trainer process: steps of a GAN, from a run folder into it.

A resumed run is identical to one that was never stopped: every draw is a function of (seed, step,
purpose), the number of threads is part of the run, and a checkpoint holds the rest.
"""

import copy
import ctypes
import dataclasses
import hashlib
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ..errors import GenartError
from ..files import replace, written
from ..gan import checkpoint
from ..gan.discriminator import Discriminator, DiscriminatorSpec
from ..gan.layers import initialise
from ..gan.stylegan2 import Generator
from . import losses
from .augment import augment
from .config import TrainConfig
from .run_folder import RunFolder

Outcome = Literal["finished", "stopped"]

R1_EVERY = 16  # lazy regularisation (Karras et al. 2020, section 3.1)
EMA_RAMP_UP = 0.05  # the moving average is never longer than this part of the run so far
LOG_SECONDS = 1.0
KEEP_CHECKPOINTS = 2  # the newest, and one to fall back on


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
        self.g = Generator(config.spec)
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
        return self.g.synthesis(ws, "random", [self._draws("noise")])

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
            rows.append(torch.cat(list(self.g_ema.synthesis(ws).cpu()), dim=2))
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


def train(
    folder: Path,
    should_stop: Callable[[], bool],
    listen: Callable[[dict[str, Any]], None] = lambda event: None,
) -> Outcome:
    """Train the run in a folder until its stop rule, or until asked to stop.

    Args:
        folder: a run folder that `run_folder.prepare` made.
        should_stop: asked after every step; a checkpoint is written before it is obeyed.
        listen: hears every event that is recorded.

    Raises:
        GenartError: when the run is being trained already, cannot be read, or its losses are not
            numbers any more.
    """
    run = RunFolder(folder)
    with run.locked():
        try:
            return _Session(run, should_stop, listen).train()
        except Exception as error:
            event = {"event": "failed", "reason": _sentence(error), "time": time.time()}
            with suppress(GenartError):  # a full disk, most likely what has just been met
                run.record(event)
            listen(event)
            if _is_shortage(error):
                raise GenartError(_sentence(error)) from error
            raise


def _is_shortage(error: Exception) -> bool:
    """Whether memory ran out; the CPU's allocator has no error type of its own."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def _sentence(error: Exception) -> str:
    if isinstance(error, GenartError):
        return str(error)
    if _is_shortage(error):
        return "The device has too little memory for this training: lower the batch or resolution."
    return f"Training failed with {type(error).__name__}: {error}"


class _Session:
    """One stretch of a run, from its newest checkpoint to its end or to a stop."""

    def __init__(
        self,
        run: RunFolder,
        should_stop: Callable[[], bool],
        listen: Callable[[dict[str, Any]], None],
    ) -> None:
        self.run, self.should_stop, self.listen = run, should_stop, listen
        config = run.config
        torch.set_num_threads(int(run.machine["threads"]))
        _retain_heap()
        pictures = np.load(run.path / "pictures.npy", mmap_mode="r")
        device = torch.device(run.machine["device"])
        self.training = Training(config, pictures, device, run.machine["precision"])
        self.checkpoint_steps = _every(config.checkpoint_kimg, config)
        self.sample_steps = _every(config.sample_kimg, config)

    def train(self) -> Outcome:
        """Step until the end."""
        last = self.run.config.last_step
        training = self.training
        self._sweep()
        if self._resume():
            self._record("resumed")
        else:
            self._record("started")
            self._sample()
        began = training.step
        log = _Log(began, self.run.config.batch)
        while training.step < last:
            if self.should_stop():
                if training.step > began:
                    self._checkpoint(log)
                self._record("stopped")
                return "stopped"
            log.add(training.advance())
            done = training.step == last
            if done or training.step % self.checkpoint_steps == 0:
                self._checkpoint(log)
            elif log.due():
                self._report(log)
            if done or training.step % self.sample_steps == 0:
                self._sample()
        self._record("finished")
        return "finished"

    def _sweep(self) -> None:
        """Remove what a process that was killed was writing."""
        for name in ("checkpoints", "samples"):
            for left in (self.run.path / name).glob(".*.tmp"):
                left.unlink(missing_ok=True)

    def _report(self, log: "_Log") -> None:
        """Record what the steps since the last report were like; refuses losses gone astray."""
        if log.sums:
            self._record("progress", **log.summary(self.training.step))

    def _record(self, kind: str, **values: Any) -> None:
        step = self.training.step
        kimg = round(step * self.run.config.batch / 1000, 6)
        event = {"event": kind, "step": step, "kimg": kimg, "time": time.time(), **values}
        self.run.record(event)
        self.listen(event)

    def _resume(self) -> bool:
        """Take up the newest checkpoint that can be read; put aside those that could not.

        Raises:
            GenartError: when there are checkpoints and none can be read: what is left may still
                be mended, so nothing begins anew over it.
        """
        unreadable: list[Path] = []
        for path in reversed(self.run.checkpoints):
            try:
                header = checkpoint.read_header(path)
                self.training.restore(checkpoint.read(path), int(header["step"]))
            except (GenartError, KeyError, RuntimeError) as error:
                self._record("unreadable", file=path.name, reason=str(error))
                unreadable.append(path)
            else:
                for broken in unreadable:
                    replace(broken, broken.with_suffix(".unreadable"))
                return True
        if unreadable:
            raise GenartError(
                f"None of the checkpoints in {unreadable[0].parent} can be read: restore one of "
                "them, or begin again under a new name."
            )
        return False

    def _checkpoint(self, log: "_Log") -> None:
        """Write the state, then let go of checkpoints older than the one before."""
        self._report(log)  # first: no state with losses that are not numbers is worth keeping
        step = self.training.step
        config = self.run.config
        path = self.run.checkpoint_path(step)
        header = {
            "family": "stylegan2",
            "spec": dataclasses.asdict(config.spec),
            "info": training_info(config, step, len(self.training.pictures)),
            "step": step,
        }
        if not path.exists():
            checkpoint.write(path, self.training.tensors(), header)
        checkpoint.read_header(path)  # before an older one goes
        for old in self.run.checkpoints[:-KEEP_CHECKPOINTS]:
            with suppress(PermissionError):  # Windows: another program reads it; next time
                old.unlink(missing_ok=True)
        self._record("checkpoint", file=f"checkpoints/{path.name}")

    def _sample(self) -> None:
        path = self.run.sample_path(self.training.step)
        with written(path) as temporary:
            self.training.sheet().save(temporary, format="PNG")
        self._record("samples", file=f"samples/{path.name}")


def training_info(config: TrainConfig, step: int, pictures: int) -> dict[str, Any]:
    """What a checkpoint tells of how it was made."""
    settings = config.to_json()
    for rule in ("kimg", "steps"):
        settings.pop(rule)
    kimg = round(step * config.batch / 1000, 6)
    return {"training": {"kimg": kimg, "step": step, "pictures": pictures, "settings": settings}}


def _every(kimg: float, config: TrainConfig) -> int:
    return max(1, round(kimg * 1000 / config.batch))


def _retain_heap() -> None:
    """Keep freed memory in the process (Linux): page faults cost a CPU step a fifth of its time.

    What glibc's mallopt(3) calls M_MMAP_THRESHOLD and M_TRIM_THRESHOLD.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(-3, 1 << 30)
            libc.mallopt(-1, (1 << 31) - 1)


class _Log:
    """Means of the losses since the last report, about once a second."""

    def __init__(self, step: int, batch: int) -> None:
        self.sums: dict[str, list[Tensor]] = {}
        self.since, self.step, self.batch = time.monotonic(), step, batch

    def add(self, report: dict[str, Tensor]) -> None:
        for name, value in report.items():
            self.sums.setdefault(name, []).append(value)

    def due(self) -> bool:
        return time.monotonic() - self.since >= LOG_SECONDS

    def summary(self, step: int) -> dict[str, float]:
        """The means, and pictures a second; starts anew.

        Raises:
            GenartError: when a loss is not a number.
        """
        now = time.monotonic()
        means = {n: float(torch.stack(v).float().mean()) for n, v in self.sums.items()}
        broken = [name for name, value in means.items() if not math.isfinite(value)]
        if broken:
            raise GenartError(
                f"{broken[0]} became {means[broken[0]]} at step {step}: begin again under a new "
                "name with a lower learning rate (--rate)."
            )
        speed = (step - self.step) * self.batch / max(now - self.since, 1e-9)
        self.sums, self.since, self.step = {}, now, step
        return {**means, "pictures_per_second": round(speed, 3)}
