"""Steps whose matrices turn all directions alike."""

import pytest
import torch

from comfy_genart_nodes.training.muon import Muon, orthogonal, takes


@pytest.mark.parametrize("shape", [(3, 32, 288), (2, 64, 16), (1, 24, 24)])
def test_all_directions_turn_alike(shape):
    """Singular values come near 1 however unlike they were; singular vectors stay."""
    rows, columns = shape[1:]
    draw = torch.Generator().manual_seed(0)
    least = min(rows, columns)
    u, _ = torch.linalg.qr(torch.randn(shape[0], rows, least, generator=draw).double())
    v, _ = torch.linalg.qr(torch.randn(shape[0], columns, least, generator=draw).double())
    unlike = torch.logspace(0, -2, least, dtype=torch.float64)
    made = u.mT @ orthogonal(u @ torch.diag(unlike).expand(shape[0], -1, -1) @ v.mT) @ v
    values = made.diagonal(dim1=1, dim2=2)
    assert values.min() > 0.6 and values.max() < 1.3  # the polynomial's range, from .01 on
    assert (made - torch.diag_embed(values)).abs().max() < 1e-9


@pytest.mark.parametrize("size", [0.0, 1e-40, 1e-23])
def test_what_learns_nothing_stays(size):
    """A layer that nothing passes any more: what is left of its gradients fades for ever."""
    draw = torch.Generator().manual_seed(0)
    assert orthogonal(size * torch.randn(2, 16, 20, generator=draw)).abs().max() < 1e-6


@pytest.mark.parametrize("factor", [1e-5, 1.0, 1e12])
def test_a_step_is_as_long_whatever_the_loss_is_multiplied_by(factor):
    draw = torch.Generator().manual_seed(1)
    kernels = torch.nn.Parameter(torch.zeros(16, 20, 3, 3))
    kernels.grad = torch.randn(kernels.shape, generator=draw) * factor
    Muon([kernels], 0.01).step()
    entry = float(kernels.detach().square().mean().sqrt())
    # Orthogonal rows have entries of 1 / sqrt(180); made .2 times the rate by the scale.
    assert entry == pytest.approx(0.01 * 0.2, rel=0.3)


def test_a_step_goes_down():
    draw = torch.Generator().manual_seed(2)
    matrix = torch.nn.Parameter(torch.randn(16, 16, generator=draw))
    wanted = torch.randn(16, 16, generator=draw)
    muon = Muon([matrix], 0.1)
    losses = []
    for _ in range(150):
        loss = (matrix - wanted).square().mean()
        muon.zero_grad()
        loss.backward()
        muon.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.05 * losses[0]


def test_colours_and_biases_are_left_to_adam():
    layers = torch.nn.ModuleDict(
        {
            "first": torch.nn.Conv2d(3, 32, 3),
            "inner": torch.nn.Conv2d(32, 16, 3),
            "last": torch.nn.Conv2d(16, 3, 3),
        }
    )
    assert [name for name, p in layers.named_parameters() if takes(p)] == ["inner.weight"]
