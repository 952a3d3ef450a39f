"""ADA: only moving pixels is exact, draws belong to pictures, and gradients have gradients."""

import math

import pytest
import torch
import torch.nn.functional as F

from comfy_genart_nodes.training import ada
from comfy_genart_nodes.training.draws import Draws

N = 400


def pictures(n: int = 8, h: int = 12, w: int = 12) -> torch.Tensor:
    draw = torch.Generator().manual_seed(0)
    return torch.rand(n, 3, h, w, generator=draw, dtype=torch.float64) * 2 - 1


def places(part: range, total: int = 8) -> Draws:
    return Draws(seed=1, step=2, part=part, total=total)


def chance(p: float, n: int = N) -> ada._Chance:
    return ada._Chance(torch.rand(n, 28, generator=torch.Generator().manual_seed(3)).double(), p)


def close(a, b, atol=1e-6):
    torch.testing.assert_close(a, b, atol=atol, rtol=0)


def only(n: int, rows) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64).expand(n, 3, 3)


def warp(x: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    return ada.warp(x, ada.origins(matrices, *x.shape[2:]))


def test_at_zero_nothing_changes():
    x = pictures()
    close(ada.augment(x, lambda: 0.0, places(range(8)), "a"), x)


def test_what_a_picture_meets_does_not_depend_on_how_the_batch_is_divided():
    x = pictures()
    whole = ada.augment(x, lambda: 0.7, places(range(8)), "a")
    assert (whole - x).abs().amax(dim=(1, 2, 3)).min() > 0.01
    close(ada.augment(x[4:8], lambda: 0.7, places(range(4, 8)), "a"), whole[4:8], atol=1e-12)
    assert not whole.allclose(ada.augment(x, lambda: 0.7, places(range(8)), "b"))


@pytest.mark.parametrize(("h", "w"), [(12, 12), (9, 16)])
def test_flips_quarter_turns_and_whole_shifts_only_move_pixels(h, w):
    x = pictures(2, h, w)
    close(warp(x, only(2, [[1, 0, 0], [0, 1, 0], [0, 0, 1]])), x)
    close(warp(x, only(2, [[-1, 0, 0], [0, 1, 0], [0, 0, 1]])), x.flip(3))
    close(warp(x, only(2, [[-1, 0, 0], [0, -1, 0], [0, 0, 1]])), x.flip(2, 3))
    shifted = F.pad(x, (3, 0, 0, 2), mode="reflect")[:, :, 2:, :-3]  # right by 3, up by 2
    close(warp(x, only(2, [[1, 0, 3], [0, 1, -2], [0, 0, 1]])), shifted)
    if h == w:
        clockwise = warp(x, only(2, [[0, -1, 0], [1, 0, 0], [0, 0, 1]]))
        close(clockwise, x.rot90(-1, (2, 3)))


def test_what_blits_draw_is_a_flip_a_quarter_turn_and_a_whole_shift():
    """With all other changes' numbers beyond p, matrices hold whole numbers."""
    numbers = torch.rand(N, 28, generator=torch.Generator().manual_seed(0)).double()
    numbers[:, 7:] = 1.0
    matrices = ada.geometry(ada._Chance(numbers, 0.9), 32, 32)
    close(matrices, matrices.round(), atol=1e-12)
    close(torch.linalg.det(matrices).abs(), torch.ones(N).double())
    assert set(matrices[:, 0, 2].round().int().tolist()) == set(range(-4, 5))
    assert len({tuple(m.flatten().tolist()) for m in matrices[:, :2, :2].round() + 0.0}) == 8


def test_smooth_pictures_come_back_from_a_turn_and_its_inverse():
    axis = torch.linspace(-1, 1, 32, dtype=torch.float64)
    bump = torch.exp(-8 * (axis.square() + (axis[:, None] - 0.2).square()))[None, None]
    turn = ada._rotate(torch.tensor([0.7], dtype=torch.float64))
    there = warp(bump, turn)
    assert (there - bump).abs().max() > 0.1
    middle = (..., slice(8, -8), slice(8, -8))  # corners have been outside
    close(warp(there, torch.linalg.inv(turn))[middle], bump[middle], atol=0.01)
    larger = ada._scale(*torch.full((2, 1), 1.3).double())
    back = warp(warp(bump, larger), torch.linalg.inv(larger))
    close(back[middle], bump[middle], atol=0.01)


def test_flat_pictures_stay_flat_and_never_see_a_border():
    flat = torch.full((N, 3, 8, 8), 0.3, dtype=torch.float64)
    close(warp(flat, ada.geometry(chance(1.0), 8, 8)), flat, atol=1e-5)


def test_shrinking_fine_detail_leaves_its_mean_and_not_its_alias():
    """Stripes of one pixel, at 4/5 of their size, would become stripes of four pixels."""
    stripes = (torch.arange(40, dtype=torch.float64) % 2 * 2 - 1).expand(1, 1, 40, 40)
    small = warp(stripes, ada._scale(*torch.full((2, 1), 0.8).double()))
    naive = stripes[..., (torch.arange(40) * 1.25).long() % 40]
    assert small[..., 8:-8, 8:-8].abs().mean() < 0.3 * naive.abs().mean()


def test_changes_happen_as_often_as_they_should():
    identity = torch.eye(3, dtype=torch.float64)
    still = (ada.geometry(chance(0.3, 4000), 64, 64) - identity).abs().amax(dim=(1, 2)) < 1e-12
    # Flips and turns may be by nothing: half of them, a quarter; of the two turns one at least.
    expected = (1 - 0.3 / 2) * (1 - 0.3 * 3 / 4) * 0.7**5
    assert still.double().mean().item() == pytest.approx(expected, abs=0.02)
    plain = (ada.colours(chance(0.3, 4000)) - torch.eye(3, 4)).abs().amax(dim=(1, 2)) < 1e-12
    assert plain.double().mean().item() == pytest.approx((1 - 0.15) * 0.7**4, abs=0.02)


def test_colours_keep_grey_grey_and_turn_about_it():
    matrices = ada.colours(chance(1.0))
    grey = ada.recolour(torch.full((N, 3, 1, 1), 0.4, dtype=torch.float64), matrices)
    close(grey, grey.mean(dim=1, keepdim=True).expand_as(grey), atol=1e-12)
    assert grey.std() > 0.1
    # Without brightness, the determinant is contrast^3 * saturation^2, and luma's sign.
    linear = matrices[:, :, :3]
    along = linear.sum(dim=(1, 2)) / 3
    volume = torch.linalg.det(linear)
    assert (along.sign() == volume.sign()).all()
    apart = (volume / along).sqrt()
    blue = torch.tensor([-1.0, -1, 2]).double() / math.sqrt(6)
    turned = linear @ blue
    close(turned.norm(dim=1), apart, atol=1e-9)  # hue changes no length
    assert (turned @ blue / apart).min() < -0.9  # and goes all the way round


def test_gradients_have_gradients():
    """What R1 needs; sampling is checked against differences, for once and twice."""
    x = pictures(2, 5, 6).requires_grad_()
    matrices = ada.geometry(chance(1.0, 2), 5, 6)

    def change(x):
        return ada.recolour(warp(x, matrices), ada.colours(chance(1.0, 2))).square()

    assert torch.autograd.gradcheck(change, x, atol=1e-4, fast_mode=True)
    assert torch.autograd.gradgradcheck(change, x, atol=1e-4, fast_mode=True)


def test_r1_through_augmentation_of_a_linear_score():
    """The penalty at the pictures before augmentation: the transpose of what warps them."""
    x = pictures(2, 8, 8).requires_grad_()
    weight = pictures(1, 8, 8)[0].requires_grad_()
    score = (ada.augment(x, lambda: 1.0, places(range(2), 2), "a") * weight).sum()
    (gradient,) = torch.autograd.grad(score, x, create_graph=True)
    (slope,) = torch.autograd.grad(gradient.square().sum(), weight)
    assert slope.isfinite().all() and (slope != 0).all()
    # Quadratic in the weight: its slope times the weight is twice the penalty.
    close((slope * weight).sum() / 2, gradient.square().sum(), atol=1e-8)


def test_p_follows_the_signs_and_stays_in_its_bounds():
    assert ada.adapted(0.2, 0.7, 0.6, 64, kimg=500) == pytest.approx(0.2 + 64 / 500_000)
    assert ada.adapted(0.2, 0.5, 0.6, 64, kimg=500) == pytest.approx(0.2 - 64 / 500_000)
    assert ada.adapted(0.2, 0.6, 0.6, 64) == 0.2
    assert ada.adapted(0.0, -1.0, 0.6, 64) == 0
    assert ada.adapted(ada.MOST, 1.0, 0.6, 64) == ada.MOST
