"""Attention over all pixels of a map, in bounded memory (`strips.py`)."""

from collections.abc import Callable
from math import isqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .strips import Change, Workshop, normaliser

_LEAST = 64  # pixels of a block: fewer would read all others for next to nothing
_SCORE_BYTES = 16  # of a pair of pixels: its score and what becomes of it, in float32


def attend(x: Tensor, norm: nn.GroupNorm, layers: tuple[nn.Module, ...], shop: Workshop) -> Tensor:
    """Self-attention over all pixels, added to the map in place (Vaswani et al. 2017, one head).

    Args:
        x: the map.
        norm: normalises it first.
        layers: 1x1 convolutions or linear layers to queries, keys and values, and back.
        shop: where it is computed.
    """
    change = normaliser(x, norm, shop)
    *to_parts, back = (matrix(layer, x, shop) for layer in layers)
    channels, width = x.shape[1], x.shape[3]
    pixels = pixels_of(x)
    parts = [torch.empty(pixels.shape, dtype=x.dtype, device=x.device) for _ in to_parts]
    queries, keys, values = parts

    def prepare(top: int, bottom: int) -> None:
        part = pixels_of(change(x[:, :, top:bottom].to(shop.device)))
        for kept, to_part in zip(parts, to_parts, strict=True):
            kept[top * width : bottom * width] = to_part(part).to(x.device)

    def see(begin: int, end: int) -> None:
        asked = queries[begin:end].to(shop.device) * channels**-0.5
        done = shop.passes + begin / len(pixels)
        seen = back(_seen(asked, keys, values, _side(shop), lambda: shop.heed(done)))
        pixels[begin:end] += seen.to(x.device)

    shop.go_through(x.shape[2], channels * width * x.element_size(), prepare)
    shop.go_through(len(pixels), (_side(shop) + channels) * 4, see, _LEAST)
    return x


def _side(shop: Workshop) -> int:
    """Pixels of a block, of which every one looks at each of another block."""
    return max(_LEAST, isqrt(shop.strip_bytes // _SCORE_BYTES))


def _seen(
    queries: Tensor, keys: Tensor, values: Tensor, side: int, heed: Callable[[], None]
) -> Tensor:
    """Softmax(q k^T) v, a block of keys after the other (Milakov and Gimelshein 2018).

    Args:
        queries: [n, c] on the device, already divided by the root of c.
        keys: [m, c] anywhere; values likewise.
        values: [m, c].
        side: keys of a block.
        heed: called before every block.
    """
    finer = torch.promote_types(queries.dtype, torch.float32)
    most = torch.full((len(queries), 1), -torch.inf, dtype=finer, device=queries.device)
    total, made = torch.zeros_like(most), torch.zeros_like(queries, dtype=finer)
    for key, value in zip(keys.split(side), values.split(side), strict=True):
        heed()
        scores = (queries @ key.to(queries.device).t()).to(finer)
        most, before = torch.maximum(most, scores.amax(1, keepdim=True)), most
        kept = (before - most).exp_()  # what was made with a smaller one is worth so much now
        weights = scores.sub_(most).exp_()
        total = total.mul_(kept).add_(weights.sum(1, keepdim=True))
        seen = weights.to(values.dtype) @ value.to(queries.device)
        made = made.mul_(kept).add_(seen)
    return made.div_(total).to(queries.dtype)


def attend_linearly(
    x: Tensor, heads: Tensor, channels: int, back: Change, shop: Workshop
) -> Tensor:
    """Attention whose weights are products of ReLUs, added to the map in place.

    The sums over all pixels come first, so that no pair of pixels is looked at (Katharopoulos et
    al. 2020; as EfficientViT has it, Cai et al. 2023).

    Args:
        x: the map.
        heads: the map `[1, heads * 3 * channels, h, w]` of their queries, keys and values.
        channels: of a query.
        back: from what all heads saw, `[1, heads * channels, h, w]`, to what is added.
        shop: where it is computed.
    """
    finer = torch.promote_types(x.dtype, torch.float32)
    sums: Tensor | int = 0

    def parts(top: int, bottom: int) -> list[Tensor]:
        """Queries, keys and values, [heads, pixels, channels] each."""
        strip = pixels_of(heads[:, :, top:bottom].to(shop.device)).to(finer)
        return list(strip.unflatten(1, (-1, 3 * channels)).transpose(0, 1).split(channels, dim=2))

    def gather(top: int, bottom: int) -> None:
        nonlocal sums
        _, keys, values = parts(top, bottom)
        sums = sums + F.relu(keys).mT @ F.pad(values, (0, 1), value=1.0)

    def see(top: int, bottom: int) -> None:
        seen = F.relu(parts(top, bottom)[0]) @ sums
        seen = seen[..., :-1] / (seen[..., -1:] + _NEVER_ZERO)
        strip = seen.transpose(0, 1).reshape(1, bottom - top, x.shape[3], -1).permute(0, 3, 1, 2)
        x[:, :, top:bottom] += back(strip.to(x.dtype)).to(x.device)

    row = heads.shape[1] * x.shape[3] * finer.itemsize
    shop.go_through(x.shape[2], row, gather)
    shop.go_through(x.shape[2], row, see)
    return x


_NEVER_ZERO = 1e-15


def pixels_of(part: Tensor) -> Tensor:
    """A map or strip `[1, c, h, w]` as `[h * w, c]`, of the same memory where it lies so."""
    return part[0].permute(1, 2, 0).flatten(0, 1)


def matrix(layer: nn.Module, x: Tensor, shop: Workshop) -> Change:
    """A linear layer, or a 1x1 convolution, on pixels `[n, c]`."""
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    weight = layer.weight.flatten(1).to(shop.device, x.dtype)
    bias = None if layer.bias is None else layer.bias.to(shop.device, x.dtype)
    return lambda pixels: F.linear(pixels, weight, bias)
