"""Latent Doctor knows noise from pictures, finds what is wrong, and is not misled by chance."""

import math

import pytest
import torch
from latent_samples import noise, pictures

from comfy_genart_nodes.latent.doctor import examine, is_noise, report
from comfy_genart_nodes.latent.families import SCALES
from comfy_genart_nodes.latent.sphere import lerp, slerp


@pytest.mark.parametrize("shape", [(4, 64, 64), (16, 32, 48), (4, 8, 8), (16, 3, 9, 14), (3, 4, 4)])
def test_noise_is_noise_at_every_size(shape):
    """None of 100 seeds is misjudged: five standard errors are one in two million."""
    for seed in range(100):
        found = examine(noise(*shape, seed=seed))
        assert found.kind == "noise" and found.complaints == ()


@pytest.mark.parametrize("shape", [(4, 64, 64), (16, 32, 48), (16, 3, 16, 16)])
def test_pictures_are_pictures_whatever_their_contrast(shape):
    for std in (0.3, 1.0, 5.5):
        found = examine(pictures(*shape, std=std))
        assert found.kind == "picture" and found.std == pytest.approx(std, rel=1e-3)
        assert found.slope == pytest.approx(-2, abs=0.3)
        assert not is_noise(pictures(*shape, std=std))


@pytest.mark.parametrize("model", SCALES)
def test_encoded_pictures_are_known_by_their_spread(model):
    scale, _ = SCALES[model]
    channels = 4 if model.startswith(("SD 1", "SDXL")) else 16
    found = examine(pictures(channels, 64, 64, std=1 / scale))
    assert found.model == model and found.complaints == ()
    assert model in found.text()


def test_a_scale_that_was_applied_already_is_told():
    found = examine(pictures(4, 64, 64))
    assert found.model == ""
    assert "multiply" in found.complaints[0] and "5.49 (SD 1.5)" in found.complaints[0]


def test_the_plain_mean_of_noises_is_told_and_the_great_circle_is_not():
    a, b = noise(1, 4, 64, 64), noise(1, 4, 64, 64, seed=1)
    found = examine(lerp(a, b, 0.5)[0])
    assert found.kind == "scaled noise" and found.std == pytest.approx(0.5**0.5, abs=0.02)
    assert "Interpolate Latents" in found.complaints[0]
    assert examine(slerp(a, b, 0.5)[0]).complaints == ()


def test_noise_interpolated_pixel_by_pixel_is_told():
    a, b = (noise(4, 64 * 64, seed=seed).T for seed in (0, 1))
    found = examine(slerp(a, b, 0.5).T.reshape(4, 64, 64))
    assert found.kurtosis < -0.3
    assert any("pixel by pixel" in sentence for sentence in found.complaints)


@pytest.mark.parametrize(
    ("sample", "says"),
    [
        (14.6 * noise(4, 32, 32), "deviation is not 1"),
        (noise(4, 32, 32) + 0.3, "mean is not 0"),
        (noise(4, 32, 32) ** 3 / math.sqrt(15), "not normally distributed"),
        (noise(4, 32, 32) * torch.tensor([1.0, 0, 1, 0])[:, None, None], "channel 1, 3 of 0 to 3"),
    ],
)
def test_what_is_wrong_is_told(sample, says):
    assert any(says in sentence for sentence in examine(sample).complaints)


def test_one_colour_is_no_noise():
    flat = torch.tensor([0.5, -1.0, 2.0, 0.1])[:, None, None].expand(4, 32, 32)
    found = examine(flat)
    assert found.kind == "" and found.flat == (0, 1, 2, 3)


def test_nan_is_told_and_the_rest_is_still_judged():
    sample = noise(4, 64, 64)
    sample[0, 0, :3] = torch.tensor([math.nan, math.inf, -math.inf])
    found = examine(sample)
    assert found.broken == 3 and found.kind == "noise"
    assert "3 numbers NaN or infinite" in found.text() and "NaN" in found.complaints[0]
    assert math.isfinite(examine(torch.full((4, 8, 8), math.nan)).std)


def test_nothing_and_too_few_places():
    assert examine(torch.zeros(4, 64, 64)).kind == "empty"
    assert examine(torch.zeros(4, 64, 64)).complaints == ()
    assert examine(torch.zeros(16, 1, 1)).kind == "empty"
    small = examine(5 * noise(4, 4, 4))
    assert small.kind == "" and small.slope is None


def test_a_report_names_each_latent_and_counts_what_is_wrong():
    samples = torch.cat([noise(2, 4, 64, 64), lerp(*noise(2, 1, 4, 64, 64, seed=5), 0.5)])
    seen: list[int] = []
    text = report(samples, seen.append)
    assert "3 latents: 4 channels (as those of SD 1.5" in text and "64x64 places" in text
    assert "Latent 1: noise." in text and "! Latent 2: its deviation is .71" in text
    assert seen == [1, 2, 3]
    assert report(samples[:2]).endswith("Nothing is wrong.")
    assert "5 frames of 16x8 places" in report(noise(1, 16, 5, 8, 16))
    many = report(0.5 * noise(20, 4, 16, 16))
    assert "4 more were looked at too." in many and "14, 15 and 4 more: its deviation" in many
