"""Convolution whose weights get their gradient in the order that a CPU is fast at.

Features lie channels last, which is fastest for everything but this: oneDNN computes the gradient
of a 3x3 kernel from large features three to six times as fast where they lie channel by channel
(on AVX2), and copying them costs next to nothing.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_LEAST = 1 << 19  # numbers a picture; of fewer the copies cost what they save


def convolve(
    x: Tensor, weight: Tensor, stride: int = 1, padding: int = 0, transposed: bool = False
) -> Tensor:
    """`F.conv2d`, or `F.conv_transpose2d`, with gradients of any order.

    Args:
        x: [n, c, h, w].
        weight: [k, c, a, a]; transposed, [c, k, a, a].
        stride: of both axes.
        padding: of all sides.
        transposed: spread `x` out by the stride.
    """
    if _pays(x, weight):
        return _Convolution.apply(x, weight, stride, padding, transposed)
    plain = F.conv_transpose2d if transposed else F.conv2d
    return plain(x, weight, stride=stride, padding=padding)


def _pays(x: Tensor, weight: Tensor) -> bool:
    if not torch.is_grad_enabled() or torch.compiler.is_compiling() or x.device.type != "cpu":
        return False
    if torch.is_autocast_enabled("cpu") or x.dtype != torch.float32:
        return False
    return weight.requires_grad and weight.shape[-1] > 1 and x[0].numel() >= _LEAST


class _Convolution(torch.autograd.Function):
    """The operation itself; its gradients are operations that have gradients of their own."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int, transposed: bool
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.how = (stride, padding, transposed)
        return torch.convolution(
            x, weight, None, [stride] * 2, [padding] * 2, [1, 1], transposed, [0, 0], 1
        )

    @staticmethod
    def backward(
        ctx: Any, *slopes: Tensor
    ) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        (slope,), (x, weight) = slopes, ctx.saved_tensors
        of_x, of_weight = None, None
        if ctx.needs_input_grad[0]:
            of_x = _slopes(slope, x, weight, ctx.how, [True, False, False])[0]
        if ctx.needs_input_grad[1]:
            a, b, c = slope.contiguous(), x.contiguous(), weight.contiguous()
            of_weight = _slopes(a, b, c, ctx.how, [False, True, False])[1]
        return of_x, of_weight, None, None, None


def _slopes(
    slope: Tensor, x: Tensor, weight: Tensor, how: tuple[int, int, bool], wanted: list[bool]
) -> tuple[Tensor, Tensor, Tensor]:
    stride, padding, transposed = how
    found: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        slope, x, weight, None, [stride] * 2, [padding] * 2, [1, 1], transposed, [0, 0], 1, wanted
    )
    return found
