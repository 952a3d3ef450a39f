"""What autoencoders learn from: closed forms, and views that are turned as their pictures are."""

import math

import pytest
import torch
from torch import nn

from comfy_genart_nodes.training.vae_losses import (
    adaptive_weight,
    eq_views,
    hinge,
    kl_share,
    pixel_loss,
    pull,
)
from comfy_genart_nodes.vae.networks.autoencoder import Coded


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def draws(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_pixels_by_hand():
    real, made = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.5)
    assert pixel_loss("l1", made, real).item() == 0.5
    assert pixel_loss("l2", made, real).item() == 0.25


@pytest.mark.parametrize("kind", ["l1", "l2"])
def test_parts_weighed_by_their_shares_are_the_whole(kind):
    made, real = normal(6, 3, 8, 8), normal(6, 3, 8, 8, seed=1)
    nats = normal(6, 4, 2, 2, seed=2).square()
    for loss in (
        lambda part: pixel_loss(kind, made[part], real[part]),
        lambda part: kl_share(nats[part], real[part]),
    ):
        parts = loss(slice(0, 4)) * 4 / 6 + loss(slice(4, 6)) * 2 / 6
        torch.testing.assert_close(parts, loss(slice(0, 6)))


def test_pixels_and_nats_weigh_as_in_the_evidence_lower_bound():
    """Half the squared error and the nats of a picture, divided by the same number."""
    made, real = normal(5, 3, 8, 8), normal(5, 3, 8, 8, seed=1)
    coded = Coded(normal(5, 4, 2, 2), normal(5, 4, 2, 2), normal(5, 4, 2, 2, seed=3))
    posterior = torch.distributions.Normal(coded.mean, (coded.logvar / 2).exp())
    prior = torch.distributions.Normal(torch.zeros_like(coded.mean), torch.ones_like(coded.mean))
    nats = torch.distributions.kl_divergence(posterior, prior).flatten(1).sum(dim=1)
    likelihood = torch.distributions.Normal(made, torch.ones_like(made)).log_prob(real)
    bound = likelihood.flatten(1).sum(dim=1) - nats
    loss = pixel_loss("l2", made, real) / 2 + kl_share(coded.kl(), real)
    constant = math.log(2 * math.pi) / 2  # a number, of the likelihood
    torch.testing.assert_close(loss + constant, -bound.mean() / (3 * 8 * 8))


def test_a_critics_loss_is_free_where_it_is_sure_enough():
    sure = torch.full((2, 1, 4, 4), 1.5)
    assert hinge(sure, -sure).item() == 0
    assert hinge(-sure, sure).item() == pytest.approx(5)


@pytest.fixture
def decoder():
    """A last layer of a decoder, and what it makes."""
    layer = nn.Conv2d(4, 3, 3, padding=1).double()
    with torch.no_grad():
        layer.weight.copy_(normal(*layer.weight.shape, seed=4))
    return layer, layer(normal(2, 4, 8, 8, seed=5))


