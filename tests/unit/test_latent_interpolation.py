"""Interpolation keeps what it should: ends, norms, the law of noise, smoothness, order."""

import math

import pytest
import torch
from latent_samples import is_noise, noise

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.latent.blends import lol, means
from comfy_genart_nodes.latent.loops import circle, periodic
from comfy_genart_nodes.latent.speed import even_times, unevenness
from comfy_genart_nodes.latent.sphere import (
    angles,
    exp,
    inner,
    karcher_mean,
    lerp,
    log,
    nlerp,
    norms,
    slerp,
    units,
)
from comfy_genart_nodes.latent.statistics import (
    blended,
    matched,
    moments,
    spectrum,
    with_spectrum,
)
from comfy_genart_nodes.latent.tracks import EASINGS, Track

WAYS = [lerp, nlerp, slerp]
SHAPES = [(7,), (4, 16, 16), (4, 4, 8, 8), (4, 3, 8, 8)]


def pairs(channels: int, seeds: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    shape = (seeds, channels, 64, 64)
    return noise(*shape, seed=1), noise(*shape, seed=2)


@pytest.mark.parametrize("channels", [4, 16])
def test_the_midpoint_of_noises_is_noise(channels):
    a, b = pairs(channels, 200 if channels == 4 else 60)
    assert is_noise(slerp(a, b, 0.5))
    assert not is_noise(lerp(a, b, 0.5))


def test_per_pixel_it_would_not_be():
    """What other nodes do: a great circle through the channels of every pixel."""
    a, b = pairs(4, 20)
    flat = [x.movedim(1, -1).reshape(-1, 4) for x in (a, b)]
    made = slerp(*flat, 0.5).reshape(20, 64, 64, 4).movedim(-1, 1)
    assert not is_noise(made)


def test_a_mean_of_five_noises_is_noise():
    five = noise(5, 4, 256, 256)
    made = lol(five, torch.full((1, 5), 0.2))
    assert is_noise(made.reshape(1, 4, 256, 256))
    assert abs(float(made.std()) - 1) < 0.002
    assert float(means(five, torch.full((1, 5), 1.0)).std()) == pytest.approx(0.2**0.5, abs=0.002)


def test_a_combination_keeps_mean_and_covariance():
    """Two channels that go together, around a mean, stay so."""
    weights = torch.tensor([[0.7, -0.2, 0.9]])
    base = noise(3, 200_000, seed=3)
    other = 0.8 * base + 0.6 * noise(3, 200_000, seed=4)
    samples = torch.stack([base, other], dim=1) + torch.tensor([2.0, -1.0])[None, :, None]
    made = lol(samples, weights, mean=torch.tensor([2.0, -1.0])[:, None])[0]
    assert made.mean(dim=1).tolist() == pytest.approx([2.0, -1.0], abs=0.02)
    assert torch.allclose(torch.cov(made), torch.tensor([[1.0, 0.8], [0.8, 1.0]]), atol=0.02)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_batch_is_its_samples_one_by_one(way, shape):
    for count in range(1, 9):  # batch == channels among them
        a, b = noise(count, *shape, seed=5), noise(count, *shape, seed=6)
        t = torch.linspace(0.1, 0.9, count)
        made = way(a, b, t)
        alone = [way(a[i : i + 1], b[i : i + 1], t[i : i + 1]) for i in range(count)]
        assert made.equal(torch.cat(alone))


@pytest.mark.parametrize("way", WAYS)
def test_the_ends_are_the_ends(way):
    a, b = noise(3, 4, 8, 8, seed=7), 3 * noise(3, 4, 8, 8, seed=8)
    assert way(a, b, 0.0).equal(a) and way(a, b, 1.0).equal(b)


@pytest.mark.parametrize("way", [nlerp, slerp])
def test_norms_go_linearly(way):
    a, b = noise(2, 4, 8, 8, seed=7), 3 * noise(2, 4, 8, 8, seed=8)
    wanted = 0.25 * norms(b) + 0.75 * norms(a)
    assert torch.allclose(norms(way(a, b, 0.25)), wanted, rtol=1e-6)


def test_a_great_circle_has_constant_speed():
    a, b = noise(1, 500, seed=9), noise(1, 500, seed=10)
    points = torch.cat([slerp(a, b, t / 10).double() for t in range(11)])
    steps = angles(points[:-1], points[1:])
    assert unevenness(steps) < 1e-5
    assert float(steps.sum()) == pytest.approx(float(angles(a, b)), rel=1e-5)


def test_turned_round_it_is_the_same_way():
    a, b = noise(2, 64, seed=11), noise(2, 64, seed=12)
    for way in WAYS:
        assert torch.allclose(way(a, b, 0.3), way(b, a, 0.7), atol=1e-6)


def test_identical_opposite_and_nothing():
    a = noise(1, 4, 8, 8)
    assert torch.allclose(slerp(a, a, 0.5), a, atol=1e-6)
    half = slerp(a, -a, 0.5)
    assert norms(half) == pytest.approx(norms(a), rel=1e-6)  # not through nothing
    assert float(inner(half, a)) == pytest.approx(0, abs=1e-3)
    zero = torch.zeros_like(a)
    assert torch.allclose(slerp(zero, a, 0.25), a / 4) and torch.allclose(
        slerp(a, zero, 0.5), a / 2
    )
    assert not slerp(zero, zero, 0.5).any()


def test_beyond_the_ends_it_goes_on():
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert torch.allclose(slerp(a, b, 2.0), torch.tensor([[-1.0, 0.0]]), atol=1e-6)
    assert torch.allclose(lerp(a, b, 2.0), torch.tensor([[-1.0, 2.0]]))


def test_beyond_the_ends_norms_are_those_of_the_ends():
    a, b = noise(1, 4, 8, 8, seed=1) * 14, noise(1, 4, 8, 8, seed=2)
    for t, end in ((1.2, b), (-0.2, a)):
        gone = slerp(a, b, torch.tensor([t]))
        assert torch.allclose(norms(gone), norms(end), rtol=1e-5)
        assert float(inner(units(gone), units(end))) > 0.9  # and not behind the origin


def test_exp_undoes_log():
    a, b = noise(5, 30, seed=13), noise(5, 30, seed=14)
    reached = exp(a, log(a, b))
    assert torch.allclose(reached, (b / b.norm(dim=1, keepdim=True)).double(), atol=1e-6)
    assert torch.allclose(norms(log(a, b)), angles(a, b))


def test_the_mean_of_points_is_where_all_pulls_cancel():
    points = noise(1, 40) + 0.5 * noise(6, 40, seed=15)
    weights = torch.tensor([1.0, 2.0, 3.0, 1.0, 1.0, 0.5])
    mean = karcher_mean(points, weights)
    pull = (log(mean.expand_as(points), points) * weights[:, None].double()).sum(dim=0)
    assert float(pull.norm()) < 1e-5
    two = karcher_mean(points[:2])
    assert torch.allclose(two, slerp(points[:1], points[1:2], 0.5), atol=1e-5)


@pytest.mark.parametrize("space", ["sphere", "flat"])
@pytest.mark.parametrize("loop", [False, True])
def test_a_track_meets_its_keys(space, loop):
    keys, times = noise(4, 3, 6, seed=16), torch.tensor([0.0, 1.0, 1.5, 4.0])
    marks = torch.cat([times, torch.tensor([5.0])]) if loop else times
    for smooth in (False, True):
        track = Track(keys, marks, space, smooth, loop)
        assert torch.allclose(track.at(times), keys, atol=1e-6)


@pytest.mark.parametrize("space", ["sphere", "flat"])
@pytest.mark.parametrize("loop", [False, True])
def test_a_smooth_track_has_no_corner_and_a_plain_one_has(space, loop):
    keys, times = noise(4, 30, seed=17), torch.tensor([0.0, 1.0, 1.5, 4.0])
    marks = torch.cat([times, torch.tensor([5.0])]) if loop else times

    def corner(smooth: bool) -> float:
        track, h = Track(keys.double(), marks, space, smooth, loop), 1e-4
        inner_keys = marks[:-1] if loop else marks[1:-1]
        now, before, after = (track.at(inner_keys.double() + d) for d in (0.0, -h, h))
        return float(((after - now) - (now - before)).norm() / (after - before).norm())

    assert corner(True) < 1e-2 < 0.1 < corner(False)


@pytest.mark.parametrize("smooth", [False, True])
def test_a_loop_comes_back(smooth):
    track = Track(noise(3, 20, seed=18), torch.arange(4.0), "sphere", smooth, loop=True)
    frames = track.at(track.frames(12))
    again = track.at(torch.tensor([3.0, 3.25]))
    assert torch.allclose(again, frames[:2], atol=1e-6)
    steps = angles(frames, frames.roll(-1, 0))
    assert float(steps[-1]) < 2 * float(steps.mean())  # no jump where it closes


@pytest.mark.parametrize("space", ["sphere", "flat"])
@pytest.mark.parametrize("smooth", [False, True])
def test_keys_in_the_other_order_give_the_same_path(space, smooth):
    keys, times = noise(4, 10, seed=19), torch.tensor([0.0, 1.0, 1.5, 4.0])
    there = Track(keys, times, space, smooth)
    back = Track(keys.flip(0), 4 - times.flip(0), space, smooth)
    at = torch.linspace(0, 4, 17)
    assert torch.allclose(there.at(at), back.at(4 - at), atol=1e-5)


def test_frames_do_not_depend_on_how_many_are_asked_for_at_once():
    track = Track(noise(3, 4, 8, 8), torch.arange(3.0), smooth=True)
    at = track.frames(10)
    assert track.at(at).equal(torch.cat([track.at(at[i : i + 3]) for i in range(0, 10, 3)]))


@pytest.mark.parametrize("name", EASINGS)
def test_easings_go_from_0_to_1_and_never_back(name):
    t = torch.linspace(0, 1, 101, dtype=torch.float64)
    eased = EASINGS[name](t)
    assert eased[0] == 0 and eased[-1] == 1 and bool((eased.diff() >= -1e-12).all())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"keys": noise(1, 4)}, "at least two keys"),
        ({"times": torch.tensor([0.0, 2.0, 1.0])}, "must rise"),
        ({"times": torch.tensor([0.0, 1.0])}, "3 keys and 2 times"),
        ({"loop": True}, "return to the first"),
        ({"easings": ["linear"]}, "2 ways between keys and 1 easings"),
        ({"easings": ["linear", "bouncy"]}, "no easing 'bouncy'"),
    ],
)
def test_tracks_that_make_no_path_are_refused(changes, says):
    with pytest.raises(GenartError, match=says):
        Track(**{"keys": noise(3, 4), "times": torch.arange(3.0)} | changes)


