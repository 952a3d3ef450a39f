"""Layers computed in strips are those of the whole map, wherever it is cut."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from comfy_genart_nodes.vae.layers import UnknownError, decoder_layers
from comfy_genart_nodes.vae.strips import Workshop, attend, convolve, normaliser

HEIGHT, WIDTH = 13, 10


def shop(rows: int, channels: int = 16) -> Workshop:
    """Strips of about so many rows."""
    return Workshop(torch.device("cpu"), rows * channels * WIDTH * 8 * 4)


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def layer(c_in: int, c_out: int, kernel: int, **how: int) -> nn.Conv2d:
    torch.manual_seed(1)
    return nn.Conv2d(c_in, c_out, kernel, **how).double().requires_grad_(False)


@pytest.mark.parametrize("rows", [1, 2, 5, 100])
@pytest.mark.parametrize("up", [1, 2, 3])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (5, 1), (3, 2)])
def test_a_convolution_in_strips(rows, up, kernel, stride):
    x, conv = drawn(1, 6, HEIGHT, WIDTH), layer(6, 4, kernel, padding=kernel // 2, stride=stride)
    large = F.interpolate(x, scale_factor=up, mode="nearest")
    made = convolve(x, conv, shop(rows), torch.sin, torch.cos, up=up)
    torch.testing.assert_close(made, torch.cos(conv(torch.sin(large))))


@pytest.mark.parametrize("rows", [1, 3, 100])
@pytest.mark.parametrize("height", [12, 13])
def test_halving_pads_on_one_side(rows, height):
    x, conv = drawn(1, 6, height, WIDTH), layer(6, 4, 3, stride=2)
    whole = conv(F.pad(x, (0, 1, 0, 1)))
    torch.testing.assert_close(convolve(x, conv, shop(rows), uneven=True), whole)


def test_results_may_be_added_or_lie_over_what_they_came_from():
    x, conv, point = drawn(1, 6, HEIGHT, WIDTH), layer(6, 6, 3, padding=1), layer(6, 4, 1)
    sum_ = drawn(1, 6, HEIGHT, WIDTH)
    whole = sum_ + conv(x)
    torch.testing.assert_close(convolve(x, conv, shop(2), made=sum_, add=True), whole)
    whole = point(x)
    torch.testing.assert_close(convolve(x, point, shop(2), made=x[:, :4]), whole)


@pytest.mark.parametrize("rows", [1, 4, 100])
def test_statistics_are_those_of_the_whole_map(rows):
    """Also where the mean is a thousand times the deviation, and strips differ."""
    x = drawn(1, 8, HEIGHT, WIDTH) + torch.arange(HEIGHT)[:, None] * 0.3 + 1000
    norm = nn.GroupNorm(4, 8).double().requires_grad_(False)
    norm.weight.uniform_(generator=torch.Generator().manual_seed(2))
    norm.bias.copy_(drawn(8))
    torch.testing.assert_close(normaliser(x, norm, shop(rows))(x), norm(x))


@pytest.mark.parametrize("rows", [1, 4, 100])
def test_every_pixel_attends_to_all(rows):
    x, norm = drawn(1, 8, HEIGHT, WIDTH), nn.GroupNorm(4, 8).double()
    layers = tuple(layer(8, 8, 1) for _ in range(4))
    q, k, v = (each(norm(x)).flatten(2).mT for each in layers[:3])
    seen = F.scaled_dot_product_attention(q, k, v).mT.reshape(x.shape)
    whole = x + layers[3](seen)
    torch.testing.assert_close(attend(x.clone(), norm, layers, shop(rows)), whole)


def test_whoever_heeds_may_stop_before_any_strip():
    calls = iter(range(3))

    def heed() -> None:
        if next(calls) == 2:
            raise InterruptedError

    stopping = Workshop(torch.device("cpu"), 1, heed)
    with pytest.raises(InterruptedError):
        convolve(drawn(1, 6, HEIGHT, WIDTH), layer(6, 4, 3, padding=1), stopping)


@pytest.mark.parametrize(
    "network",
    [
        nn.Linear(3, 3),
        nn.Sequential(nn.Conv2d(3, 3, 3, groups=3)),
        nn.Sequential(nn.Conv2d(3, 3, 3, dilation=2)),
        nn.Sequential(nn.BatchNorm2d(3)),
    ],
)
def test_other_networks_are_refused(network):
    with pytest.raises(UnknownError, match="not known here"):
        decoder_layers(network)
