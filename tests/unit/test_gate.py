"""Gates in the order of channels that came in are the ones of PyTorch, gradients included."""

import torch
import torch.nn.functional as F

from comfy_genart_nodes.gan.networks.gate import Gate


def test_it_is_the_gated_linear_unit_and_so_is_its_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 6, 4, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    expected = F.glu(x, dim=1)
    slope = torch.randn(expected.shape, generator=generator, dtype=torch.float64)
    (wanted,) = torch.autograd.grad(expected, x, slope)
    made = Gate()(x)
    (found,) = torch.autograd.grad(made, x, slope)
    torch.testing.assert_close(made, expected)
    torch.testing.assert_close(found, wanted)
    assert torch.autograd.gradgradcheck(Gate(), x)


def test_its_gradient_keeps_the_order_of_channels() -> None:
    x = torch.randn(2, 8, 3, 3).contiguous(memory_format=torch.channels_last).requires_grad_()
    made = Gate()(x)
    (slope,) = torch.autograd.grad(made, x, torch.ones_like(made))
    assert slope.is_contiguous(memory_format=torch.channels_last)
