"""The losses are the papers' formulas: at known scores, on linear networks, in parts of a batch."""

import math

import pytest
import torch

from comfy_genart_nodes.training import losses
from comfy_genart_nodes.training.config import LOSSES as NAMES
from comfy_genart_nodes.training.losses import LOSSES


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_every_loss_that_a_run_may_ask_for_is_there():
    assert set(LOSSES) == set(NAMES)


@pytest.mark.parametrize(
    ("name", "d", "g"),
    [
        ("logistic", softplus(-2) + softplus(0.5), softplus(-0.5)),
        ("minimax", softplus(-2) + softplus(0.5), -softplus(0.5)),  # log(1 - sigmoid(.5))
        ("hinge", 0 + 1.5, -0.5),
        ("r3gan", softplus(0.5 - 2), softplus(2 - 0.5)),
    ],
)
def test_values_by_hand_at_real_2_and_fake_half(name, d, g):
    real, fake = torch.full((3, 1), 2.0), torch.full((3, 1), 0.5)
    assert LOSSES[name].discriminator(real, fake).item() == pytest.approx(d, rel=1e-6)
    assert LOSSES[name].generator(real, fake).item() == pytest.approx(g, rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_the_networks_pull_scores_in_opposite_directions(name):
    slopes = []
    for loss in (LOSSES[name].discriminator, LOSSES[name].generator):
        real, fake = (normal(8, 1, seed=i).mul(0.3).requires_grad_() for i in range(2))
        loss(real, fake).backward()
        slopes.append((real.grad, fake.grad))
    (d_real, d_fake), (_, g_fake) = slopes
    assert (d_real < 0).all() and (d_fake > 0).all() and (g_fake < 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_only_relative_losses_look_at_real_scores_for_the_generator(name):
    fake = normal(4, 1)
    values = {LOSSES[name].generator(normal(4, 1, seed=s), fake).item() for s in (1, 2)}
    assert (len(values) == 2) == LOSSES[name].relative


def test_where_the_generator_fools_nobody_minimax_is_flat_and_the_others_are_not():
    for name, loss in LOSSES.items():
        fake = torch.full((4, 1), -30.0, requires_grad=True)
        loss.generator(-fake.detach(), fake).backward()
        assert fake.grad.sum().item() == pytest.approx(0 if name == "minimax" else -1, abs=1e-6)


def test_at_even_scores_a_pair_is_a_coin_toss():
    even = normal(4, 1)
    for loss in (LOSSES["r3gan"].discriminator, LOSSES["r3gan"].generator):
        assert loss(even, even).item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("name", LOSSES)
def test_parts_weighed_by_their_shares_are_the_whole(name):
    real, fake = normal(12, 3), normal(12, 3, seed=1)
    for loss in (LOSSES[name].discriminator, LOSSES[name].generator):
        parts = [loss(real[p], fake[p]) * n / 12 for p, n in ((slice(8), 8), (slice(8, 12), 4))]
        torch.testing.assert_close(sum(parts), loss(real, fake))


def test_r1_of_a_linear_score_is_the_squared_norm_of_its_weights():
    weight, real = normal(3, 8, 8, seed=1), normal(5, 3, 8, 8).requires_grad_()
    score = (real * weight).sum(dim=(1, 2, 3))[:, None]
    torch.testing.assert_close(losses.r1_penalty(real, score), weight.square().sum())
    # Parts of a picture that score alike count as one score.
    torch.testing.assert_close(losses.r1_penalty(real, score.expand(-1, 7)), weight.square().sum())


def test_r1_teaches_the_network_to_be_flat():
    weight, real = normal(3, 8, 8, seed=1).requires_grad_(), normal(5, 3, 8, 8).requires_grad_()
    losses.r1_penalty(real, (real * weight).sum(dim=(1, 2, 3))[:, None]).backward()
    torch.testing.assert_close(weight.grad, 2 * weight.detach())


@pytest.fixture
def linear():
    """Pictures linear in ws, with a matrix for each layer; lengths are known in closed form."""
    ws, matrices = normal(6, 4, 5).requires_grad_(), normal(4, 5, 3 * 8 * 8, seed=1)
    matrices.requires_grad_()
    pictures = torch.einsum("nlw,lwp->np", ws, matrices).view(6, 3, 8, 8)
    return pictures, ws, matrices


def test_path_lengths_of_a_linear_generator(linear):
    pictures, ws, matrices = linear
    noise = normal(6, 3, 8, 8, seed=2)
    penalty, moved = losses.path_length_penalty(
        pictures, ws, torch.tensor(3.0, dtype=torch.float64), noise, decay=0.25
    )
    gradient = torch.einsum("np,lwp->nlw", noise.flatten(1), matrices) / 8
    lengths = gradient.square().sum(dim=2).mean(dim=1).sqrt()
    torch.testing.assert_close(penalty, (lengths - 3).square())
    torch.testing.assert_close(moved, (3 + 0.25 * (lengths.mean() - 3)).detach())
    assert not moved.requires_grad
    (slope,) = torch.autograd.grad(penalty.sum(), matrices)
    assert slope.isfinite().all() and (slope != 0).any()


def test_path_lengths_of_a_batch_in_parts(linear):
    pictures, ws, matrices = linear
    mean, noise = torch.tensor(2.0, dtype=torch.float64), normal(6, 3, 8, 8, seed=2)
    penalty, moved = losses.path_length_penalty(pictures, ws, mean, noise)
    penalties, means = [], 0
    for part in (slice(0, 4), slice(4, 6)):
        own = ws[part].detach().requires_grad_()
        made = torch.einsum("nlw,lwp->np", own, matrices).view(-1, 3, 8, 8)
        each, towards = losses.path_length_penalty(made, own, mean, noise[part])
        penalties.append(each)
        means += towards * len(own) / 6
    torch.testing.assert_close(torch.cat(penalties), penalty)
    torch.testing.assert_close(means, moved)


def test_rebuilding_is_free_of_loss_only_where_it_is_exact_and_feels_shape_beyond_detail():
    flat = torch.zeros(2, 3, 16, 16)
    assert losses.rebuilding_loss([(flat, flat), (flat, flat)]) == 0
    assert losses.rebuilding_loss([(flat + 0.5, flat)]).item() == pytest.approx(0.5)
    checks = flat + (torch.arange(16)[:, None] + torch.arange(16)) % 2 - 0.5
    assert losses.rebuilding_loss([(checks, flat)]).item() == pytest.approx(0.5 / 4)
