"""Laws of a sound's curves: where they rise, what they are blind to, how long they are."""

import math

import numpy as np
import pytest
import torch

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.sound.curves import BANDS, KINDS, curve, follow
from comfy_genart_nodes.sound.plot import SIZE, plot

RATE, FPS = 48_000, 24.0
HOP = 2000


def tone(hertz: float, seconds: float = 1.0, amplitude: float = 0.5) -> torch.Tensor:
    """With soft ends, or its beginning would hold all pitches: `[1, samples]`."""
    time = torch.arange(round(seconds * RATE), dtype=torch.float64) / RATE
    soft = (torch.minimum(time, seconds - time) / 0.1).clamp(0, 1)
    soft = (1 - torch.cos(torch.pi * soft)) / 2
    return (amplitude * soft * torch.sin(2 * torch.pi * hertz * time))[None].float()


def noise(seconds: float, seed: int = 0, channels: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(channels, round(seconds * RATE), generator=generator)


def clicks(frames: list[int], count: int, amplitude: float = 0.8) -> torch.Tensor:
    """Bursts of 5 ms, the first sample of each being the first of its frame."""
    made = torch.zeros(1, count * HOP)
    for frame in frames:
        made[0, frame * HOP : frame * HOP + 240] = amplitude * noise(0.005, frame)[0] * 10
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_silence_is_zeros(kind):
    assert torch.equal(curve(torch.zeros(2, RATE), RATE, kind, FPS), torch.zeros(24))
    hiss = 1e-5 * noise(1.0)
    assert float(curve(hiss, RATE, kind, FPS).max()) < 0.1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seconds", [0.5, 1.0, 2.345])
@pytest.mark.parametrize("fps", [1.0, 23.976, 24.0, 60.0, 240.0])
def test_there_is_a_number_for_each_frame(kind, seconds, fps):
    made = curve(noise(seconds, channels=2), RATE, kind, fps)
    assert len(made) == math.floor(seconds * fps + 0.5) and made.dtype == torch.float32
    assert float(made.min()) >= 0 and float(made.max()) == 1


@pytest.mark.parametrize("amplitude", [0.05, 0.8])
def test_clicks_are_onsets_in_their_frames(amplitude):
    frames = [3, 10, 17, 24, 40]
    made = curve(clicks(frames, 48, amplitude), RATE, "onsets", FPS)
    assert (made > 0.3).nonzero().flatten().tolist() == frames
    others = [i for i in range(48) if i not in frames]
    assert float(made[others].max()) < 1e-6


@pytest.mark.parametrize("hertz", [30.0, 55.0, 100.0, 440.0, 3000.0])
def test_a_steady_tone_has_no_onsets_but_its_first(hertz):
    made = curve(tone(hertz, 2.0), RATE, "onsets", FPS)
    assert float(made[4:].max()) < 0.2


@pytest.mark.parametrize(
    ("hertz", "band"), [(60, "low"), (100, "low"), (440, "mid"), (2500, "mid"), (9000, "high")]
)
def test_a_tone_is_in_one_band_alone(hertz, band):
    for each in BANDS:
        made = curve(tone(hertz), RATE, each, FPS)
        if each == band:
            assert float(made[4:-4].min()) > 0.95
        else:
            assert float(made.max()) < 0.1


def test_louder_is_more():
    amplitudes = [0.02, 0.05, 0.1, 0.2, 0.5, 0.9]
    sound = torch.cat([tone(440, 0.5, each) for each in amplitudes], dim=1)
    middles = curve(sound, RATE, "loudness", FPS)[6::12]
    assert bool((middles.diff() > 0).all())
    # Stevens: ten times the amplitude is felt as about four times as loud.
    assert float(middles[4] / middles[1]) == pytest.approx(10**0.6, rel=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_the_scale_of_a_sound_does_not_matter(kind):
    sound = noise(1.0) * torch.linspace(0, 1, RATE)
    full, half = (curve(sound * scale, RATE, kind, FPS) for scale in (1.0, 0.5))
    assert torch.allclose(full, half, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("later", [1, 7])
@pytest.mark.parametrize("fps", [24.0, 25.0, 30.0])
def test_a_later_sound_is_a_later_curve(kind, later, fps):
    sound = noise(1.0) * torch.linspace(0, 1, RATE).square()
    waiting = torch.zeros(1, round(later * RATE / fps))
    first = curve(sound, RATE, kind, fps)
    made = curve(torch.cat([waiting, sound], dim=1), RATE, kind, fps)
    assert torch.allclose(made[later:], first, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_stereo_is_its_mix(kind):
    both = noise(1.0, channels=2)
    mixed = both.mean(dim=0, keepdim=True)
    assert torch.allclose(curve(both, RATE, kind, FPS), curve(mixed, RATE, kind, FPS), atol=1e-6)


def test_an_envelope_comes_nearer_by_attack_and_release():
    steps = torch.tensor([0.0, 1, 1, 1, 1, 0, 0, 0, 0], dtype=torch.float64)
    assert torch.equal(follow(steps, 0, 0), steps)
    made = follow(steps, 4, 2)
    assert float(made[4]) == pytest.approx(1 - math.exp(-1))
    assert float(made[6]) == pytest.approx(float(made[4]) * math.exp(-1))


def test_a_smoothed_curve_still_reaches_one_and_gain_clips():
    sound = clicks([5, 20], 48)
    soft = curve(sound, RATE, "onsets", FPS, attack=0.1, release=0.3)
    assert float(soft.max()) == 1 and 0 < float(soft[8]) < float(soft[6])
    loud = curve(sound, RATE, "onsets", FPS, attack=0.1, release=0.3, gain=3)
    assert torch.allclose(loud, (3 * soft).clamp(max=1), atol=1e-6)
    faint = curve(sound, RATE, "onsets", FPS, gain=0.25)
    assert float(faint.max()) == pytest.approx(0.25)


def test_what_is_no_sound_is_refused():
    with pytest.raises(GenartError, match="0 frames"):
        curve(torch.zeros(1, 10), RATE, "loudness", FPS)
    with pytest.raises(GenartError, match="no numbers"):
        curve(torch.full((1, RATE), float("nan")), RATE, "loudness", FPS)


@pytest.mark.parametrize("count", [1, 24, 10_000])
def test_a_plot_shows_every_peak(count):
    values = torch.zeros(count)
    values[count // 2] = 1
    picture = np.asarray(plot(values, FPS, "onsets"), int)
    assert picture.shape == (SIZE[1], SIZE[0], 3)
    blue = picture[45:60, 44:940]
    assert (blue[..., 2] - blue[..., 0]).max() > 20
