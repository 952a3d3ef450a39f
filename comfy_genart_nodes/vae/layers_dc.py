"""Layers of AutoencoderDC (Chen et al. 2024) by the names that diffusers gives them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import attend_linearly
from .folding import doubled, halved, means, repeats
from .layers import Beside, Layer, Residual, conv, plain, unknown
from .strips import Change, Workshop, change_places, convolve, new_map

_FOLD, _UNFOLD = (
    partial(F.pixel_unshuffle, downscale_factor=2),
    partial(F.pixel_shuffle, upscale_factor=2),
)


def decoder(m: Any) -> Iterator[Layer]:
    """The layers of a decoder."""
    first = conv(m.conv_in)
    yield Beside(first, shortcut=repeats(m.in_shortcut_repeats)) if m.in_shortcut else first
    for level in reversed(m.up_blocks):
        yield from _blocks(level)
    before = Normed(_normed(m.norm_out).norm, m.conv_act)
    plainly = isinstance(m.conv_out, nn.Conv2d)
    yield conv(m.conv_out, before=before) if plainly else _up(m.conv_out, before)


def encoder(m: Any) -> Iterator[Layer]:
    """The layers of an encoder."""
    yield conv(m.conv_in) if isinstance(m.conv_in, nn.Conv2d) else _down(m.conv_in)
    for level in m.down_blocks:
        yield from _blocks(level)
    last = conv(m.conv_out)
    groups = m.out_shortcut_average_group_size if m.out_shortcut else None
    yield Beside(last, shortcut=means(groups)) if groups else last


@dataclass(frozen=True)
class Normed:
    """A normalisation of each place by itself, and what comes after it.

    Attributes:
        norm: diffusers' RMSNorm over the channels, or a batch normalisation that has learned.
        activation: done to the result.
    """

    norm: Any
    activation: Change | None = None

    def __call__(self, part: Tensor) -> Tensor:
        """Normalise a strip."""
        m = self.norm
        weight, bias = m.weight.to(part)[:, None, None], m.bias.to(part)[:, None, None]
        if hasattr(m, "running_mean"):
            mean, variance = (each.to(part) for each in (m.running_mean, m.running_var))
            normed = F.batch_norm(part, mean, variance, eps=m.eps)
        else:
            square = part.float().square().mean(1, keepdim=True)
            normed = (part * torch.rsqrt(square + m.eps)).to(part)
        normed = normed * weight + bias
        return normed if self.activation is None else self.activation(normed)


@dataclass(frozen=True)
class LinearAttention:
    """Attention of several heads, some of which look at places that were mixed with their like."""

    attention: Any

    @property
    def passes(self) -> int:
        """How often it goes through a map."""
        return 3 + 2 * len(self.attention.to_qkv_multiscale)

    def __call__(self, x: Tensor, shop: Workshop) -> Tensor:
        """The map, changed in place."""
        m, (height, width) = self.attention, x.shape[2:]
        linear = torch.cat([each.weight for each in (m.to_q, m.to_k, m.to_v)])[..., None, None]
        count, mixers = len(linear), m.to_qkv_multiscale
        heads = new_map(x, count * (1 + len(mixers)), height, width)
        first = heads[:, :count]
        change_places(x, lambda part: F.conv2d(part, linear.to(part)), shop, first)
        for i, mixer in enumerate(mixers, 1):
            mixed = convolve(first, mixer.proj_in, shop)
            convolve(mixed, mixer.proj_out, shop, made=heads[:, i * count : (i + 1) * count])
        norm, out = Normed(m.norm_out), m.to_out.weight[..., None, None]

        def back(seen: Tensor) -> Tensor:
            return norm(F.conv2d(seen, out.to(seen)))

        return attend_linearly(x, heads, m.attention_head_dim, back, shop)


def _blocks(level: Any) -> Iterator[Layer]:
    for m in level:
        if hasattr(m, "attn"):
            yield _attention(m.attn)
            yield _gated(m.conv_out)
        elif hasattr(m, "conv1"):
            convs = conv(m.conv1, after=m.nonlinearity), conv(m.conv2, after=_normed(m.norm))
            yield Residual(convs)
        else:
            yield _up(m) if hasattr(m, "interpolate") else _down(m)


def _down(m: Any) -> Beside:
    return halved(conv(m.conv), m.group_size if m.shortcut else None, _FOLD)


def _up(m: Any, before: Normed | None = None) -> Beside:
    if m.interpolate and m.interpolation_mode != "nearest":
        raise unknown(m, "it does not repeat pixels")
    first = conv(m.conv, before=before, up=2 if m.interpolate else 1)
    return doubled(first, m.repeats if m.shortcut else None, _UNFOLD)


def _attention(m: Any) -> LinearAttention:
    if not m.residual_connection or not isinstance(m.nonlinearity, nn.ReLU):
        raise unknown(m, "it has no shortcut, or no ReLU")
    for mixer in m.to_qkv_multiscale:
        plain(mixer.proj_in), plain(mixer.proj_out)
    _normed(m.norm_out)
    return LinearAttention(m)


def _gated(m: Any) -> Residual:
    """A convolution of each channel by itself, half of whose results let the others through."""
    if not m.residual_connection:
        raise unknown(m, "it has no shortcut")

    def gate(part: Tensor) -> Tensor:
        kept, through = part.chunk(2, dim=1)
        return kept * m.nonlinearity(through)

    widened = conv(m.conv_inverted, after=m.nonlinearity)
    last = conv(m.conv_point, before=gate, after=_normed(m.norm))
    return Residual((widened, conv(m.conv_depth), last))


def _normed(m: Any) -> Normed:
    if (not isinstance(m, nn.BatchNorm2d) and type(m).__name__ != "RMSNorm") or m.bias is None:
        raise unknown(m, "it normalises otherwise")
    return Normed(m)