def test_a_circle_of_noise_is_noise_and_closes():
    a, b = noise(64, 128, 128, seed=20), noise(64, 128, 128, seed=21)
    made = circle(a, b, torch.linspace(0, 1, 9))
    assert made[-1].equal(made[0]) and torch.allclose(made[0], a)
    assert is_noise(made[1:2])
    assert unevenness(angles(made[:-1], made[1:])) < 0.01


def test_periodic_noise_is_noise_at_every_point_and_closes():
    waves = noise(3, 2, 4, 64, 64, seed=22)
    made = periodic(waves, torch.tensor([0.0, 0.3, 0.77, 1.0]))
    assert torch.allclose(made[-1], made[0], atol=1e-6)
    assert float(made.std()) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    ("weights", "says"), [((1, 2), "3 latents and 2 weights"), ((1, 3), "All weights are 0")]
)
def test_weights_that_blend_nothing_are_refused(weights, says):
    with pytest.raises(GenartError, match=says):
        lol(noise(3, 5), torch.zeros(weights))


def test_moments_are_met_and_blend():
    x, other = 3 * noise(2, 4, 16, 16) + 1, 0.5 * noise(2, 4, 16, 16, seed=23) - 2
    made = moments(matched(x, moments(other)))
    assert torch.allclose(made.mean, moments(other).mean, atol=1e-5)
    assert torch.allclose(made.std, moments(other).std, atol=1e-5)
    half = blended(moments(x), torch.tensor([[0.5, 0.5]]))
    assert torch.allclose(half.std[0], moments(x).std.mean(dim=0))
    flat = matched(torch.ones(1, 4, 8, 8), moments(other[:1]))
    assert torch.allclose(flat.mean((2, 3)).double(), moments(other[:1]).mean, atol=1e-6)


