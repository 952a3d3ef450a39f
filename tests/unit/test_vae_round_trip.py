"""Round trips, error maps and denoising, with VAEs whose doing is known."""

import math

import pytest
import torch
from torch.nn import functional as F

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.vae.denoise import denoise, shifts
from comfy_genart_nodes.vae.error_map import COLOURS, coloured, compared, end_of_scale, errors
from comfy_genart_nodes.vae.likeness import psnr, ssim
from comfy_genart_nodes.vae.round_trip import round_trip


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def smooth(*shape: int) -> torch.Tensor:
    """Pictures that change slowly, within -.8..8."""
    small = noise(*shape[:2], 4, 4, seed=3) * 0.8
    return F.interpolate(small, shape[2:], mode="bicubic").clamp(-0.8, 0.8)


def blocks(pictures: torch.Tensor, side: int = 4) -> torch.Tensor:
    """A VAE that keeps the mean of each block: a projection, so that twice is once."""
    small = F.avg_pool2d(pictures, side)
    return small.repeat_interleave(side, -1).repeat_interleave(side, -2)


def test_psnr_is_that_of_the_squared_error_in_eight_bits():
    real = torch.zeros(2, 3, 8, 8)  # 127.5, which rounds to 128
    made = real.clone()
    made[0] += 2 * 10 / 255
    assert psnr(made, real) == pytest.approx(10 * math.log10(255**2 / (100 / 2)), abs=1e-6)
    assert psnr(real + 0.4 / 255, real) == math.inf  # no file of eight bits would differ


def reference_ssim(a: torch.Tensor, b: torch.Tensor) -> float:
    """Wang et al.'s formula for one picture in double precision, window by window."""
    x, y = (((v.double() / 2 + 0.5) * 255).round() for v in (a, b))
    line = torch.exp(-(torch.arange(-5, 6).double() ** 2) / (2 * 1.5**2))
    weights = line[:, None] * line[None]
    weights /= weights.sum()
    c1, c2, found = (0.01 * 255) ** 2, (0.03 * 255) ** 2, []
    for channel in range(x.shape[0]):
        for top in range(x.shape[1] - 10):
            for left in range(x.shape[2] - 10):
                p = x[channel, top : top + 11, left : left + 11]
                q = y[channel, top : top + 11, left : left + 11]
                mp, mq = (weights * p).sum(), (weights * q).sum()
                vp, vq = (weights * (p - mp) ** 2).sum(), (weights * (q - mq) ** 2).sum()
                both = (weights * (p - mp) * (q - mq)).sum()
                up = (2 * mp * mq + c1) * (2 * both + c2)
                found.append(up / ((mp**2 + mq**2 + c1) * (vp + vq + c2)))
    return float(torch.stack(found).mean())


def test_ssim_is_wangs():
    real = smooth(2, 3, 20, 17)
    made = (real + 0.3 * noise(2, 3, 20, 17, seed=1)).clamp(-1, 1)
    expected = [reference_ssim(a, b) for a, b in zip(made, real, strict=True)]
    assert ssim(made, real).tolist() == pytest.approx(expected, abs=1e-5)
    assert 0.05 < expected[0] < 0.95
    assert ssim(real, real).tolist() == pytest.approx([1, 1], abs=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (2, 30), (7, 8)])
def test_pictures_smaller_than_a_window_have_an_ssim(size):
    real = noise(1, 3, *size)
    assert float(ssim(real, real)) == pytest.approx(1) and float(ssim(-real, real)) < 0.9


def test_an_exact_vae_loses_nothing_and_says_so():
    pictures = noise(2, 3, 16, 16)
    found = round_trip(lambda x: x.clone(), pictures, 3)
    assert torch.equal(found.rebuilt, pictures) and torch.equal(found.drift, pictures[[0, 0, 0]])
    assert [now.psnr for now in found.trips] == [math.inf] * 3
    assert "exact" in found.text() and "inf" not in found.text()
    wrong = errors(found.rebuilt, pictures)
    assert wrong.max() == 0 and end_of_scale(wrong) == 1
    assert coloured(wrong, 1).unique().tolist() == [-1]


