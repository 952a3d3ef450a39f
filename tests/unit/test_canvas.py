"""Pictures of another size than the network's own: which sizes there are, and what they show."""

import copy
import itertools
from pathlib import Path

import pytest
import torch

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.gan import latents
from comfy_genart_nodes.gan.checkpoint import load_gan
from comfy_genart_nodes.gan.networks import stylegan2
from comfy_genart_nodes.gan.networks.canvas import LARGEST, Window, windows
from comfy_genart_nodes.gan.networks.generator import Frame
from comfy_genart_nodes.gan.sampling import Settings, picture_bytes, sample

SIDES = [4, 8, 16, 32, 64]


@pytest.fixture(scope="module")
def generator(repository: Path):
    return load_gan(repository / "models" / "gan" / "emoji_people_64.safetensors").generator


def picture(generator, canvas, noise_mode="const"):
    latent = latents.from_seeds(generator.spec, 3, 1)
    settings = Settings(psi=0.7, noise_mode=noise_mode, frame=Frame(canvas=canvas))
    return sample(generator, latent, settings)[0]


def test_the_network_s_own_size_is_the_ordinary_picture(generator):
    assert torch.equal(picture(generator, (64, 64)), picture(generator, None))


@pytest.mark.parametrize("noise_mode", ["const", "random", "none"])
@pytest.mark.parametrize("canvas", [(64, 128), (128, 64), (100, 51), (16, 16), (81, 17)])
def test_every_size_is_possible_to_the_pixel(generator, canvas, noise_mode):
    made = picture(generator, canvas, noise_mode)
    assert made.shape == (3, *canvas) and made.isfinite().all()


def test_the_middle_of_a_larger_canvas_is_the_ordinary_picture_s(generator):
    """Only what lies beyond the edges is new, and what the layers' reach carries in from there."""
    own, large = picture(generator, None), picture(generator, (128, 128))[:, 32:96, 32:96]
    face = (slice(None), slice(24, 40), slice(24, 40))

    def alike(a, b):
        return torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1]

    assert alike(own[face], large[face]) > 0.7
    assert alike(own[face], large[face]) > 2 * alike(own[face], large[face].flip(1)).abs()


@pytest.mark.parametrize(("numbers", "rounding"), [(torch.float32, 2e-5), (torch.float64, 1e-6)])
@pytest.mark.parametrize("noise_mode", ["const", "random"])
@pytest.mark.parametrize("canvas", [(300, 150), (1030, 64)])
def test_strips_make_the_picture_of_the_whole(
    generator, monkeypatch, canvas, noise_mode, numbers, rounding
):
    """A strip sees just enough of its neighbours: what differs goes with the numbers' rounding."""
    generator = copy.deepcopy(generator).to(numbers)
    whole = picture(generator, canvas, noise_mode)
    sizes = []
    forward = stylegan2.SynthesisBlock.forward

    def watched(block, x, img, ws, noise, window):
        sizes.append(window.rows)
        return forward(block, x, img, ws, noise, window)

    monkeypatch.setattr(stylegan2.SynthesisBlock, "forward", watched)
    monkeypatch.setitem(stylegan2._STRIP_BYTES, "cpu", 0)
    torch.testing.assert_close(picture(generator, canvas, noise_mode), whole, atol=rounding, rtol=0)
    assert max(sizes) < canvas[0] // 2


def test_beyond_its_edges_a_window_is_a_mirror():
    own = torch.randn(3, 5, 5, generator=torch.Generator().manual_seed(0))
    filled = Window(5, 12, 9, top=4, left=2).fill(own)
    assert filled.shape == (3, 12, 9)
    assert torch.equal(filled[:, 4:9, 2:7], own)
    for k in range(1, 4):
        assert torch.equal(filled[:, 4 - k], filled[:, 4 + k])
        assert torch.equal(filled[:, 8 - k], filled[:, 8 + k])
    assert torch.equal(filled[:, 4:9, :2], own[:, :, 1:3].flip(2))


def test_a_window_inside_is_a_part():
    own = torch.arange(16.0).view(4, 4)
    assert torch.equal(Window(4, 2, 3, top=-1, left=0).fill(own), own[1:3, :3])


@pytest.mark.parametrize("canvas", [(64, 64), (64, 128), (33, 199), (16, 8192)])
def test_each_window_is_half_the_next_rounded_up_and_lies_in_the_same_place(canvas):
    filled = windows(SIDES, canvas)
    assert (filled[-1].height, filled[-1].width) == canvas
    for small, large in itertools.pairwise(filled):
        assert (small.height, small.width) == (-(-large.height // 2), -(-large.width // 2))
        assert (2 * small.top, 2 * small.left) == (large.top, large.left)


@pytest.mark.parametrize("canvas", [(0, 64), (-5, 64), (15, 64), (64, LARGEST + 1), (10**9, 10**9)])
def test_absurd_sizes_are_refused_with_the_possible_ones(generator, canvas):
    with pytest.raises(GenartError, match=f"each side must be from 16 to {LARGEST}"):
        picture(generator, canvas)


def test_memory_grows_with_the_canvas(generator):
    own = picture_bytes(generator, Frame())
    assert picture_bytes(generator, Frame(canvas=(64, 64))) == own
    assert picture_bytes(generator, Frame(canvas=(128, 192))) == 6 * own
