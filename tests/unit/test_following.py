"""Paths at the pace of a curve, GAN latents blended by one, and the beat to try them with."""

import pytest
import torch

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.gan.following import blend, pace
from comfy_genart_nodes.gan.latents import NO_SEED, GANLatent
from comfy_genart_nodes.latent.speed import along, driven
from comfy_genart_nodes.latent.sphere import lerp, slerp
from comfy_genart_nodes.sound.beat import RATE, beat
from comfy_genart_nodes.sound.curves import curve, read


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def latents(space: str, *shape: int, seed: int = 0, model: str = "m") -> GANLatent:
    return GANLatent(space, numbers(*shape, seed=seed), None, tuple(range(shape[0])), model)


WAVE = torch.rand(30, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_an_open_path_is_gone_from_end_to_end():
    places = driven(WAVE, 0.5, 3.0, 12, around=False)
    assert float(places[0]) == 0 and float(places[-1]) == 11
    steps = places.diff()
    assert bool((steps > 0).all())
    assert torch.allclose(steps / steps.sum(), (0.5 + 3 * WAVE[1:]) / (0.5 + 3 * WAVE[1:]).sum())


def test_an_even_curve_leaves_the_path_as_it_is():
    frames = numbers(9, 4, 3, 3)
    still = torch.full((9,), 0.7, dtype=torch.float64)
    for space in ("sphere", "flat"):
        places = driven(still, 1.0, 2.0, 9, around=False)
        assert torch.equal(along(frames, places, space, False), frames)
        once = driven(torch.zeros(9), 1.0, 2.0, 9, around=True)
        assert torch.equal(along(frames, once, space, True), frames)


def test_a_loop_goes_round_as_often_as_the_curve_wants():
    places = driven(WAVE, 1.0, 4.0, 10, around=True)
    gone = (1 + 4 * WAVE)[1:].cumsum(0)
    assert torch.allclose(places[1:], gone % 10) and float(gone[-1]) > 50
    frames = numbers(10, 6)
    last = along(frames, torch.tensor([9.25]), "flat", True)
    assert torch.allclose(last, 0.75 * frames[9:] + 0.25 * frames[:1])


def test_it_never_goes_backwards_and_what_stands_still_is_refused():
    places = driven(torch.tensor([0.0, 1, 0, 1]), 1.0, -5.0, 4, around=False)
    assert places.tolist() == [0, 0, 3, 3]
    with pytest.raises(GenartError, match="stands still"):
        driven(WAVE, 0.0, 0.0, 4, around=False)
    with pytest.raises(GenartError, match="no numbers"):
        driven(torch.tensor([]), 1.0, 0.0, 4, around=False)
    with pytest.raises(GenartError, match="two keys"):
        along(numbers(1, 4), torch.tensor([0.0]), "flat", False)
    assert driven(torch.tensor([0.5]), 1.0, 1.0, 7, around=False).tolist() == [0]


def test_a_long_path_is_the_same_in_pieces():
    frames, places = numbers(7, 5), driven(torch.rand(700), 0.1, 1.0, 7, around=True)
    whole = along(frames, places, "sphere", True)
    assert torch.equal(whole[300:310], along(frames, places[300:310], "sphere", True))


@pytest.mark.parametrize(("space", "shape"), [("z", (8, 16)), ("w", (8, 16)), ("w+", (8, 3, 16))])
def test_gan_latents_keep_their_seeds_where_they_are_frames(space, shape):
    path = latents(space, *shape)
    made = pace(path, torch.tensor([0.0, 1, 1, 3]), 0.0, 1.0, around=True)
    assert made.space == space and made.model == "m"
    assert torch.equal(made.tensor, path.tensor[[0, 1, 2, 5]]) and made.seeds == (0, 1, 2, 5)
    half = pace(path, torch.tensor([0.0, 0.5]), 0.0, 1.0, around=True)
    assert half.seeds == (0, NO_SEED)
    turn = slerp if space == "z" else lerp
    assert torch.allclose(half.tensor[1], turn(path.tensor[:1], path.tensor[1:2], 0.5)[0])


def test_a_blend_is_as_much_of_each_as_the_curve_says():
    a, b = latents("w", 4, 16), latents("w", 1, 16, seed=1)
    made = blend(a, b, torch.tensor([0.0, 0.25, 1.0, -1.0]))
    assert torch.equal(made.tensor[0], a.tensor[0]) and torch.equal(made.tensor[2], b.tensor[0])
    assert made.seeds == (0, NO_SEED, 0, NO_SEED)
    assert torch.allclose(made.tensor[1], 0.75 * a.tensor[1] + 0.25 * b.tensor[0], atol=1e-6)
    assert torch.allclose(made.tensor[3], 2 * a.tensor[3] - b.tensor[0], atol=1e-6)


def test_a_blend_with_the_centre_is_truncation():
    w, centre = latents("w", 5, 16), latents("w", 1, 16, seed=1)
    psi = torch.tensor([1.0, 0.7, 0.5, 0.0, 1.3])
    made = blend(w, centre, 1 - psi)
    truncated = centre.tensor + psi[:, None] * (w.tensor - centre.tensor)
    assert torch.allclose(made.tensor, truncated, atol=1e-6)


def test_w_joins_w_plus_and_z_turns():
    plus, w = latents("w+", 3, 4, 16), latents("w", 3, 16, seed=1)
    half = torch.full((3,), 0.5)
    for one, other in ((plus, w), (w, plus)):
        made = blend(one, other, half)
        assert made.space == "w+"
        assert torch.allclose(made.tensor, (plus.tensor + w.tensor[:, None]) / 2, atol=1e-6)
    a, b = latents("z", 3, 16), latents("z", 3, 16, seed=1)
    assert torch.equal(blend(a, b, half).tensor, slerp(a.tensor, b.tensor, half))


@pytest.mark.parametrize(
    ("a", "b", "says"),
    [
        (latents("z", 3, 16), latents("w", 3, 16), "wire the GAN"),
        (latents("w", 3, 16), latents("w", 3, 16, model="n"), "different GANs"),
        (latents("w", 3, 16), latents("w", 3, 8), "different GANs"),
        (latents("w", 2, 16), latents("w", 3, 16), "2 latents and 3 numbers"),
    ],
)
def test_what_does_not_go_together_is_refused(a, b, says):
    with pytest.raises(GenartError, match=says):
        blend(a, b, torch.full((3,), 0.5))


@pytest.mark.parametrize("values", [[0.5, 1, 0], torch.tensor([0.5, 1, 0]), (0.5, 1.0, 0.0)])
def test_curves_of_other_packs_are_read(values):
    assert read(values).tolist() == [0.5, 1, 0]
    assert read(0.25).tolist() == [0.25]


@pytest.mark.parametrize("values", ["loud", [], None, [0.1, float("nan")], {"a": 1}])
def test_what_is_no_curve_is_refused(values):
    with pytest.raises(GenartError, match="This curve"):
        read(values)


def test_the_beat_is_as_long_as_its_bars_and_on_time():
    sound = beat(3, 120.0, 4)
    assert sound.shape == (2, 8 * RATE) and sound.dtype == torch.float32
    assert 0.89 < float(sound.abs().max()) <= 0.9001
    assert torch.equal(sound, beat(3, 120.0, 4)) and not torch.equal(sound, beat(4, 120.0, 4))
    beats = curve(sound, RATE, "onsets", 20.0).reshape(16, 10)  # half a second a beat
    assert beats[:, :2].amax(dim=1).min() > 0.2  # a drum on every beat
    low, high = (curve(sound, RATE, each, 20.0).reshape(16, 10) for each in ("low", "high"))
    assert float(low[:, 0].min()) > 0.8 and float(high[2::4, 0].max()) < 0.2
    assert float(high[1::2, 0].min()) > 0.5  # the snare
