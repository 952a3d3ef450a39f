"""Autoencoders as lists of layers that can be computed in strips (`strips.py`).

Known are the KL autoencoders of latent diffusion (Rombach et al. 2022), as ComfyUI writes them
down, and TAESD's plain sequences. A network is known by its parts, not by its class.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import GenartError
from .strips import Change, Workshop, attend, convolve, normaliser

Progress = Callable[[int, int], None]


class UnknownError(GenartError):
    """A network whose parts are none of those known here."""


@dataclass(frozen=True)
class Conv:
    """A convolution, with what comes before and after it number by number."""

    conv: nn.Conv2d
    norm: nn.GroupNorm | None = None
    before: Change | None = None
    after: Change | None = None
    up: int = 1
    uneven: bool = False

    def __call__(self, x: Tensor, shop: Workshop) -> Tensor:
        """The next map."""
        before = self.before
        if self.norm is not None:
            before = _normalised(normaliser(x, self.norm, shop))
        return convolve(x, self.conv, shop, before, self.after, up=self.up, uneven=self.uneven)


@dataclass(frozen=True)
class Residual:
    """Two normalised convolutions, added to what they came from (He et al. 2016)."""

    norm1: nn.GroupNorm
    conv1: nn.Conv2d
    norm2: nn.GroupNorm
    conv2: nn.Conv2d
    shortcut: nn.Conv2d | None

    def __call__(self, x: Tensor, shop: Workshop) -> Tensor:
        """The next map; where there is no shortcut it takes the place of the last."""
        h = convolve(x, self.conv1, shop, _normalised(normaliser(x, self.norm1, shop)))
        if self.shortcut is not None:
            x = _shortcut(x, self.shortcut, shop)
        second = _normalised(normaliser(h, self.norm2, shop))
        return convolve(h, self.conv2, shop, second, made=x, add=True)


@dataclass(frozen=True)
class Attention:
    """Self-attention over all pixels."""

    norm: nn.GroupNorm
    layers: tuple[nn.Module, ...]

    def __call__(self, x: Tensor, shop: Workshop) -> Tensor:
        """The map, changed in place."""
        return attend(x, self.norm, self.layers, shop)


@dataclass(frozen=True)
class Tiny:
    """TAESD's block: three convolutions and a shortcut, with ReLU between and after."""

    convs: tuple[nn.Conv2d, ...]
    shortcut: nn.Conv2d | None

    def __call__(self, x: Tensor, shop: Workshop) -> Tensor:
        """The next map."""
        h = convolve(x, self.convs[0], shop, after=F.relu_)
        h = convolve(h, self.convs[1], shop, after=F.relu_)
        x = x if self.shortcut is None else _shortcut(x, self.shortcut, shop)
        return convolve(h, self.convs[2], shop, made=x, add=True).relu_()


Layer = Conv | Residual | Attention | Tiny


def run(layers: Sequence[Layer], x: Tensor, shop: Workshop, progress: Progress) -> Tensor:
    """All layers, one after the other, on one picture's map `[1, c, h, w]`; `x` stays as it is."""
    x = x.clone(memory_format=torch.channels_last)
    with torch.no_grad():
        for done, layer in enumerate(layers):
            progress(done, len(layers))
            x = layer(x, shop)
    progress(len(layers), len(layers))
    return x


def _shortcut(x: Tensor, conv: nn.Conv2d, shop: Workshop) -> Tensor:
    """A shortcut to other channels, in the memory of the map itself where it has room."""
    fits = conv.kernel_size[0] == 1 and conv.out_channels <= conv.in_channels
    return convolve(x, conv, shop, made=x[:, : conv.out_channels] if fits else None)


def _normalised(change: Change) -> Change:
    return lambda part: F.silu(change(part), inplace=True)


def decoder_layers(decoder: nn.Module) -> list[Layer]:
    """A decoder from latent to picture as layers.

    Raises:
        UnknownError: when it has other parts.
    """
    return _listed(decoder, _decoder)