def gradients(made: torch.Tensor, scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Of two losses in the pictures: likeness, and a critic's that is so many times as large."""
    return normal(*made.shape, seed=6), scale * normal(*made.shape, seed=7)


def weight_of(made, towards, judged, layer):
    return adaptive_weight(*(pull(made, each, layer.weight) for each in (towards, judged)))


def test_the_weight_is_that_of_losses_taken_to_the_last_layer(decoder):
    layer, made = decoder
    towards, judged = gradients(made, 0.3)
    weight = weight_of(made, towards, judged, layer)
    norms = []
    for loss in ((towards * made).sum(), (judged * made).sum()):
        norms.append(torch.autograd.grad(loss, layer.weight, retain_graph=True)[0].norm())
    torch.testing.assert_close(weight, norms[0] / (norms[1] + 1e-4))
    assert not weight.requires_grad


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_a_weighed_critic_pulls_as_strongly_as_likeness_whatever_its_scale(decoder, scale):
    layer, made = decoder
    towards, judged = gradients(made, scale)
    weight = weight_of(made, towards, judged, layer)
    pulls = [
        torch.autograd.grad(made, layer.weight, pull, retain_graph=True)[0].norm()
        for pull in (towards, weight * judged)
    ]
    torch.testing.assert_close(pulls[1], pulls[0], rtol=1e-3, atol=0)


def test_a_critic_without_an_opinion_does_not_weigh_without_bounds(decoder):
    layer, made = decoder
    towards, judged = gradients(made, 0.0)
    assert weight_of(made, 1e6 * towards, judged, layer).item() == 1e4


def views(seed: int, high: int = 8, wide: int = 8, factor: int = 4):
    """Latents that are the pictures' means over squares, and both after a view of them."""
    pictures = normal(2, 3, high * factor, wide * factor)
    latents = nn.functional.avg_pool2d(pictures, factor)
    return latents, pictures, *eq_views(latents, pictures, draws(seed))


def test_views_of_the_same_draws_are_the_same_and_others_differ():
    _, _, latents, pictures = views(3)
    torch.testing.assert_close(views(3)[2], latents, rtol=0, atol=0)
    torch.testing.assert_close(views(3)[3], pictures, rtol=0, atol=0)
    shapes = {views(seed)[2].shape[2] for seed in range(40)}
    assert shapes == {2, 3, 4, 5, 6, 7, 8}  # a quarter of the side to all of it


def test_turned_views_of_full_size_turn_back_exactly():
    turns = set()
    for seed in range(200):
        latents, pictures, turned, seen = views(seed)
        if turned.shape != latents.shape:
            continue
        back = next(k for k in range(4) if torch.equal(turned.rot90(-k, (2, 3)), latents))
        assert torch.equal(seen.rot90(-back, (2, 3)), pictures)
        turns.add(back)
    assert turns == {0, 1, 2, 3}


@pytest.mark.parametrize("seed", range(12))
def test_latents_and_pictures_are_treated_alike(seed):
    """Linear latents commute with turning; and nearly with shrinking, where pictures are smooth."""
    axis = torch.linspace(0, 1, 64, dtype=torch.float64)
    pictures = torch.stack(
        [axis[:, None] * axis, axis[:, None].expand(64, 64), 1 - axis.square().expand(64, 64)]
    )[None]
    latents = nn.functional.avg_pool2d(pictures, 4)
    small, seen = eq_views(latents, pictures, draws(seed))
    assert [side * 4 for side in small.shape[2:]] == list(seen.shape[2:])
    torch.testing.assert_close(nn.functional.avg_pool2d(seen, 4), small, rtol=0, atol=0.06)
    wrong = small.rot90(1, (2, 3))
    assert (nn.functional.avg_pool2d(seen, 4) - wrong).abs().max() > 0.3


def test_shrunk_pictures_are_antialiased():
    """Stripes a pixel wide become grey; taking pixels here and there would leave stripes."""
    stripes = (torch.arange(64) % 2 * 2.0 - 1).expand(1, 3, 64, 64)
    found = 0
    for seed in range(30):
        small, seen = eq_views(torch.zeros(1, 4, 16, 16), stripes, draws(seed))
        if small.shape[2] <= 8:
            assert seen.abs().max() < 0.15
            found += 1
    assert found > 5


def test_oblong_views_keep_their_shape_or_lie_on_their_side():
    for seed in range(20):
        _, _, latents, pictures = views(seed, high=4, wide=8)
        assert [4 * side for side in latents.shape[2:]] == list(pictures.shape[2:])
        assert max(latents.shape[2:]) == 2 * min(latents.shape[2:])


def test_learning_passes_through_views_to_the_latents():
    latents = normal(1, 4, 8, 8).requires_grad_()
    eq_views(latents, normal(1, 3, 32, 32), draws(2))[0].sum().backward()
    assert (latents.grad != 0).all()
