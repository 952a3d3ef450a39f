"""Layers with the equalised learning rate that generator and discriminator share.

Weights are kept at unit variance and scaled when used (Karras et al. 2018, section 4.1), so that
one learning rate suits layers of every width.
"""

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import filters
from .convolving import convolve

SLOPE = 0.2
_ACTIVATION_GAIN = math.sqrt(2)


def leaky_relu(x: Tensor) -> Tensor:
    """Leaky ReLU that keeps the second moment of a normal input (slope .2, gain sqrt 2)."""
    return F.leaky_relu(x, SLOPE) * _ACTIVATION_GAIN


def normalize(x: Tensor) -> Tensor:
    """Scale every row of `[n, d]` to a mean square of one."""
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


def at_least_single(x: Tensor) -> Tensor:
    """In float32, or as it is where that is finer."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def full_precision(x: Tensor) -> AbstractContextManager[Any]:
    """Switch autocast off: styles, scores and losses need more than bf16's eight bits."""
    if x.device.type in ("cpu", "cuda", "mps", "xpu"):
        return torch.autocast(x.device.type, enabled=False)
    return nullcontext()


def reuse(x: Tensor) -> Tensor | None:
    """`x` where a result may take its memory (`out=reuse(x)`); None where gradients need it.

    Fresh memory costs a CPU more than most of what is computed into it. A compiler plans for
    itself.
    """
    return None if torch.is_grad_enabled() or torch.compiler.is_compiling() else x


class Linear(nn.Module):
    """Fully connected layer with equalised learning rate, `[n, d_in] -> [n, d_out]`.

    Args:
        d_in: features in.
        d_out: features out.
        bias: what the bias starts at.
        rate: factor on the layer's learning rate (.01 in the mapping network).
        activate: apply the leaky ReLU.
        fine: compute in float32 also where autocast lowers the convolutions.
    """

    def __init__(
        self,
        d_in: int,
        d_out: int,
        bias: float = 0.0,
        rate: float = 1.0,
        activate: bool = False,
        fine: bool = True,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(d_out, d_in))
        self.bias = nn.Parameter(torch.full((d_out,), bias / rate))
        self.rate = rate
        self.activate = activate
        self.fine = fine

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights."""
        nn.init.normal_(self.weight, std=1 / self.rate, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        with full_precision(x) if self.fine else nullcontext():
            # The features are scaled in place of the weights, of which there are more.
            x = x.to(self.weight.dtype) * (self.rate / math.sqrt(self.weight.shape[1]))
            bias = self.bias if self.rate == 1 else self.bias * self.rate
            y = F.linear(x, self.weight, bias)
        return leaky_relu(y) if self.activate else y


class Conv(nn.Module):
    """Convolution with equalised learning rate, `[n, c_in, h, w] -> [n, c_out, h', w']`.

    Args:
        c_in: channels in.
        c_out: channels out.
        kernel: side of the kernel, odd.
        resample: "same", "up" or "down" by two, filtered.
        bias: add a bias; none where the side doubles.
        activate: apply the leaky ReLU.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int,
        resample: str = "same",
        bias: bool = True,
        activate: bool = True,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(c_out, c_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(c_out)) if bias and resample != "up" else None
        self.resample = resample
        self.activate = activate

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights."""
        nn.init.normal_(self.weight, generator=generator)

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """Apply the layer, times a (positive) gain.

        Gains ride on the weights: leaky ReLU lets them pass.
        """
        if self.activate:
            gain *= _ACTIVATION_GAIN
        weight = self.weight * (gain / math.sqrt(self.weight[0].numel()))
        bias = None if self.bias is None else self.bias * gain
        if self.resample == "down":
            y = filters.convolve_downsampled(x, weight, bias)
        elif self.resample == "up":
            # A 1x1 kernel commutes with the filter and is cheapest before it.
            y = filters.upsample(convolve(x, weight))
        else:
            y = convolve(x, weight, padding=self.weight.shape[-1] // 2, bias=bias)
        return F.leaky_relu(y, SLOPE, inplace=True) if self.activate else y


def initialise(module: nn.Module, seed: int) -> None:
    """Draw every weight inside a module from one seed, in the order of its definition."""
    generator = torch.Generator().manual_seed(seed)
    for child in module.modules():
        draw = getattr(child, "initialise", None)
        if draw is not None:
            draw(generator)
