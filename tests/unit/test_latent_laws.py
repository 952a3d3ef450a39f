"""What lies between latents: ends, laws, contrast, order, and the same alone as in company."""

import pytest
import torch
from latent_samples import is_noise, noise, pictures

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.latent.journey import Journey, gone
from comfy_genart_nodes.latent.laws import (
    LAWS,
    Law,
    atlas,
    between,
    blend,
    corner_weights,
    law_of,
    path,
)
from comfy_genart_nodes.latent.matching import match
from comfy_genart_nodes.latent.statistics import moments, spectrum

HALF = torch.tensor([0.5])


def test_noise_and_pictures_are_told_apart():
    both = torch.stack([noise(4, 32, 32), pictures(4, 32, 32)])
    assert law_of(both[:1]) == "noise" and law_of(both[1:]) == "picture"
    assert law_of(both) == "picture"
    assert law_of(14.6 * noise(2, 4, 32, 32)) == "noise"  # a great circle keeps any strength


def test_between_noises_is_noise_and_between_pictures_is_contrast():
    a, b = noise(2, 40, 4, 64, 64)
    made = torch.cat([between(torch.stack(pair), HALF, "noise") for pair in zip(a, b, strict=True)])
    assert is_noise(made)
    pair = pictures(2, 4, 64, 64, std=5.5) + torch.tensor([1.0, -2.0])[:, None, None, None]
    known, half = moments(pair), moments(between(pair, HALF, "picture"))
    assert torch.allclose(half.std[0], known.std.mean(0)) and torch.allclose(
        half.mean[0], known.mean.mean(0), atol=1e-5
    )
    grey = moments(between(pair, HALF, "straight"))
    assert (grey.std[0] < 0.8 * known.std.mean(0)).all()


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("shape", [(4, 16, 16), (4, 3, 8, 8), (16, 1, 1)])
def test_ends_are_the_ends_and_turned_round_it_is_the_same_way(law, shape):
    pair = pictures(2, *shape, std=3) if shape[-1] > 1 else noise(2, *shape)
    t = torch.tensor([0.0, 0.3, 1.0])
    made = between(pair, t, law)
    assert made[0].equal(pair[0]) and made[-1].equal(pair[1]) and made.shape == (3, *shape)
    assert torch.allclose(made, between(pair.flip(0), 1 - t, law), atol=1e-5)


@pytest.mark.parametrize("law", LAWS)
def test_frames_are_the_same_one_by_one(law):
    pair = noise(2, 4, 16, 16)
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    assert between(pair, t, law).equal(torch.cat([between(pair, one[None], law) for one in t]))


@pytest.mark.parametrize("law", LAWS)
def test_identical_opposite_nothing_and_flat_are_defined(law):
    a = pictures(4, 16, 16)
    flat, zero = torch.ones_like(a), torch.zeros_like(a)
    t = torch.linspace(-1, 2, 7)
    for first, second in ((a, a), (a, -a), (a, zero), (zero, a), (zero, zero), (a, flat)):
        assert between(torch.stack([first, second]), t, law).isfinite().all()
    assert torch.allclose(between(torch.stack([a, a]), HALF, law)[0], a, atol=1e-5)


def test_blends_keep_the_law():
    five = noise(5, 4, 128, 128)
    weights = torch.tensor([[1.0, 2, 0.5, 1, 1], [0, 0, 3, 0, 0]])
    made = blend(five, weights, "noise")
    assert float(made[0].std()) == pytest.approx(1, abs=0.01)
    seen = pictures(3, 4, 32, 32, std=5.5) * torch.tensor([1.0, 2.0, 3.0])[:, None, None, None]
    shares = torch.tensor([[2.0, 1.0, 1.0]])
    wanted = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64) @ moments(seen).std
    assert torch.allclose(moments(blend(seen, shares, "picture")).std[0], wanted)


@pytest.mark.parametrize("law", LAWS)
def test_a_blend_of_one_is_that_one(law):
    samples = pictures(3, 4, 8, 8, std=5.5)
    assert blend(samples, torch.tensor([[0.0, 2.0, 0.0]]), law)[0].equal(samples[1])


@pytest.mark.parametrize("law", ["picture", "straight"])
def test_a_mean_of_nothing_is_refused(law):
    with pytest.raises(GenartError, match="add up to 0"):
        blend(noise(2, 4, 8, 8), torch.tensor([[1.0, -1.0]]), law)


def places(rows: int, columns: int) -> tuple[torch.Tensor, torch.Tensor]:
    right = torch.linspace(0, 1, columns).repeat(rows)
    return right, torch.linspace(0, 1, rows).repeat_interleave(columns)


@pytest.mark.parametrize("law", LAWS)
def test_an_atlas_has_its_corners_and_its_sides_are_ways_between_them(law):
    corners = noise(4, 4, 16, 16) if law == "noise" else pictures(4, 4, 16, 16, std=5.5)
    sheet = atlas(corners, *places(3, 5), law).unflatten(0, (3, 5))
    assert sheet[[0, 0, -1, -1], [0, -1, 0, -1]].equal(corners)
    across, down = torch.linspace(0, 1, 5), torch.linspace(0, 1, 3)
    for side, ends, t in (
        (sheet[0], [0, 1], across),
        (sheet[-1], [2, 3], across),
        (sheet[:, 0], [0, 2], down),
        (sheet[:, -1], [1, 3], down),
    ):
        assert torch.allclose(side, between(corners[ends], t, law), atol=1e-5)


