"""StyleGAN3 against recorded figures and the paper's laws.

`fixtures/stylegan3/*` hold networks with random weights, every buffer made non-trivial (filters
that are not symmetric, a stored transform), and what the original implementation answers, computed
in fp32 on a CPU; 1e-4 is a hundredth of one 8-bit step.
"""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.gan import latents
from comfy_genart_nodes.gan.checkpoint import load_gan
from comfy_genart_nodes.gan.latents import GANLatent
from comfy_genart_nodes.gan.networks import filtered_lrelu as filtered_lrelu_module
from comfy_genart_nodes.gan.networks import kaiser, winograd_tiles
from comfy_genart_nodes.gan.networks.filtered_lrelu import Filters, Geometry, filtered_lrelu
from comfy_genart_nodes.gan.networks.generator import Frame, Look
from comfy_genart_nodes.gan.networks.layers import initialise
from comfy_genart_nodes.gan.networks.stylegan3 import StyleGAN3
from comfy_genart_nodes.gan.networks.stylegan3_spec import StyleGAN3Spec
from comfy_genart_nodes.gan.networks.transforms import matrix
from comfy_genart_nodes.gan.sampling import Settings, sample

SMALL = {"z_dim": 16, "w_dim": 16, "channel_base": 512, "channel_max": 16}
ROTATING = {"conv_kernel": 1, "use_radial_filters": True}


@pytest.fixture(params=["t_classes", "r"])
def reference(request, repository: Path):
    folder = repository / "tests" / "fixtures" / "stylegan3"
    arrays = dict(np.load(folder / f"{request.param}.npz"))
    gan = load_gan(folder / f"{request.param}.safetensors")
    recorded = {name: torch.from_numpy(array) for name, array in arrays.items()}
    classes = recorded["c"] if gan.spec.c_dim else None
    latent = GANLatent("z", recorded["z"], classes, (0, 0), gan.hash)
    return gan.generator, latent, recorded


def close(a, b, tolerance=1e-4):
    torch.testing.assert_close(a, b, atol=tolerance, rtol=0)


def test_mapping_and_truncation_as_recorded(reference):
    generator, latent, recorded = reference
    w = latents.to_w(generator, latent).tensor
    ws = w[:, None].expand(-1, generator.spec.num_ws, -1)
    close(ws, recorded["w"])
    close(latents.truncate(ws, generator.w_avg, 0.7), recorded["w_psi07"])
    close(latents.truncate(ws, generator.w_avg, 0.5, 4), recorded["w_psi05_cut4"])


def test_pictures_as_recorded(reference):
    generator, latent, recorded = reference
    straight = Frame(torch.eye(3))
    close(sample(generator, latent, Settings(frame=straight)), recorded["img_psi1"])
    close(sample(generator, latent, Settings(psi=0.7, frame=straight)), recorded["img_psi07"])


def test_moved_and_turned_pictures_as_recorded(reference):
    generator, latent, recorded = reference
    moved = matrix(0.1, -0.2, 30)
    close(torch.linalg.inv(moved), recorded["transform_inv"], 1e-15)
    made = sample(generator, latent, Settings(psi=0.7, frame=Frame(moved)))
    close(made, recorded["img_psi07_transform"])
    # The files carry the same transform: without another it is theirs that counts.
    close(sample(generator, latent, Settings(psi=0.7)), recorded["img_psi07_transform"])


def fresh(resolution=64, **settings):
    generator = StyleGAN3(StyleGAN3Spec(resolution=resolution, **{**SMALL, **settings})).eval()
    initialise(generator, 0)
    return generator.requires_grad_(False)


def pictures(generator, transform=None, count=2):
    latent = latents.from_seeds(generator.spec, 0, count)
    return sample(generator, latent, Settings(frame=Frame(transform)))


@pytest.mark.parametrize("settings", [{}, ROTATING])
def test_content_moves_by_whole_pixels_as_if_the_picture_were_shifted(settings):
    generator = fresh(**settings)
    still, moved = pictures(generator), pictures(generator, matrix(8 / 64, -4 / 64, 0))
    # Away from the edges, where the margin ends.
    difference = moved[:, :, 8:-12, 16:-8] - still[:, :, 12:-8, 8:-16]
    assert difference.square().mean().sqrt() < 0.005 * still.std()
    assert (moved - still).square().mean().sqrt() > 0.1 * still.std()


def test_a_quarter_turn_of_the_content_is_one_of_the_picture_in_r():
    generator = fresh(**ROTATING)
    close(pictures(generator, matrix(0, 0, 90)), pictures(generator).rot90(1, (2, 3)), 1e-5)
    other = fresh()
    assert not torch.allclose(
        pictures(other, matrix(0, 0, 90)), pictures(other).rot90(1, (2, 3)), atol=1e-2
    )


@pytest.mark.parametrize("resolution", [64, 100, 256])
def test_every_size_makes_pictures_each_by_itself(resolution):
    generator = fresh(resolution, **ROTATING, num_layers=8)
    made = pictures(generator, count=3)
    assert made.shape == (3, 3, resolution, resolution) and made.isfinite().all()
    assert made[0].ne(made[1]).any()
    close(pictures(generator, count=1)[0], made[0], 1e-5)