def test_a_projection_does_not_drift_and_a_leak_does():
    pictures = noise(3, 3, 16, 16)
    still = round_trip(blocks, pictures, 4)
    assert len({round(now.psnr, 6) for now in still.trips}) == 1
    assert torch.allclose(still.drift[3], blocks(pictures)[0], atol=1e-6)
    fading = round_trip(lambda x: x * 0.9, pictures, 4)
    found = [now.psnr for now in fading.trips]
    assert found == sorted(found, reverse=True) and found[0] > found[3] + 5
    assert torch.allclose(fading.drift[3], pictures[0] * 0.9**4, atol=1e-6)


def test_the_picture_that_changed_most_is_named_first():
    pictures = smooth(3, 3, 16, 16)

    def rebuild(x: torch.Tensor) -> torch.Tensor:
        return x + torch.tensor([0.02, 0.2, 0.05]).view(-1, 1, 1, 1)

    found = round_trip(rebuild, pictures, 1)
    assert "of 3 pictures: 2 (" in found.text()
    assert found.each.index(min(found.each)) == 1


def test_another_size_is_refused():
    with pytest.raises(GenartError, match="32x16 pixels for 16x16"):
        round_trip(lambda x: torch.cat([x, x], -1), noise(1, 3, 16, 16), 1)


def test_the_map_holds_the_error_that_psnr_is_made_of():
    real, made = noise(2, 3, 9, 11), noise(2, 3, 9, 11, seed=1)
    wrong = errors(made, real)
    assert wrong.shape == (2, 9, 11)
    assert 10 * math.log10(255**2 / float(wrong.square().mean())) == pytest.approx(
        psnr(made, real), abs=1e-4
    )


def test_a_larger_error_is_a_lighter_colour():
    across = torch.linspace(0, 50, 301).view(1, 1, -1)
    shown = (coloured(across, 50)[0, :, 0] + 1) * 127.5  # [3, 301]
    light = torch.tensor([0.2126, 0.7152, 0.0722]) @ shown
    assert (light.diff() > 0).all() and light[0] == 0 and light[-1] > 250
    assert torch.allclose(shown[:, 150], COLOURS[3].float(), atol=1e-3)
    beyond = coloured(torch.full((1, 1, 1), 90.0), 50)
    assert torch.allclose((beyond.flatten() + 1) * 127.5, COLOURS[-1].float(), atol=1e-3)


@pytest.mark.parametrize(
    ("largest", "end"), [(0.0, 1), (1.0, 1), (1.2, 2), (4.9, 5), (30, 50), (150, 200), (240, 255)]
)
def test_the_scale_ends_at_a_round_number(largest, end):
    assert end_of_scale(torch.full((1, 4, 4), largest)) == end


def test_one_odd_pixel_does_not_darken_the_map():
    wrong = torch.full((1, 64, 64), 4.0)
    wrong[0, 0, 0] = 255
    assert end_of_scale(wrong) == 5


@pytest.mark.parametrize(("size", "large"), [((20, 30), (180, 270)), ((300, 400), (300, 400))])
def test_picture_rebuilt_and_map_stand_side_by_side(size, large):
    real, made = noise(2, 3, *size), noise(2, 3, *size, seed=1)
    maps = coloured(errors(made, real), 50)
    shown = compared(real, made, maps, 50, ["one", "two"])
    (height, width), times = large, large[0] // size[0]
    assert shown.shape[-1] == 3 * width + 16 and shown.shape[-2] > height
    for place, part in enumerate((real, made, maps)):
        left = place * (width + 8)
        inside = shown[:, :, :height, left : left + width]
        assert torch.equal(inside[..., ::times, ::times], part)
    words, scale = (shown[:, :, height:, x : x + width] for x in (width + 8, 2 * (width + 8)))
    assert len(scale[0].flatten(1).unique(dim=1).T) > 100  # the colours, and letters
    assert torch.equal(scale[0], scale[1]) and not torch.equal(words[0], words[1])