def test_an_atlas_of_noise_is_noise_and_hardly_knows_rows_from_columns():
    corners = noise(4, 4, 64, 64)
    sheet = atlas(corners, *places(5, 5), "noise")
    # 16,384 numbers: five standard errors of a deviation are .028
    assert ((sheet.flatten(1).std(1) - 1).abs() < 0.028).all()
    turned = atlas(corners[[0, 2, 1, 3]], *places(5, 5), "noise").unflatten(0, (5, 5))
    off = (turned.transpose(0, 1).flatten(0, 1) - sheet).flatten(1).norm(dim=1)
    assert (off < 0.02 * sheet.flatten(1).norm(dim=1)).all()


def test_weights_of_corners_sum_to_one():
    weights = corner_weights(*places(4, 3))
    assert torch.allclose(weights.sum(1), torch.ones(12)) and weights.min() >= 0
    assert weights[[0, 2, 9, 11]].equal(torch.eye(4))


@pytest.mark.parametrize("shape", [(1, 4, 16, 16), (1, 4, 3, 16, 16)])
def test_statistics_are_met_in_part_and_whole(shape):
    x, like = noise(*shape), pictures(*shape, std=5.5, seed=1) + 2
    for how in ("moments", "spectrum"):
        assert match(x, like, how, 0).equal(x)
        made = match(x, like, how, 1)
        assert torch.allclose(moments(made).std, moments(like).std, rtol=1e-4)
        assert torch.allclose(moments(made).mean, moments(like).mean, atol=1e-4)
        half = moments(match(x, like, how, 0.5)).std
        assert torch.allclose(half, (moments(x).std + moments(like).std) / 2, rtol=1e-4)
        assert torch.allclose(match(like, like, how, 1), like, atol=1e-4)


def test_a_spectrum_is_met_where_moments_are_not_enough():
    x, like = noise(1, 4, 32, 32), pictures(1, 4, 32, 32, std=5.5, seed=1)
    rings = spectrum(like)
    assert torch.allclose(spectrum(match(x, like, "spectrum", 1)), rings, rtol=1e-2)
    finest = spectrum(match(x, like, "moments", 1))[..., 16] / rings[..., 16]
    assert (finest > 3).all()


def test_spectra_of_two_sizes_are_refused_and_moments_are_not():
    x, like = noise(1, 4, 16, 16), noise(1, 4, 16, 24)
    assert match(x, like, "moments", 1).shape == x.shape
    with pytest.raises(GenartError, match="16x16 places and the reference 24x16"):
        match(x, like, "spectrum", 1)


WAYS = [
    Journey(),
    Journey(loop=True),
    Journey(loop=True, smooth=True, easing="sine"),
    Journey(smooth=True, easing="hold"),
]


def keys_of(law: Law, count: int = 3) -> torch.Tensor:
    return noise(count, 4, 16, 16) if law == "noise" else pictures(count, 4, 16, 16, std=5.5)


def walked(keys: torch.Tensor, way: Journey, frames: int, law: Law) -> torch.Tensor:
    return gone(path(keys, way, frames, law), range(frames), lambda _: None)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("way", WAYS)
def test_a_path_meets_its_keys_and_a_loop_returns(law, way):
    keys = keys_of(law)
    frames = 12 if way.loop else 9
    made = walked(keys, way, frames, law)
    assert made[::4].equal(keys)
    after = path(keys, way, frames, law)(torch.tensor([frames]))
    assert after[0].equal(keys[0])


@pytest.mark.parametrize("law", LAWS)
def test_a_path_of_two_keys_is_the_way_between_them(law):
    pair = keys_of(law, 2)
    made = walked(pair, Journey(), 7, law)
    wanted = between(pair, torch.linspace(0, 1, 7, dtype=torch.float64), law)
    assert torch.allclose(made, wanted, atol=1e-5)


@pytest.mark.parametrize("smooth", [False, True])
def test_a_path_of_noise_is_noise_and_one_of_pictures_keeps_contrast(smooth):
    way = Journey(loop=True, smooth=smooth)
    seen = walked(noise(5, 4, 64, 64), way, 25, "noise")
    # 16,384 numbers: five standard errors of a deviation are .028
    assert ((seen.flatten(1).std(1) - 1).abs() < 0.028).all()
    keys = pictures(3, 4, 32, 32, std=5.5) * torch.tensor([1.0, 2.0, 3.0])[:, None, None, None]
    spread = moments(walked(keys, way, 24, "picture")).std
    least, most = moments(keys).std.amin(0), moments(keys).std.amax(0)
    slack = 0.2 if smooth else 1e-5  # a spline swings out a little
    assert (spread > least * (1 - slack)).all() and (spread < most * (1 + slack)).all()
    grey = moments(walked(keys, way, 24, "straight")).std
    halfway = slice(4, None, 8)
    assert (grey[halfway].mean(1) < spread[halfway].mean(1)).all()
    assert grey[halfway].mean() < 0.92 * spread[halfway].mean()  # .86 when this was written


@pytest.mark.parametrize("law", LAWS)
def test_times_decide_when_a_key_is_reached(law):
    keys = keys_of(law)
    made = walked(keys, Journey((0, 1, 4)), 9, law)
    assert made[[0, 2, 8]].equal(keys)
    for times, says in (((0, 2, 2), "must rise"), ((0, float("nan"), 2), "must rise")):
        with pytest.raises(GenartError, match=says):
            path(keys, Journey(times), 9, law)
    with pytest.raises(GenartError, match="two keys"):
        path(keys[:1], Journey(), 9, law)


def test_shares_of_keys_are_how_far_a_path_is():
    shares = Journey((0, 1, 4, 5), loop=True, smooth=True).shares(3, 10)
    assert torch.allclose(shares.sum(1), torch.ones(10, dtype=torch.float64))
    assert shares[[0, 2, 8]].equal(torch.eye(3, dtype=torch.float64)) and shares[9, 0] == 0.5