def test_spectra_are_met_and_phases_stay():
    x, other = noise(1, 4, 24, 16), noise(1, 4, 24, 16, seed=24).cumsum(dim=-1)
    made = with_spectrum(x, spectrum(other))
    assert torch.allclose(spectrum(made), spectrum(other), rtol=1e-3)
    assert torch.allclose(with_spectrum(x, spectrum(x)), x, atol=1e-5)
    flat = spectrum(noise(64, 4, 32, 32)).mean(dim=(0, 1))
    assert flat[1:17].max() / flat[1:17].min() < 1.1  # white noise: alike at all frequencies


def test_even_times_make_even_steps():
    def place(t: torch.Tensor) -> torch.Tensor:
        return t**3

    looked = torch.linspace(0, 1, 400, dtype=torch.float64)
    times = even_times(looked, place(looked).diff(), torch.linspace(0, 1, 21))
    assert unevenness(place(times).diff()) < 0.02 < 0.5 < unevenness(place(looked).diff())
    assert float(times[0]) == 0 and float(times[-1]) == 1
    still = even_times(looked, torch.zeros(399), torch.linspace(0, 1, 5))
    assert still.tolist() == pytest.approx([0, 0.25, 0.5, 0.75, 1])


def test_angles_are_exact_near_both_ends():
    a = noise(1, 100, seed=25).double()
    b = a + 1e-9 * noise(1, 100, seed=26).double()
    small = float(angles(a, b))
    across = noise(1, 100, seed=26).double()
    across = across - inner(a, across)[:, None] / inner(a, a)[:, None] * a
    assert small == pytest.approx(float(norms(1e-9 * across) / norms(a)), rel=1e-4)
    assert float(angles(a, -b)) == pytest.approx(math.pi - small, abs=1e-12)


def test_times_that_rounding_spoils_are_still_those_of_keys():
    keys = noise(3, 4, 4, 4)
    track = Track(keys, torch.tensor([0, 0.1, 0.3]).double(), "flat", easings=("hold", "hold"))
    assert track.at(track.frames(4)).equal(keys[[0, 1, 1, 2]])
