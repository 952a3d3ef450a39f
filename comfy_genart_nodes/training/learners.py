"""Networks that learn, their optimisers and averages, and all of that as tensors by name."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..gan.networks.stylegan2 import StyledConv
from .run_config import RunConfig
from .team import Team

DTYPES = {"fp32": torch.float32, "bf16": torch.float32, "fp64": torch.float64}
"""Of weights, by precision; "bf16" computes in it, and "fp64" compares ways of computing."""

EMA_RAMP_UP = 0.05
"""The moving average is never longer than this part of the run so far."""


@dataclass(frozen=True)
class Optimiser:
    """An optimiser and what it moves.

    Attributes:
        name: by which its moments are kept.
        method: the optimiser.
        learning: what it moves, by name.
        rate: its first learning rate.
    """

    name: str
    method: torch.optim.Optimizer
    learning: Mapping[str, nn.Parameter]
    rate: float

    def learn(self, team: Team, pace: float) -> None:
        """Take a step along the gradients of the whole batch, at so many times the first rate."""
        team.sum([p.grad for p in self.learning.values() if p.grad is not None])
        for group in self.method.param_groups:
            group["lr"] = self.rate * pace
        self.method.step()
        self.method.zero_grad()


class Learning(ABC):
    """What learns, step by step, whatever kind of network it is.

    Attributes:
        config: the run's settings.
        device: where it computes.
        dtype: of its weights.
        team: the processes that train together.
        networks: by the names that their tensors begin with.
        optimisers: of those that learn.
        step: how many steps it has taken.
        rate_factor: times its first learning rate.
    """

    config: RunConfig
    device: torch.device
    dtype: torch.dtype
    team: Team
    networks: Mapping[str, nn.Module]
    optimisers: Sequence[Optimiser]
    step: int
    rate_factor: float

    @abstractmethod
    def own_tensors(self) -> dict[str, Tensor]:
        """What a checkpoint must hold besides networks and moments, by name."""

    def slow_down(self, factor: float) -> None:
        """Let the networks learn at so many times their first rate."""
        self.rate_factor = factor

    def forget(self) -> None:
        """Let go of what an unfinished step has gathered."""
        for optimiser in self.optimisers:
            optimiser.method.zero_grad()

    def relieve(self) -> bool:
        """Give back memory that only saves time; whether there was any."""
        return False

    def tensors(self) -> dict[str, Tensor]:
        """Everything that a checkpoint must hold, by name."""
        return self.own_tensors() | tensors(self.networks, self.optimisers)

    @property
    def astray(self) -> bool:
        """Whether anything in the state is not a number."""
        return not all(bool(t.isfinite().all()) for t in self.tensors().values())

    def follow(self, average: nn.Module, trained: nn.Module) -> None:
        """Move an averaged network towards the trained one, after a step."""
        half_life = self.config.ema_kimg * 1000
        if self.config.parent is None:  # else the average is good from the start
            half_life = min(half_life, self.step * self.config.batch * EMA_RAMP_UP)
        move_average(average, trained, half_life, self.config.batch)


def adam(
    parameters: Sequence[nn.Parameter], rate: float, betas: tuple[float, float]
) -> torch.optim.Optimizer:
    """Adam, fused where the device has that, and such that a card can record it."""
    kind = parameters[0].device.type
    fused, capturable = kind in ("cpu", "cuda"), kind == "cuda"
    return torch.optim.Adam(parameters, lr=rate, betas=betas, fused=fused, capturable=capturable)


def place(network: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Bring a network to where it learns, its weights in the order that is fast there.

    Those that normalise groups keep the plain order: in the other one, CPUs lose digits over areas
    of one colour (PyTorch's float32 GroupNorm was off by .09 there).
    """
    network.to(device, dtype)
    if not any(isinstance(layer, nn.GroupNorm) for layer in network.modules()):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for layer in network.modules():
        if isinstance(layer, StyledConv):
            layer.arrange()


def switch(parameters: Iterable[nn.Parameter], on: bool) -> None:
    """Let parameters have gradients, or none."""
    for parameter in parameters:
        parameter.requires_grad_(on)


@torch.no_grad()
def move_average(average: nn.Module, trained: nn.Module, half_life: float, seen: int) -> None:
    """Move an averaged network towards the trained one; buffers are those of the trained one.

    Args:
        average: the averaged network.
        trained: the trained one.
        half_life: of what lies behind, in pictures.
        seen: pictures since it last moved.
    """
    beta = 0.5 ** (seen / max(half_life, 1e-8))
    # Many small tensors at once: a card is done with each before the CPU has ordered the next.
    torch._foreach_lerp_([*average.parameters()], [*trained.parameters()], 1 - beta)
    buffers = [*average.buffers()]
    if buffers:
        torch._foreach_copy_(buffers, [*trained.buffers()])


def tensors(
    networks: Mapping[str, nn.Module], optimisers: Iterable[Optimiser]
) -> dict[str, Tensor]:
    """Everything that learns, by name."""
    found = {
        f"{prefix}.{name}": tensor
        for prefix, network in networks.items()
        for name, tensor in network.state_dict().items()
    }
    for optimiser in optimisers:
        for name, parameter in optimiser.learning.items():
            for key, value in optimiser.method.state[parameter].items():
                found[f"{optimiser.name}.{key}.{name}"] = value
    return found


def restore(
    stored: Mapping[str, Tensor],
    networks: Mapping[str, nn.Module],
    optimisers: Iterable[Optimiser],
) -> None:
    """Take up copies of what `tensors` gave."""
    for prefix, network in networks.items():
        network.load_state_dict(_below(stored, prefix))
    for optimiser in optimisers:
        optimiser.method.state.clear()
        for name, value in _below(stored, optimiser.name).items():  # none where it has not begun
            key, _, owner = name.partition(".")
            parameter = optimiser.learning[owner]
            optimiser.method.state[parameter][key] = _like(value, parameter)


def _like(value: Tensor, parameter: nn.Parameter) -> Tensor:
    """A stored moment on the parameter's device, laid out as the parameter is."""
    if value.shape != parameter.shape:  # the count of steps
        return value.to(parameter.device, copy=True)
    return torch.empty_like(parameter).copy_(value).detach()


def _below(stored: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    start = prefix + "."
    return {name[len(start) :]: t for name, t in stored.items() if name.startswith(start)}
