"""Convolutions that know their own gradients: results and gradients hold."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from comfy_genart_nodes.gan.networks import convolving


def draw(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("side", "kernel", "stride", "padding"), [(7, 3, 1, 1), (6, 3, 2, 1)])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_it_is_a_convolution_and_so_are_its_gradients(
    transposed: bool, side: int, kernel: int, stride: int, padding: int, order: torch.memory_format
) -> None:
    x = draw(2, 3, side + 1, side).contiguous(memory_format=order)
    shape = (3, 4, kernel, kernel) if transposed else (4, 3, kernel, kernel)
    weight = draw(*shape, seed=1)
    usual = F.conv_transpose2d if transposed else F.conv2d
    given = [x, weight] if transposed else [x, weight, draw(4, seed=2)]

    def gradients(ours: bool) -> list[Tensor]:
        """Of a function of the result, and of the length of its gradient (as R1 has it)."""
        a, b, *bias = own = [one.clone().requires_grad_() for one in given]
        begin = bias[0] if bias else None
        if ours:
            y = convolving.convolve(a, b, stride, padding, transposed, begin)
        else:
            y = usual(a, b, begin, stride=stride, padding=padding)
        first = torch.autograd.grad(y.sin().sum(), own, create_graph=True)
        second = torch.autograd.grad(sum(g.square().mean() for g in first), own)
        return [y, *first, *second]

    for made, wanted in zip(gradients(True), gradients(False), strict=True):
        torch.testing.assert_close(made, wanted, rtol=1e-9, atol=1e-9)


def test_what_wants_no_gradient_gets_none() -> None:
    """A frozen kernel costs nothing, and pictures that nobody differentiates neither."""
    x, weight = draw(1, 2, 5, 5), draw(3, 2, 3, 3)
    y = convolving.convolve(x.requires_grad_(), weight)
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert slope.shape == x.shape
    y = convolving.convolve(x.detach(), weight.requires_grad_())
    (slope,) = torch.autograd.grad(y.sum(), weight)
    assert slope.shape == weight.shape
    assert not convolving.convolve(x.detach(), weight.detach()).requires_grad


def test_large_features_give_the_same_gradient_of_the_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = draw(2, 3, 33, 32, dtype=torch.float32).contiguous(memory_format=torch.channels_last)
    weight = draw(4, 3, 3, 3, dtype=torch.float32).requires_grad_()

    def slope() -> Tensor:
        return torch.autograd.grad(convolving.convolve(x, weight).sin().sum(), weight)[0]

    plain = slope()
    monkeypatch.setattr(convolving, "_LEAST", 1)
    torch.testing.assert_close(slope(), plain, rtol=1e-4, atol=1e-4)


def test_autocast_lowers_it_and_its_gradients_come_back() -> None:
    x = draw(1, 2, 8, 8, dtype=torch.float32).requires_grad_()
    weight = draw(3, 2, 3, 3, dtype=torch.float32).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y = convolving.convolve(x, weight, padding=1)
        (of_x,) = torch.autograd.grad(y.float().sum(), x, create_graph=True)
        of_x.square().sum().backward()
    assert (y.dtype, of_x.dtype, weight.grad.dtype) == (torch.bfloat16, x.dtype, x.dtype)
    exact = F.conv2d(x, weight, padding=1)
    assert (y.float() - exact).abs().max() < 2**-6 * exact.abs().max()
