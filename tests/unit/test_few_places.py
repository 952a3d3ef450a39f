"""Convolutions by products of matrices are convolutions, and are taken where they should be."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from comfy_genart_nodes.gan.networks import convolving, few_places


def draw(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


# The last stride leaves a row and a column over that no kernel sees.
@pytest.mark.parametrize(("stride", "padding"), [(1, 1), (2, 0), (1, 0), (2, 1), (3, 0)])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_they_are_convolutions_and_their_gradients(
    stride: int, padding: int, order: torch.memory_format
) -> None:
    x = draw(2, 3, 6, 7).contiguous(memory_format=order).requires_grad_()
    weight = draw(5, 3, 3, 3, seed=1).contiguous(memory_format=order).requires_grad_()
    bias = draw(5, seed=2)
    wanted = F.conv2d(x, weight, bias, stride=stride, padding=padding)
    y = draw(*wanted.shape, seed=3)
    of_x, of_weight = torch.autograd.grad(wanted, (x, weight), y)
    plain = F.conv2d(x, weight, stride=stride, padding=padding)
    with torch.no_grad():
        made = few_places.convolve(x, weight, bias, stride, padding)
        torch.testing.assert_close(made, wanted)
        made = few_places.convolve(x, weight, None, stride, padding)
        torch.testing.assert_close(made, plain)
        torch.testing.assert_close(few_places.transpose(y, weight, stride, padding, (6, 7)), of_x)
        torch.testing.assert_close(few_places.kernel(x, y, 3, stride, padding), of_weight)


def test_they_are_taken_for_large_kernels_over_few_places_in_bf16_on_a_cpu() -> None:
    few, many = torch.empty(4, 64, 4, 4), torch.empty(4, 64, 32, 32)
    shape = (64, 64, 3, 3)
    assert few_places.pay(shape, few.bfloat16(), few.shape[2:])
    assert not few_places.pay(shape, many.bfloat16(), many.shape[2:])
    assert not few_places.pay(shape, few, few.shape[2:])
    assert not few_places.pay(shape, few.bfloat16().to("meta"), few.shape[2:])


@pytest.mark.parametrize("transposed", [False, True])
def test_in_bf16_they_are_as_near_as_eight_bits_allow(transposed: bool) -> None:
    """Results and gradients, each beside the same in float64.

    Rounding once is off by up to 2**-9 of a number; what is gathered from parts that were rounded
    by a little more. Not beside the library's own in bf16, which are worse on some processors.
    """
    x, weight = draw(2, 96, 4, 4), draw(96, 96, 3, 3, seed=1) / 30
    how = {"stride": 2 if transposed else 1, "padding": 0 if transposed else 1}
    library = F.conv_transpose2d if transposed else F.conv2d
    ours = partial(convolving.convolve, transposed=transposed)
    assert few_places.pay(weight.shape, x.bfloat16(), x.shape[2:])

    def gradients(convolve: Callable[..., Tensor], dtype: torch.dtype) -> list[Tensor]:
        own = [one.bfloat16().to(dtype).requires_grad_() for one in (x, weight)]
        y = convolve(*own, **how)
        slope = draw(*y.shape, seed=2).bfloat16().to(dtype)
        return [y.detach(), *torch.autograd.grad(y, own, slope)]

    made, exact = gradients(ours, torch.bfloat16), gradients(library, torch.float64)
    for found, wanted in zip(made, exact, strict=True):
        assert (found - wanted).std() < 2**-8 * wanted.std()


def test_what_they_make_may_be_changed_in_place() -> None:
    """Activations are: autograd forbids it where a function of ours returns a view."""
    x = torch.randn(1, 64, 4, 4, dtype=torch.bfloat16)
    weight = torch.randn(64, 64, 3, 3, dtype=torch.bfloat16, requires_grad=True)
    F.relu(convolving.convolve(x, weight, padding=1), inplace=True).sum().backward()
    F.relu(convolving.convolve(x, weight, transposed=True), inplace=True).sum().backward()
    assert weight.grad is not None
