"""Layers by the names that diffusers gives them.

Known are AutoencoderKL and what shares its parts (VQModel, AutoencoderKLFlux2,
AsymmetricAutoencoderKL without a mask, the encoders of others), AutoencoderKLHunyuanImage and
AutoencoderTiny; AutoencoderDC is in `layers_dc.py`.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from . import layers_dc
from .folding import doubled, halved, means, repeats
from .layers import (
    Attention,
    Beside,
    Conv,
    Layer,
    Places,
    Residual,
    conv,
    group_norm,
    residual,
    unknown,
)
from .layers_comfyui import sequence


def decoder(m: Any) -> Iterator[Layer]:
    """The layers of a decoder."""
    if hasattr(m, "layers"):
        yield Places(lambda z: torch.tanh(z / 3) * 3)
        yield from sequence(m.layers)
        yield Places(lambda x: x * 2 - 1)
    elif hasattr(m, "mid_block"):
        first = conv(m.conv_in)
        repeated = getattr(m, "repeat", None)  # HunyuanImage's
        yield Beside(first, shortcut=repeats(repeated)) if repeated else first
        yield from _middle(m.mid_block)
        for block in m.up_blocks:
            yield from _blocks(block)
        yield _head(m)
    else:
        yield from layers_dc.decoder(m)


def encoder(m: Any) -> Iterator[Layer]:
    """The layers of an encoder."""
    if hasattr(m, "layers"):
        yield Places(lambda x: (x + 1) / 2)
        yield from sequence(m.layers)
    elif hasattr(m, "mid_block"):
        yield conv(m.conv_in)
        for block in m.down_blocks:
            yield from _blocks(block)
        yield from _middle(m.mid_block)
        groups = getattr(m, "group_size", None)  # HunyuanImage's
        yield Beside(_head(m), shortcut=means(groups)) if groups else _head(m)
    else:
        yield from layers_dc.encoder(m)


def quantiser(m: Any) -> Places:
    """The nearest entry of a codebook at each place, as VQModel decodes."""
    codes = m.embedding.weight

    def nearest(z: Tensor) -> Tensor:
        places = z.movedim(1, -1).to(torch.promote_types(z.dtype, torch.float32))
        book = codes.to(places)
        found = torch.cdist(places.flatten(0, 2), book).argmin(1)
        return book[found].view(places.shape).movedim(-1, 1).to(z.dtype)

    return Places(nearest, numbers=len(codes))


def _head(m: Any) -> Conv:
    if hasattr(m, "conv_norm_out"):
        norm, activation = m.conv_norm_out, m.conv_act
    else:
        norm, activation = m.norm_out, m.nonlinearity
    _silu(activation)
    return conv(m.conv_out, norm=group_norm(norm))


def _middle(m: Any) -> Iterator[Layer]:
    first, *others = m.resnets
    yield _residual(first)
    for attention, block in zip(m.attentions, others, strict=True):
        if attention is not None:
            yield _attention(attention)
        yield _residual(block)


def _blocks(m: Any) -> Iterator[Layer]:
    """A level of several layers, or one layer that stands by itself, as HunyuanImage's do."""
    if hasattr(m, "norm1"):
        yield _residual(m)
    elif hasattr(m, "repeats"):
        yield doubled(conv(m.conv), m.repeats)
    elif hasattr(m, "group_size"):
        yield halved(conv(m.conv), m.group_size)
    else:
        yield from _level(m)


def _level(m: Any) -> Iterator[Layer]:
    attentions = getattr(m, "attentions", ())
    for i, block in enumerate(m.resnets):
        yield _residual(block)
        if len(attentions):
            yield _attention(attentions[i])
    for down in getattr(m, "downsamplers", None) or ():
        yield conv(down.conv, uneven=down.padding == 0)
    for up in getattr(m, "upsamplers", None) or ():
        if not up.interpolate:
            raise unknown(up, "it does not repeat pixels")
        yield conv(up.conv, up=2)


def _residual(m: Any) -> Residual:
    _silu(m.nonlinearity)
    if getattr(m, "output_scale_factor", 1) != 1 or getattr(m, "upsample", None) is not None:
        raise unknown(m, "it scales")
    return residual(m, m.conv_shortcut)


def _attention(m: Any) -> Attention:
    if hasattr(m, "proj"):  # HunyuanImage's
        return Attention(group_norm(m.norm), (m.to_q, m.to_k, m.to_v, m.proj))
    if m.heads != 1 or not m.residual_connection or m.rescale_output_factor != 1:
        raise unknown(m, "it has several heads, or scales")
    return Attention(group_norm(m.group_norm), (m.to_q, m.to_k, m.to_v, m.to_out[0]))


def _silu(m: Any) -> None:
    if not isinstance(m, nn.SiLU):
        raise unknown(m, "it stands where SiLU should")
