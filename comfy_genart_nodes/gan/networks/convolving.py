"""Convolutions whose gradients, of any order, are the convolutions that libraries are fast at.

A convolution is a form of three arguments, linear in each: features, kernel, and what they give.
Leave one out and what remains is an operation: the convolution, its transpose, and the gradient of
the kernel. Each one's gradients are the other two. PyTorch knows that for first gradients; the
second, which penalties on gradients need, it computes with kernels as large as a picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from . import few_places

Sides = tuple[int, int]

_LEAST = 1 << 19  # numbers a picture; of fewer the copies cost what they save


@dataclass(frozen=True)
class _How:
    """Stride and padding of all sides."""

    stride: int
    padding: int

    def reached(self, x: Tensor, kernel: int) -> Sides:
        """The sides of what a kernel of a side gives of `x`."""
        high, wide = ((a + 2 * self.padding - kernel) // self.stride + 1 for a in x.shape[2:])
        return high, wide


def convolve(
    x: Tensor,
    weight: Tensor,
    stride: int = 1,
    padding: int = 0,
    transposed: bool = False,
    bias: Tensor | None = None,
) -> Tensor:
    """`F.conv2d`, or `F.conv_transpose2d`, with gradients of any order.

    Args:
        x: [n, c, h, w].
        weight: [k, c, a, a]; transposed, [c, k, a, a].
        stride: of both axes.
        padding: of all sides.
        transposed: spread `x` out by the stride.
        bias: [k], added to every place; transposed, none.
    """
    if not torch.is_grad_enabled() or torch.compiler.is_compiling():
        plain = F.conv_transpose2d if transposed else F.conv2d
        return plain(x, weight, bias, stride=stride, padding=padding)
    if torch.is_autocast_enabled(x.device.type):
        dtype = torch.get_autocast_dtype(x.device.type)
        x, weight = x.to(dtype), weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
    how = _How(stride, padding)
    if not transposed:
        return _Convolution.apply(x, weight, bias, how)
    height, width = ((side - 1) * stride - 2 * padding + weight.shape[2] for side in x.shape[2:])
    return _Transpose.apply(x, weight, how, (height, width))


class _Convolution(torch.autograd.Function):
    """Features and kernel to what they give; a bias is added before anything is rounded."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, how: _How) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.how = how
        sides = how.reached(x, weight.shape[2])
        if few_places.pay(weight.shape, x, sides):
            return few_places.convolve(x, weight, bias, how.stride, how.padding)
        return F.conv2d(x, weight, bias, stride=how.stride, padding=how.padding)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        (y,), (x, weight) = slopes, ctx.saved_tensors
        of_x, of_weight, of_bias, _ = ctx.needs_input_grad
        return (
            _Transpose.apply(y, weight, ctx.how, (x.shape[2], x.shape[3])) if of_x else None,
            _Kernel.apply(x, y, ctx.how, weight.shape) if of_weight else None,
            y.sum(dim=(0, 2, 3)) if of_bias else None,
            None,
        )


class _Transpose(torch.autograd.Function):
    """What features and kernel gave, and the kernel, to features of some sides."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, weight: Tensor, how: _How, sides: Sides) -> Tensor:
        ctx.save_for_backward(y, weight)
        ctx.how = how
        if few_places.pay(weight.shape, y, y.shape[2:]):
            return few_places.transpose(y, weight, how.stride, how.padding, sides)
        x = _unset((len(y), weight.shape[1], *sides), y)
        return _gradients(x, y, weight, how, [True, False, False])[0]

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        (x,), (y, weight), (of_y, of_weight, *_) = slopes, ctx.saved_tensors, ctx.needs_input_grad
        return (
            _Convolution.apply(x, weight, None, ctx.how) if of_y else None,
            _Kernel.apply(x, y, ctx.how, weight.shape) if of_weight else None,
            None,
            None,
        )


class _Kernel(torch.autograd.Function):
    """Features and what they and a kernel gave to the kernel's gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, how: _How, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(x, y)
        ctx.how = how
        if few_places.pay(shape, y, y.shape[2:]):
            return few_places.kernel(x, y, shape[2], how.stride, how.padding)
        weight = _unset(shape, x)
        if _is_faster_by_channels(x):
            x, y = x.contiguous(), y.contiguous()
        return _gradients(x, y, weight, how, [False, True, False])[1]

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        (weight,), (x, y), (of_x, of_y, *_) = slopes, ctx.saved_tensors, ctx.needs_input_grad
        sides = (x.shape[2], x.shape[3])
        return (
            _Transpose.apply(y, weight, ctx.how, sides) if of_x else None,
            _Convolution.apply(x, weight, None, ctx.how) if of_y else None,
            None,
            None,
        )


def _unset(shape: Sequence[int], like: Tensor) -> Tensor:
    """A tensor of which only shape and order matter, laid out as another one."""
    last = like.is_contiguous(memory_format=torch.channels_last)
    order = torch.channels_last if last else torch.contiguous_format
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=order)


def _gradients(
    x: Tensor, y: Tensor, weight: Tensor, how: _How, wanted: list[bool]
) -> tuple[Tensor, Tensor, Tensor]:
    """The transpose's result, and the kernel's gradient: those that are wanted."""
    stride, padding = [how.stride] * 2, [how.padding] * 2
    found: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        y, x, weight, None, stride, padding, [1, 1], False, [0, 0], 1, wanted
    )
    return found


def _is_faster_by_channels(x: Tensor) -> bool:
    """Whether copies of features channel by channel pay.

    Features lie channels last, which is fastest for everything but this: oneDNN computes the
    gradient of a 3x3 kernel from large features three to six times as fast where they lie channel
    by channel (on AVX2).
    """
    return x.device.type == "cpu" and x.dtype == torch.float32 and x[0].numel() >= _LEAST
