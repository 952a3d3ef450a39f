"""Filtered changes of resolution against their definition: insert zeros, filter, drop samples."""

import warnings

import pytest
import torch
import torch.nn.functional as F

from comfy_genart_nodes.gan.networks import filters

TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 8


def definition(x, up=1, down=1, padding=(0, 0), gain=1.0):
    """Upsample with zeros, pad, filter, downsample: the textbook's way, float64."""
    n, c, h, w = x.shape
    zeros = x.new_zeros(n, c, h * up, w * up)
    zeros[:, :, ::up, ::up] = x
    padded = F.pad(zeros, (padding[0], padding[1]) * 2)
    kernel = torch.outer(TAPS, TAPS) * gain
    filtered = F.conv2d(padded, kernel.expand(c, 1, 4, 4), groups=c)
    return filtered[:, :, ::down, ::down]


@pytest.fixture(autouse=True, params=["convolution", "matrices"])
def way(request, monkeypatch):
    """Both ways of filtering, of which a device takes one."""
    if request.param == "matrices":
        monkeypatch.setattr(
            filters, "_multiplies", lambda x: not torch.compiler.is_compiling(), raising=True
        )


@pytest.fixture
def picture():
    return torch.randn(2, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def weight():
    return torch.randn(5, 3, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def test_upsample_is_zeros_and_filter(picture):
    expected = definition(picture, up=2, padding=(2, 1), gain=4.0)
    torch.testing.assert_close(filters.upsample(picture), expected)


def test_downsample_is_filter_and_drop(picture):
    expected = definition(picture, down=2, padding=(1, 1))
    torch.testing.assert_close(filters.downsample(picture), expected)


def test_convolution_of_an_upsampled_picture(picture, weight):
    # Zeros inserted, filtered, convolved with the flipped kernel (a transposed convolution's).
    wide = definition(picture, up=2, padding=(3, 2), gain=4.0)
    expected = F.conv2d(wide, weight.flip(2, 3))
    torch.testing.assert_close(filters.convolve_upsampled(picture, weight), expected)


def test_downsampling_convolution(picture, weight):
    filtered = definition(picture, padding=(2, 2))
    expected = F.conv2d(filtered, weight, stride=2)
    torch.testing.assert_close(filters.convolve_downsampled(picture, weight), expected)


def test_no_grid_on_a_flat_picture():
    """A flat picture stays flat away from the border: nearest-neighbour plus zeros would not."""
    flat = torch.ones(1, 2, 16, 16, dtype=torch.float64)
    up = filters.upsample(flat)[:, :, 4:-4, 4:-4]
    torch.testing.assert_close(up, torch.ones_like(up))
    weight = torch.ones(1, 2, 3, 3, dtype=torch.float64)
    made = filters.convolve_upsampled(flat, weight)[:, :, 4:-4, 4:-4]
    assert made.std() < 1e-12


def test_a_compiler_takes_it_whole(picture):
    compiled = torch.compile(filters.blur, backend="eager", fullgraph=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = compiled(picture, 2)
    torch.testing.assert_close(made, filters.blur(picture, 2))


@pytest.mark.parametrize(("padding", "stride"), [(1, 1), (1, 2), (2, 1)])
@pytest.mark.parametrize("sides", [(6, 8), (7, 9)])
def test_gradients_of_any_order(sides, padding, stride):
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(2, 3, *sides, dtype=torch.float64, generator=generator, requires_grad=True)

    def blurred(x):
        return filters.blur(x, padding, gain=4.0, stride=stride)

    assert torch.autograd.gradcheck(blurred, (x,)) and torch.autograd.gradgradcheck(blurred, (x,))


def test_halving_in_bf16_has_the_gradient_of_halving():
    """Its transpose has a way of its own there."""
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(2, 3, 8, 12, generator=generator, requires_grad=True)
    slope = torch.randn(2, 3, 4, 6, generator=generator)
    (exact,) = torch.autograd.grad(filters.downsample(x), x, slope)
    low = x.detach().bfloat16().requires_grad_()
    (found,) = torch.autograd.grad(filters.downsample(low), low, slope.bfloat16())
    assert found.dtype == torch.bfloat16
    assert (found.float() - exact).abs().max() < 2**-7 * exact.abs().max()
