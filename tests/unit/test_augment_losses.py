"""DiffAugment keeps what it must; the losses are the papers' formulas."""

import math

import pytest
import torch

from comfy_genart_nodes.training import augment, losses
from comfy_genart_nodes.training.config import POLICIES
from comfy_genart_nodes.training.draws import Draws

LOGISTIC = losses.LOSSES["logistic"]


@pytest.fixture
def pictures():
    return torch.rand(64, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


def chance(count=64):
    return Draws(seed=1, step=0, part=range(count), total=count), "augment"


def test_equal_draws_change_equally_and_none_changes_nothing(pictures):
    once = augment.augment(pictures, POLICIES, *chance())
    assert torch.equal(once, augment.augment(pictures, POLICIES, *chance()))
    assert torch.equal(pictures, augment.augment(pictures, (), *chance()))


def test_what_a_picture_meets_does_not_depend_on_how_the_batch_is_divided(pictures):
    whole = augment.augment(pictures, POLICIES, *chance())
    part = Draws(seed=1, step=0, part=range(24, 40), total=64)
    assert torch.equal(whole[24:40], augment.augment(pictures[24:40], POLICIES, part, "augment"))


def test_colour_is_affine_with_bounded_shift_and_contrast(pictures):
    flat = pictures[:, :, :1, :1].mean(dim=1, keepdim=True).expand_as(pictures)
    shift = (augment.colour(flat, *chance()) - flat).amax(dim=(1, 2, 3))
    assert shift.abs().max() <= 0.5 and shift.std() > 0.2
    changed = augment.colour(pictures, *chance())
    contrast = changed.mean(dim=1).std(dim=(1, 2)) / pictures.mean(dim=1).std(dim=(1, 2))
    assert 0.5 <= contrast.min() < 0.6 and 1.4 < contrast.max() <= 1.5


def test_translation_moves_whole_pictures_by_up_to_an_eighth():
    dot = torch.zeros(200, 1, 32, 32)
    dot[:, :, 16, 16] = 1
    moved = augment.translation(dot, *chance(200))
    assert torch.equal(moved.sum(dim=(1, 2, 3)), torch.ones(200))
    _, _, y, x = moved.nonzero().unbind(dim=1)
    for axis in (y, x):
        assert set((axis - 16).tolist()) == set(range(-4, 5))


def test_cutout_blanks_at_most_a_quarter():
    ones = torch.ones(200, 3, 32, 32)
    blank = 1 - augment.cutout(ones, *chance(200)).mean(dim=(1, 2, 3))
    # 16 of 32 on each axis, less at a border
    assert blank.max() == 0.25 and blank.min() > 0.04 and blank.mean() > 0.1


def test_the_generator_learns_through_every_policy(pictures):
    x = pictures.clone().requires_grad_()
    augment.augment(x, POLICIES, *chance()).sum().backward()
    assert x.grad.isfinite().all() and (x.grad != 0).float().mean() > 0.5


def test_losses_at_their_known_points():
    zero = torch.zeros(4, 1)
    assert LOGISTIC.generator(zero, zero).item() == pytest.approx(math.log(2))
    assert LOGISTIC.discriminator(zero, zero).item() == pytest.approx(2 * math.log(2))
    sure = torch.full((4, 1), 30.0)
    assert LOGISTIC.discriminator(sure, -sure).item() == pytest.approx(0, abs=1e-9)
    # A generator that fools nobody still learns: the gradient does not vanish.
    fake = (-sure).requires_grad_()
    LOGISTIC.generator(fake, fake).backward()
    assert fake.grad.sum().item() == pytest.approx(-1, abs=1e-6)


def test_r1_of_a_linear_score_is_the_squared_norm_of_its_weights(pictures):
    weight = torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(1))
    real = pictures.requires_grad_()
    score = (real * weight).sum(dim=(1, 2, 3))[:, None]
    torch.testing.assert_close(losses.r1_penalty(real, score), weight.square().sum())
