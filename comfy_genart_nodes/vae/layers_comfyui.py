"""Layers by the names that ComfyUI gives them.

Known are the KL autoencoders of latent diffusion (Rombach et al. 2022), those of HunyuanImage, and
TAESD's plain sequences. A network is known by its parts, not by its class.
"""

from collections.abc import Iterator
from typing import Any

import torch.nn.functional as F
from torch import nn

from .folding import doubled, halved, means, repeats
from .layers import (
    Attention,
    Beside,
    Conv,
    Layer,
    Residual,
    conv,
    group_norm,
    plain,
    residual,
    unknown,
)


def decoder(m: Any) -> Iterator[Layer]:
    """The layers of a decoder."""
    folds = hasattr(m, "block_out_channels")  # HunyuanImage's, which also begins with the largest
    first = conv(m.conv_in)
    count = first.conv.out_channels // first.conv.in_channels
    yield Beside(first, shortcut=repeats(count)) if folds else first
    yield from _middle(m.mid)
    for level in m.up if folds else reversed(m.up):
        yield from _blocks(level)
        if hasattr(level, "upsample"):
            up = level.upsample
            yield doubled(conv(up.conv), up.scale) if folds else conv(up.conv, up=2)
    yield conv(m.conv_out, norm=group_norm(m.norm_out))


def encoder(m: Any) -> Iterator[Layer]:
    """The layers of an encoder."""
    folds = hasattr(m, "block_out_channels")
    yield conv(m.conv_in)
    for level in m.down:
        yield from _blocks(level)
        if hasattr(level, "downsample"):
            down = level.downsample
            yield halved(conv(down.conv), down.ratio) if folds else conv(down.conv, uneven=True)
    yield from _middle(m.mid)
    last = conv(m.conv_out, norm=group_norm(m.norm_out))
    groups = last.conv.in_channels // last.conv.out_channels
    yield Beside(last, shortcut=means(groups)) if folds else last


def _middle(mid: Any) -> Iterator[Layer]:
    yield _residual(mid.block_1)
    yield _attention(mid.attn_1)
    yield _residual(mid.block_2)


def _blocks(level: Any) -> Iterator[Layer]:
    attentions = getattr(level, "attn", ())
    for i, block in enumerate(level.block):
        yield _residual(block)
        if len(attentions):
            yield _attention(attentions[i])


def _residual(m: Any) -> Residual:
    found = [getattr(m, name, None) for name in ("nin_shortcut", "conv_shortcut")]
    return residual(m, next((each for each in found if each is not None), None))


def _attention(m: Any) -> Attention:
    layers = tuple(plain(each) for each in (m.q, m.k, m.v, m.proj_out))
    return Attention(group_norm(m.norm), layers)


def sequence(m: nn.Sequential) -> Iterator[Layer]:
    """The layers of TAESD: what has no weights belongs to the convolution beside it."""
    left, before, up = list(m), None, 1
    while left:
        layer: Any = left.pop(0)
        if isinstance(layer, nn.Conv2d):
            relu = bool(left) and isinstance(left[0], nn.ReLU)
            yield conv(layer, before=before, up=up, after=F.relu_ if relu else None)
            left = left[1:] if relu else left
            before, up = None, 1
        elif isinstance(layer, nn.Upsample) and layer.mode == "nearest":
            scale: Any = layer.scale_factor
            up = int(scale)
        elif hasattr(layer, "fuse"):
            yield _tiny(layer)
        elif before is None and _is_place_by_place(layer):
            before = layer
        else:
            raise unknown(layer, "it stands in a sequence")


def _is_place_by_place(m: nn.Module) -> bool:
    """Whether it is TAESD's clamp, which is nobody's but its own, or an activation."""
    home = type(m).__module__
    return not list(m.parameters()) and (not home.startswith("torch.") or "activation" in home)


def _tiny(m: Any) -> Residual:
    """TAESD's block: three convolutions and a shortcut, with ReLU between and after."""
    *others, last = (plain(each) for each in m.conv if isinstance(each, nn.Conv2d))
    between = [each for each in m.conv if not isinstance(each, nn.Conv2d)]
    if not all(isinstance(each, nn.ReLU) for each in [*between, m.fuse]):
        raise unknown(m, "it has no ReLU between")
    skip = None if isinstance(m.skip, nn.Identity) else plain(m.skip)
    return Residual((*(Conv(each, after=F.relu_) for each in others), Conv(last)), skip, F.relu_)