def test_shifts_are_spread_and_begin_without_one():
    for factor, passes in ((8, 8), (8, 16), (4, 3), (16, 16)):
        found = shifts(factor, passes)
        assert found[0] == (0, 0) and all(0 <= s < factor for pair in found for s in pair)
        assert len(set(found)) == passes
        assert len({top for top, _ in found}) == min(passes, factor)


def test_one_pass_without_noise_is_a_round_trip():
    pictures = noise(2, 3, 16, 24)
    assert torch.equal(denoise(blocks, pictures, 4, 1, 0.0, 0), blocks(pictures))


@pytest.mark.parametrize("size", [(16, 16), (13, 18), (5, 31)])
@pytest.mark.parametrize("passes", [1, 5])
def test_an_exact_vae_changes_nothing_whatever_the_size(size, passes):
    pictures = noise(2, 3, *size)

    def exact(x: torch.Tensor) -> torch.Tensor:
        assert x.shape[-2] % 8 == 0 and x.shape[-1] % 8 == 0
        return x

    made = denoise(exact, pictures, 4 if max(size) < 8 else 8, passes, 0.0, 0)
    assert torch.allclose(made, pictures, atol=1e-6)


def test_edges_are_mirrored():
    seen = []

    def look(x: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return x

    row = torch.arange(6.0).view(1, 1, 1, 6).expand(1, 3, 6, 6) / 10
    denoise(look, row, 4, 4, 0.0, 0)
    first, moved = ((x[0, 0, 0] * 10).round().tolist() for x in (seen[0], seen[1]))
    assert first == [0, 1, 2, 3, 4, 5, 4, 3]
    assert moved == [2, 1, 0, 1, 2, 3, 4, 5]


def test_the_mean_is_nearer_to_the_truth_than_a_pass():
    """Noise goes, and the grid of blocks with it."""
    truth = smooth(1, 3, 32, 32)
    noisy = truth + 0.2 * noise(1, 3, 32, 32, seed=5)

    def off(made: torch.Tensor) -> float:
        return float((made - truth).square().mean())

    one, many = (denoise(blocks, noisy, 4, passes, 0.0, 0) for passes in (1, 16))
    assert off(many) < 0.6 * off(one) and off(many) < 0.3 * off(noisy)


def test_noise_is_added_anew_and_the_same_for_a_seed():
    pictures, seen = torch.zeros(1, 3, 64, 64), []

    def look(x: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return x

    made = [denoise(look, pictures, 1, 2, 0.1, seed) for seed in (3, 3, 4)]
    assert torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2])
    assert not torch.equal(seen[0], seen[1])
    assert float(seen[0].std()) == pytest.approx(0.2, rel=0.05)  # of -1..1: 0.1 of black to white


def test_one_place_for_all_is_not_shifted():
    def whole(x: torch.Tensor) -> torch.Tensor:
        assert x.shape[-2:] == (16, 16)
        return x.mean((2, 3), keepdim=True).expand_as(x)

    pictures = noise(1, 3, 16, 16)
    assert torch.allclose(denoise(whole, pictures, 16, 4, 0.0, 0), whole(pictures), atol=1e-6)


@pytest.mark.parametrize("size", [(5, 5), (20, 100), (100, 100)])
def test_pictures_smaller_than_one_place_are_filled_up_to_it(size):
    def whole(x: torch.Tensor) -> torch.Tensor:
        assert x.shape[-2:] == (128, 128)
        return x

    pictures = noise(1, 3, *size)
    assert torch.equal(denoise(whole, pictures, 128, 2, 0.0, 0), pictures)


def test_what_is_no_number_is_refused():
    with pytest.raises(GenartError, match=r"no numbers.*--fp32-vae"):
        round_trip(lambda x: x * float("nan"), noise(1, 3, 16, 16), 1)
