"""Muon (Jordan et al. 2024): steps whose matrices turn all directions alike.

A gradient's matrix has a few large singular values, and steps along it teach the network little
else. Here all of them are made about 1 first.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

_MOMENTUM = 0.95
_ROUNDS = 5
_POLYNOMIAL = (3.4445, -4.7750, 2.0315)
"""Newton-Schulz with the paper's coefficients: singular values come between .7 and 1.2."""
_LIKE_ADAM = 0.2
"""So many times the rate is an entry of Adam's steps (Liu et al. 2025): one rate does for both."""
_FEWEST = 16
_NOTHING = 1e-8
"""Gradients so small tell nothing; made as long as others, they would be steps at random."""


def takes(parameter: nn.Parameter) -> bool:
    """Whether Muon is for it: a matrix, or kernels, between two layers of many channels."""
    return parameter.ndim >= 2 and min(parameter.shape[:2]) >= _FEWEST


def orthogonal(matrices: Tensor) -> Tensor:
    """Matrices with the singular vectors of those given, and singular values near 1.

    Args:
        matrices: `[n, rows, columns]`; one of nearly nothing stays nearly nothing.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + _NOTHING)
    a, b, c = _POLYNOMIAL
    for _ in range(_ROUNDS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum whose steps are made orthogonal; those of one shape at a time.

    Args:
        parameters: for which `takes` is true.
        rate: of learning, as Adam has it.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], rate: float) -> None:
        super().__init__(parameters, {"lr": rate})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        for group in self.param_groups:
            alike: dict[torch.Size, list[nn.Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike.setdefault(parameter.shape, []).append(parameter)
            for parameters in alike.values():
                self._move(parameters, group["lr"])

    def _move(self, parameters: list[nn.Parameter], rate: float) -> None:
        """Move parameters of one shape, whose kernels are one matrix each."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        looks = []
        for parameter, gradient in zip(parameters, gradients, strict=True):
            state = self.state[parameter]
            if not state:
                state["momentum"] = torch.zeros_like(parameter)
            state["momentum"].lerp_(gradient, 1 - _MOMENTUM)
            looks.append(gradient.lerp(state["momentum"], _MOMENTUM).flatten(1))  # Nesterov's
        steps = orthogonal(torch.stack(looks))
        scale = _LIKE_ADAM * max(steps.shape[1:]) ** 0.5
        for parameter, change in zip(parameters, steps, strict=True):
            parameter.sub_(change.view(parameter.shape), alpha=rate * scale)
