"""Autoencoders as lists of layers that can be computed in strips (`strips.py`).

What is written down here knows no names: `layers_comfyui.py`, `layers_diffusers.py` and
`layers_dc.py` find these layers in networks, each by the names that one kind of code gives them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import GenartError
from .attention import attend
from .strips import Change, Workshop, change_places, convolve, normaliser


class UnknownError(GenartError):
    """A network whose parts are none of those known here."""


@dataclass(frozen=True)
class Conv:
    """A convolution, with what comes before and after it place by place."""

    conv: nn.Conv2d
    norm: nn.GroupNorm | None = None
    before: Change | None = None
    after: Change | None = None
    up: int = 1
    uneven: bool = False

    @property
    def passes(self) -> int:
        """How often it goes through a map."""
        return 1 if self.norm is None else 2

    def __call__(
        self, x: Tensor, shop: Workshop, made: Tensor | None = None, add: bool = False
    ) -> Tensor:
        """The next map, or `made`; see `convolve`."""
        before = self.before
        if self.norm is not None:
            before = _activated(normaliser(x, self.norm, shop))
        return convolve(
            x, self.conv, shop, before, self.after, made, add, up=self.up, uneven=self.uneven
        )


@dataclass(frozen=True)
class Residual:
    """Two or more convolutions, added to what they came from (He et al. 2016)."""

    convs: tuple[Conv, ...]
    shortcut: nn.Conv2d | None = None
    after: Change | None = None

    @property
    def passes(self) -> int:
        """As of `Conv`."""
        return sum(each.passes for each in self.convs) + (self.shortcut is not None)

    def __call__(self, x: Tensor, shop: Workshop) -> Tensor:
        """The next map; where there is no shortcut it takes the place of the last."""
        h = x
        for each in self.convs[:-1]:
            h = each(h, shop)
        x = x if self.shortcut is None else _shortcut(x, self.shortcut, shop)
        x = self.convs[-1](h, shop, x, add=True)
        return x if self.after is None else self.after(x)


@dataclass(frozen=True)
class Attention:
    """Self-attention over all pixels."""

    norm: nn.GroupNorm
    layers: tuple[nn.Module, ...]
    passes = 3

    def __call__(self, x: Tensor, shop: Workshop) -> Tensor:
        """The map, changed in place."""
        return attend(x, self.norm, self.layers, shop)


@dataclass(frozen=True)
class Beside:
    """A convolution, and a shortcut without weights.

    Attributes:
        conv: the convolution.
        fold: what moves numbers between places and channels after it.
        shortcut: from the map to what is added.
    """

    conv: Conv
    fold: Change | None = None
    shortcut: Change | None = None

    @property
    def passes(self) -> int:
        """As of `Conv`."""
        return self.conv.passes + (self.fold is not None) + (self.shortcut is not None)

    def __call__(self, x: Tensor, shop: Workshop) -> Tensor:
        """The next map."""
        made = self.conv(x, shop)
        made = made if self.fold is None else change_places(made, self.fold, shop)
        if self.shortcut is not None:
            change_places(x, self.shortcut, shop, made, add=True)
        return made


@dataclass(frozen=True)
class Places:
    """What is done to each place by itself, which takes so many numbers meanwhile."""

    change: Change
    numbers: int = 0
    passes = 1

    def __call__(self, x: Tensor, shop: Workshop) -> Tensor:
        """The next map."""
        return change_places(x, self.change, shop, numbers=self.numbers)


class Layer(Protocol):
    """What all of them offer."""

    @property
    def passes(self) -> int:
        """How often it goes through a map."""

    def __call__(self, x: Tensor, shop: Workshop) -> Tensor:
        """The next map, perhaps in the memory of `x`."""


def run(layers: Sequence[Layer], x: Tensor, shop: Workshop) -> Tensor:
    """All layers, one after the other, on one picture's map `[1, c, h, w]`; `x` stays as it is."""
    x = x.clone(memory_format=torch.channels_last)
    with torch.no_grad():
        for layer in layers:
            x = layer(x, shop)
    return x


def _shortcut(x: Tensor, conv: nn.Conv2d, shop: Workshop) -> Tensor:
    """A shortcut to other channels, in the memory of the map itself where it has room."""
    fits = conv.kernel_size[0] == 1 and conv.out_channels <= conv.in_channels
    return convolve(x, conv, shop, made=x[:, : conv.out_channels] if fits else None)


def _activated(change: Change) -> Change:
    return lambda part: F.silu(change(part), inplace=True)


def residual(m: Any, shortcut: nn.Module | None) -> Residual:
    """A block of two convolutions with SiLU before each, as both names of KL autoencoders have it.

    Raises:
        UnknownError: when its parts are others.
    """
    convs = conv(m.conv1, norm=group_norm(m.norm1)), conv(m.conv2, norm=group_norm(m.norm2))
    return Residual(convs, None if shortcut is None else plain(shortcut))


def conv(m: Any, **how: Any) -> Conv:
    """A convolution.

    Raises:
        UnknownError: when it is something else.
    """
    return Conv(plain(m), **how)


def plain(m: Any) -> nn.Conv2d:
    """A convolution as torch has it, of a kind that `convolve` knows.

    Raises:
        UnknownError: when it is something else.
    """
    fits = isinstance(m, nn.Conv2d) and set(m.dilation) == {1} and m.padding_mode == "zeros"
    if not fits or any(len(set(pair)) > 1 for pair in (m.kernel_size, m.stride, m.padding)):
        raise unknown(m, "it is no plain convolution")
    return m


def group_norm(m: Any) -> nn.GroupNorm:
    """A group normalisation.

    Raises:
        UnknownError: when it is something else.
    """
    if not isinstance(m, nn.GroupNorm):
        raise unknown(m, "it is no group normalisation")
    return m


def unknown(m: object, why: str) -> UnknownError:
    """What is raised about a part."""
    return UnknownError(f"This VAE has a part that is not known here, {type(m).__name__} ({why}).")


def listed(
    network: nn.Module, walk: Callable[[Any], Iterator[Layer]], unused: str = " "
) -> list[Layer]:
    """The layers of a network that is walked through part by part.

    Args:
        network: of which no weights may be left over, lest a part was overlooked.
        walk: finds its layers.
        unused: how the names begin of weights that may be.

    Raises:
        UnknownError: when it has other parts.
    """
    try:
        layers = list(walk(network))
    except AttributeError as error:
        raise unknown(network, "it is made of other parts") from error
    taken = {id(weight) for module in _modules(layers) for weight in module.parameters()}
    left = [
        name
        for name, weight in network.named_parameters()
        if id(weight) not in taken and not name.startswith(unused)
    ]
    if left:
        raise unknown(network, f"it has {left[0]} besides")
    return layers


def _modules(value: object) -> Iterator[nn.Module]:
    """The modules in layers, however deep they lie."""
    if isinstance(value, nn.Module):
        yield value
        return
    inside: Iterable[object] = value if isinstance(value, list | tuple) else ()
    if is_dataclass(value):
        inside = [getattr(value, field.name) for field in fields(value)]
    for each in inside:
        yield from _modules(each)
