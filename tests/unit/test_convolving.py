"""Convolutions whose weights get their gradient in another order: results and gradients hold."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from comfy_genart_nodes.gan.networks import convolving


@pytest.mark.parametrize("transposed", [False, True])
def test_it_is_a_convolution_and_so_are_its_gradients(
    transposed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convolving, "_LEAST", 1)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 33, 32, generator=generator).contiguous(memory_format=torch.channels_last)
    weight = torch.randn((3, 4, 3, 3) if transposed else (4, 3, 3, 3), generator=generator)
    usual = F.conv_transpose2d if transposed else F.conv2d

    def gradients(ours: bool) -> list[Tensor]:
        """Of a function of the result, and of the length of its gradient (as R1 has it)."""
        a, b = x.clone().requires_grad_(), weight.clone().requires_grad_()
        if ours:
            y = convolving.convolve(a, b, stride=2, padding=1, transposed=transposed)
        else:
            y = usual(a, b, stride=2, padding=1)
        first = torch.autograd.grad(y.sin().sum(), (a, b), create_graph=True)
        second = torch.autograd.grad(sum(g.square().mean() for g in first), (a, b))
        return [y, *first, *second]

    assert convolving._pays(x, weight.requires_grad_())
    weight = weight.detach()
    for made, wanted in zip(gradients(True), gradients(False), strict=True):
        torch.testing.assert_close(made, wanted, rtol=1e-4, atol=1e-4)