def test_half_precision_comes_near_and_gradients_flow():
    generator = fresh()
    ws = generator.map(latents.from_seeds(generator.spec, 0, 1).tensor)[:, None]
    ws = ws.expand(-1, generator.spec.num_ws, -1).clone().requires_grad_()
    made = generator.synthesize(ws, Look())
    (slope,) = torch.autograd.grad(made.square().sum(), ws)
    step = 1e-2 * slope / slope.norm()
    with torch.inference_mode():
        ahead, behind = (generator.synthesize(ws + s, Look()) for s in (step, -step))
        rise = (ahead.square().sum() - behind.square().sum()) / 2e-2
        assert math.isclose(rise, slope.norm(), rel_tol=2e-2)
        with torch.autocast("cpu", torch.bfloat16):
            coarse = generator.synthesize(ws, Look())
    assert coarse.dtype == torch.float32
    assert (coarse - made).square().mean().sqrt() < 0.05 * made.std()


def naive(x, filters, slope, clamp):
    """Zeros inserted, everything convolved, most thrown away: the definition."""
    shape, c = filters.geometry, x.shape[1]
    up, down = (f if f.dim() == 2 else torch.outer(f, f) for f in (filters.up, filters.down))
    n, _, h, w = x.shape
    sparse = torch.zeros(n, c, h * shape.up, w * shape.up, dtype=x.dtype)
    sparse[:, :, :: shape.up, :: shape.up] = x
    # Padded so that what comes out has the finer side, the odd sample before the first.
    missing = shape.fine + len(up) - 1 - h * shape.up
    before = (missing + shape.up) // 2
    sparse = F.pad(sparse, (before, missing - before) * 2)
    fine = F.conv2d(sparse, up.flip(0, 1).expand(c, 1, -1, -1), groups=c)
    fine = torch.where(fine < 0, fine * slope, fine).clamp(-clamp, clamp)
    made = F.conv2d(fine, down.expand(c, 1, -1, -1), groups=c)
    return made[:, :, :: shape.down, :: shape.down]


@pytest.mark.parametrize("radial", [False, True])
@pytest.mark.parametrize(
    "sides", [(20, 18, 2, 2), (20, 16, 4, 2), (14, 14, 2, 2), (20, 16, 1, 1), (39, 11, 2, 4)]
)
@pytest.mark.parametrize("clamp", [0.5, 256.0])
def test_filtered_lrelu_is_what_zero_insertion_makes(sides, radial, clamp, monkeypatch):
    monkeypatch.setattr(filtered_lrelu_module, "_BYTES", {1: 0, 2: 0})  # two groups of channels
    size_in, size_out, up, down = sides
    taps = 6 * up if up > 1 else 1, 6 * down if down > 1 else 1
    draw = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=draw, dtype=torch.float64)

    shape = Geometry(size_in, size_out, up, down, *taps)
    filters = Filters(shape, normal(taps[0]), normal(*taps[1:] * (1 + radial)))
    x, bias = normal(2, 19, size_in, size_in), normal(19)
    before, after = normal(2, 19), normal(2, 19)
    made = filtered_lrelu(x, filters, before, bias, after, 0.2, clamp)
    wanted = naive(x * before[..., None, None] + bias[:, None, None], filters, 0.2, clamp)
    close(made, wanted * after[..., None, None], 1e-8)


@pytest.mark.parametrize("size", [(13, 21, 2), (36, 36, 1), (10, 9, 0)])
def test_convolution_by_tiles_is_a_convolution(size):
    height, width, padding = size
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(2, 64, height, width, generator=draw)
    weight = torch.randn(67, 64, 3, 3, generator=draw) / 24
    exact = F.conv2d(x.double(), weight.double(), padding=padding)
    with torch.inference_mode():
        made = winograd_tiles.convolve(x, weight, padding)
    close(made.double(), exact, 5e-5)
    # Beside a sum of term after term: what a library's own errors are depends on the processor.
    direct = torch.zeros(2, 67, exact[0, 0].numel())
    patches, kernel = F.unfold(x, 3, padding=padding), weight.flatten(1)
    for i in range(kernel.shape[1]):
        direct += kernel[:, i, None] * patches[:, i, None]
    assert (made - exact).std() < 3 * (direct - exact.flatten(2)).std()


def test_filters_pass_what_they_should():
    taps = kaiser.lowpass(24, cutoff=8.0, width=6.0, rate=64.0)
    flat = kaiser.radial_lowpass(24, cutoff=8.0, width=6.0, rate=64.0)
    assert taps.sum() == pytest.approx(1, abs=1e-6) and flat.sum() == pytest.approx(1, abs=1e-6)
    close(taps, taps.flip(0), 1e-7)
    place = (torch.arange(24) - 11.5) / 64

    def passes(frequency):
        return float((taps * (2 * math.pi * frequency * place).cos()).sum())

    assert passes(8.0) == pytest.approx(0.5, abs=0.02)
    assert passes(4.0) > 0.97 and abs(passes(13.0)) < 0.03

    def passes_at(frequency, angle):
        across, down = math.cos(angle), math.sin(angle)
        phase = 2 * math.pi * frequency * (across * place + down * place[:, None])
        return float((flat * phase.cos()).sum())

    for frequency in (4.0, 8.0, 12.0):
        assert passes_at(frequency, 0.6) == pytest.approx(passes_at(frequency, 0), abs=0.02)


@pytest.mark.parametrize(
    "wrong",
    [
        {"resolution": 8},
        {"resolution": 1 << 20},
        {"num_layers": 1},
        {"num_critical": 14},
        {"first_cutoff": 0.0},
        {"last_stopband_rel": math.nan},
        {"margin_size": -1},
        {"conv_kernel": 5},
        {"channel_max": 1 << 30},
    ],
)
def test_absurd_settings_are_refused(wrong):
    with pytest.raises(GenartError, match=next(iter(wrong))):
        dataclasses.replace(StyleGAN3Spec(), **wrong)
