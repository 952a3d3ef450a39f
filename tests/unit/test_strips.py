"""Layers computed in strips are those of the whole map, wherever it is cut."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from comfy_genart_nodes.vae.attention import attend, attend_linearly
from comfy_genart_nodes.vae.layers import UnknownError, listed
from comfy_genart_nodes.vae.layers_comfyui import sequence
from comfy_genart_nodes.vae.strips import Workshop, change_places, convolve, normaliser

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
@pytest.mark.parametrize(
    ("kernel", "stride", "groups"), [(1, 1, 1), (3, 1, 1), (5, 1, 2), (3, 2, 1)]
)
def test_a_convolution_in_strips(rows, up, kernel, stride, groups):
    x, how = drawn(1, 6, HEIGHT, WIDTH), {"stride": stride, "groups": groups}
    conv = layer(6, 4, kernel, padding=kernel // 2, **how)
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


@pytest.mark.parametrize("strip_bytes", [1, 2**17, 2**30])
def test_every_pixel_attends_to_all(strip_bytes):
    """Also where scores are so far apart that their exponentials are no numbers."""
    x, norm = drawn(1, 8, HEIGHT, WIDTH), nn.GroupNorm(4, 8).double().requires_grad_(False)
    layers = tuple(layer(8, 8, 1) for _ in range(4))
    layers[0].weight.mul_(1000)
    q, k, v = (each(norm(x)).flatten(2).mT for each in layers[:3])
    seen = F.scaled_dot_product_attention(q, k, v).mT.reshape(x.shape)
    whole = x + layers[3](seen)
    shop = Workshop(torch.device("cpu"), strip_bytes)
    torch.testing.assert_close(attend(x.clone(), norm, layers, shop), whole)


@pytest.mark.parametrize("rows", [1, 4, 100])
def test_attention_by_sums_is_that_of_all_pairs(rows):
    x, heads = drawn(1, 6, HEIGHT, WIDTH), drawn(1, 2 * 3 * 5, HEIGHT, WIDTH) + 0.5
    q, k, v = heads.view(2, 3, 5, -1).unbind(1)
    weights = F.relu(q).mT @ F.relu(k)
    seen = (weights / (weights.sum(-1, keepdim=True) + 1e-15)) @ v.mT
    back = layer(10, 6, 1)
    whole = x + back(seen.mT.reshape(1, 10, HEIGHT, WIDTH))
    made = attend_linearly(x.clone(), heads, 5, back, shop(rows))
    torch.testing.assert_close(made, whole)


@pytest.mark.parametrize("rows", [1, 2, 100])
@pytest.mark.parametrize("change", [torch.sin, lambda x: F.pixel_shuffle(x, 2)])
def test_places_become_others(rows, change):
    x = drawn(1, 8, HEIGHT, WIDTH)
    torch.testing.assert_close(change_places(x, change, shop(rows)), change(x))


@pytest.mark.parametrize("rows", [1, 2, 100])
def test_rows_that_belong_together_stay_together(rows):
    x, sum_ = drawn(1, 3, 12, WIDTH), drawn(1, 12, 6, WIDTH // 2)
    whole = sum_ + F.pixel_unshuffle(x, 2)
    made = change_places(x, lambda part: F.pixel_unshuffle(part, 2), shop(rows), sum_, add=True)
    torch.testing.assert_close(made, whole)


def test_whoever_heeds_may_stop_before_any_strip():
    calls = iter(range(3))

    def heed(passes: float) -> None:
        if next(calls) == 2:
            raise InterruptedError

    stopping = Workshop(torch.device("cpu"), 1, heed)
    with pytest.raises(InterruptedError):
        convolve(drawn(1, 6, HEIGHT, WIDTH), layer(6, 4, 3, padding=1), stopping)


def test_who_heeds_hears_how_far_it_is():
    heard: list[float] = []
    told = Workshop(torch.device("cpu"), 1, heard.append)
    for _ in range(2):
        convolve(drawn(1, 6, HEIGHT, WIDTH), layer(6, 4, 3, padding=1), told)
    assert heard == [row / HEIGHT for row in range(HEIGHT)] + [
        1 + row / HEIGHT for row in range(HEIGHT)
    ]
    assert told.passes == 2


def test_where_memory_runs_out_strips_become_smaller(monkeypatch):
    """What was made before is not made again, and later strips begin small."""
    x, conv = drawn(1, 6, HEIGHT, WIDTH), layer(6, 4, 3, padding=1)
    sums, whole, real = drawn(1, 4, HEIGHT, WIDTH), conv(x), F.conv2d
    made: list[int] = []

    def short(part: torch.Tensor, *rest: object, **more: object) -> torch.Tensor:
        rows = part.shape[2] - 2
        if rows > 2 and len(made) > 0:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        made.append(rows)
        return real(part, *rest, **more)

    monkeypatch.setattr(F, "conv2d", short)
    working = shop(5, channels=10)
    result = convolve(x, conv, working, made=sums.clone(), add=True)
    assert made[0] > 2 and set(made[1:]) <= {1, 2} and sum(made) == HEIGHT
    torch.testing.assert_close(result, sums + whole)
    monkeypatch.setattr(F, "conv2d", lambda *_, **__: short(x.new_zeros(1, 1, 9, 1)))
    with pytest.raises(torch.cuda.OutOfMemoryError):
        convolve(x, conv, working)


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Linear(3, 3)),
        nn.Sequential(nn.Conv2d(3, 3, 3, padding=(1, 0))),
        nn.Sequential(nn.Conv2d(3, 3, 3, dilation=2)),
        nn.Sequential(nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect")),
        nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(3, 3, 3)),
        nn.Sequential(nn.BatchNorm2d(3)),
    ],
)
def test_other_networks_are_refused(network):
    with pytest.raises(UnknownError, match="not known here"):
        listed(network, sequence)


def test_a_network_with_weights_left_over_is_refused():
    """Lest a part of it was overlooked."""
    assert listed(nn.Sequential(nn.Conv2d(3, 3, 3)), sequence)

    def overlook(m: nn.Sequential):
        yield from sequence(m[:1])

    network = nn.Sequential(nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3))
    with pytest.raises(UnknownError, match=r"1\.weight besides"):
        listed(network, overlook)
