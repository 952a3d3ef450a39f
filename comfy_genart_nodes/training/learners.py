"""Networks that learn, their optimisers and averages, and all of that as tensors by name."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

DTYPES = {"fp32": torch.float32, "bf16": torch.float32, "fp64": torch.float64}
"""Of weights, by precision; "bf16" computes in it, and "fp64" compares ways of computing."""

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Optimiser:
    """An optimiser and what it moves.

    Attributes:
        name: by which its moments are kept.
        adam: the optimiser.
        learning: what it moves, by name.
    """

    name: str
    adam: torch.optim.Optimizer
    learning: Mapping[str, nn.Parameter]


def adam(
    parameters: Sequence[nn.Parameter], rate: float, betas: tuple[float, float]
) -> torch.optim.Optimizer:
    """Adam, fused where the device has that."""
    fused = parameters[0].device.type in ("cpu", "cuda")
    return torch.optim.Adam(parameters, lr=rate, betas=betas, fused=fused)


def place(network: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Bring a network to where it learns, its weights in the order that is fast there.

    Those that normalise groups keep the plain order: in the other one, CPUs lose digits over areas
    of one colour (PyTorch's float32 GroupNorm was off by .09 there).
    """
    network.to(device, dtype)
    if not any(isinstance(layer, nn.GroupNorm) for layer in network.modules()):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


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
    for mean, current in zip(average.parameters(), trained.parameters(), strict=True):
        mean.lerp_(current, 1 - beta)
    for kept, now in zip(average.buffers(), trained.buffers(), strict=True):
        kept.copy_(now)


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
            for key, value in optimiser.adam.state[parameter].items():
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
        moments = _below(stored, optimiser.name)
        optimiser.adam.state.clear()
        for name, parameter in optimiser.learning.items() if moments else ():  # it has not begun
            optimiser.adam.state[parameter] = {
                key: _like(moments[f"{key}.{name}"], parameter) for key in _MOMENTS
            }


def _like(value: Tensor, parameter: nn.Parameter) -> Tensor:
    """A stored moment on the parameter's device, laid out as the parameter is."""
    if value.shape != parameter.shape:  # the count of steps
        return value.to(parameter.device, copy=True)
    return torch.empty_like(parameter).copy_(value).detach()


def _below(stored: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    start = prefix + "."
    return {name[len(start) :]: t for name, t in stored.items() if name.startswith(start)}