def encoder_layers(encoder: nn.Module) -> list[Layer]:
    """An encoder from picture to latent (its mean and log variance) as layers.

    Raises:
        UnknownError: when it has other parts.
    """
    return _listed(encoder, _encoder)


def _listed(network: nn.Module, walk: Callable[[Any], Iterator[Layer]]) -> list[Layer]:
    """The layers of a sequence, or of a network that is walked through part by part."""
    try:
        return list(_sequence(network) if isinstance(network, nn.Sequential) else walk(network))
    except AttributeError as error:
        raise _unknown(network, str(error)) from error


def _decoder(m: Any) -> Iterator[Layer]:
    yield _conv(m.conv_in)
    yield from _middle(m.mid)
    for level in reversed(m.up):
        yield from _blocks(level.block, level.attn)
        if hasattr(level, "upsample"):
            yield _conv(level.upsample.conv, up=2)
    yield _conv(m.conv_out, norm=_norm(m.norm_out))


def _encoder(m: Any) -> Iterator[Layer]:
    yield _conv(m.conv_in)
    for level in m.down:
        yield from _blocks(level.block, level.attn)
        if hasattr(level, "downsample"):
            yield _conv(level.downsample.conv, uneven=True)
    yield from _middle(m.mid)
    yield _conv(m.conv_out, norm=_norm(m.norm_out))


def _middle(mid: Any) -> Iterator[Layer]:
    yield _residual(mid.block_1)
    yield _attention(mid.attn_1)
    yield _residual(mid.block_2)


def _blocks(blocks: Any, attentions: Any) -> Iterator[Layer]:
    for i, block in enumerate(blocks):
        yield _residual(block)
        if len(attentions):
            yield _attention(attentions[i])


def _residual(m: Any) -> Residual:
    found = [getattr(m, name, None) for name in ("nin_shortcut", "conv_shortcut")]
    shortcut = next((_plain(each) for each in found if each is not None), None)
    return Residual(_norm(m.norm1), _plain(m.conv1), _norm(m.norm2), _plain(m.conv2), shortcut)


def _attention(m: Any) -> Attention:
    return Attention(_norm(m.norm), tuple(_plain(each) for each in (m.q, m.k, m.v, m.proj_out)))


def _sequence(m: nn.Sequential) -> Iterator[Layer]:
    """TAESD: what has no weights belongs to the convolution beside it."""
    left, before, up = list(m), None, 1
    while left:
        layer: Any = left.pop(0)
        if isinstance(layer, nn.Conv2d):
            relu = bool(left) and isinstance(left[0], nn.ReLU)
            yield _conv(layer, before=before, up=up, after=F.relu_ if relu else None)
            left = left[1:] if relu else left
            before, up = None, 1
        elif isinstance(layer, nn.Upsample):
            scale: Any = layer.scale_factor
            up = int(scale)
        elif hasattr(layer, "fuse"):
            convs = tuple(_plain(each) for each in layer.conv if isinstance(each, nn.Conv2d))
            skip = None if isinstance(layer.skip, nn.Identity) else _plain(layer.skip)
            yield Tiny(convs, skip)
        elif not list(layer.parameters()) and before is None:
            before = layer
        else:
            raise _unknown(layer, "it stands in a sequence")


def plain(m: Any) -> Layer:
    """A convolution by itself.

    Raises:
        UnknownError: when it is something else.
    """
    return _conv(m)


def _conv(m: Any, **how: Any) -> Conv:
    return Conv(_plain(m), **how)


def _plain(m: Any) -> nn.Conv2d:
    fits = isinstance(m, nn.Conv2d) and m.groups == 1 and set(m.dilation) == {1}
    if not fits or m.kernel_size[0] != m.kernel_size[1] or m.padding_mode != "zeros":
        raise _unknown(m, "it is no plain convolution")
    return m


def _norm(m: Any) -> nn.GroupNorm:
    if not isinstance(m, nn.GroupNorm):
        raise _unknown(m, "it is no group normalisation")
    return m


def _unknown(m: object, why: str) -> UnknownError:
    return UnknownError(f"This VAE has a part that is not known here, {type(m).__name__} ({why}).")
