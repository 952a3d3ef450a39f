"""Convolutional layers a strip of rows at a time: the whole picture's result, in bounded memory.

A map (what a layer makes of the whole picture) lies in plain memory; strips of it go to the device
and come back. Convolutions get the rows beyond their strip that they reach, and normalisation and
attention see all of the map, so that nothing depends on where it was cut: no seams, no change of
colour. Where a whole pass holds several maps and their copies on the device, this holds one or two
maps in memory, and a strip on the device.

Maps are those of one picture, `[1, c, h, w]`, channels last: its rows lie together, and a CPU's
convolutions are fastest so.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_COPIES = 4  # of a strip that a layer holds: taken, normalised, padded, made
Change = Callable[[Tensor], Tensor]
"""What is done to a strip number by number."""


@dataclass(frozen=True)
class Workshop:
    """Where and how strips are made.

    Attributes:
        device: where they are computed.
        strip_bytes: about so much of the device's memory is taken beside the weights.
        heed: called before every strip; may raise to stop.
    """

    device: torch.device
    strip_bytes: int
    heed: Callable[[], None] = lambda: None

    def strips(self, height: int, row_bytes: int) -> Iterator[tuple[int, int]]:
        """Where strips of rows of so many bytes begin and end."""
        step = max(1, self.strip_bytes // max(_COPIES * row_bytes, 1))
        for start in range(0, height, step):
            self.heed()
            yield start, min(start + step, height)


def new_map(like: Tensor, channels: int, height: int, width: int) -> Tensor:
    """An empty map beside another, `[1, channels, height, width]`."""
    made = torch.empty(1, height, width, channels, dtype=like.dtype, device=like.device)
    return made.permute(0, 3, 1, 2)


def convolve(
    x: Tensor,
    conv: nn.Conv2d,
    shop: Workshop,
    before: Change | None = None,
    after: Change | None = None,
    made: Tensor | None = None,
    add: bool = False,
    up: int = 1,
    uneven: bool = False,
) -> Tensor:
    """A convolution of a whole map.

    Args:
        x: the map.
        conv: the layer.
        shop: where it is computed.
        before: done to every strip first.
        after: done to the result.
        made: a map for the result, in place of a new one; with a 1x1 kernel it may lie over `x`.
        add: add the result to what `made` holds.
        up: every pixel is repeated so often along both sides first.
        uneven: a pixel of zeros on the right and below in place of the layer's own padding.

    Returns:
        The new map, or `made`.
    """
    kernel, stride = conv.kernel_size[0], conv.stride[0]
    first, last = (0, 1) if uneven else (int(conv.padding[0]),) * 2
    height, width = x.shape[2] * up, x.shape[3] * up
    tall, wide = ((side + first + last - kernel) // stride + 1 for side in (height, width))
    made = new_map(x, conv.out_channels, tall, wide) if made is None else made
    weight = conv.weight.to(shop.device, x.dtype, memory_format=torch.channels_last)
    bias = None if conv.bias is None else conv.bias.to(shop.device, x.dtype)
    row = (conv.in_channels * width * stride + conv.out_channels * wide) * x.element_size()
    for top, bottom in shop.strips(tall, row):
        low, high = top * stride - first, (bottom - 1) * stride - first + kernel
        begin, end = max(low, 0), min(high, height)
        part = x[:, :, begin // up : -(-end // up)].to(shop.device)
        part = part.contiguous(memory_format=torch.channels_last)  # also where `x` is some channels
        part = before(part) if before else part
        if up > 1:
            part = F.interpolate(part, scale_factor=up, mode="nearest")
            part = part[:, :, begin - begin // up * up :][:, :, : end - begin]
        part = F.pad(part, (first, last, begin - low, high - end))
        part = F.conv2d(part, weight, bias, stride)
        part = after(part) if after else part
        place = made[:, :, top:bottom]
        if add:
            place.add_(part.to(place.device))
        else:
            place.copy_(part)
    return made


def normaliser(x: Tensor, norm: nn.GroupNorm, shop: Workshop) -> Change:
    """What normalises strips of a map by its groups' statistics over the whole map."""
    groups, count = norm.num_groups, 0
    finer = torch.promote_types(x.dtype, torch.float32)
    mean = squares = torch.zeros(groups, dtype=torch.float64)
    row = x.shape[1] * x.shape[3] * x.element_size()
    for top, bottom in shop.strips(x.shape[2], row):
        part = x[0, :, top:bottom].to(shop.device, finer).reshape(groups, -1)
        variance, middle = (v.double().cpu() for v in torch.var_mean(part, dim=1, correction=0))
        size = part.shape[1]
        # Moments put together as Chan et al. (1979) do, which loses no digits to large means.
        apart = middle - mean
        squares = squares + variance * size + apart.square() * (count * size / (count + size))
        mean = mean + apart * (size / (count + size))
        count += size
    each = x.shape[1] // groups
    scale = (squares / count + norm.eps).rsqrt().repeat_interleave(each)
    shift = -mean.repeat_interleave(each) * scale
    if norm.affine:
        weight, bias = norm.weight.double().cpu(), norm.bias.double().cpu()
        scale, shift = scale * weight, shift * weight + bias
    a, b = (v.to(shop.device, x.dtype)[None, :, None, None] for v in (scale, shift))
    return lambda part: torch.addcmul(b, part, a)


def attend(x: Tensor, norm: nn.GroupNorm, layers: tuple[nn.Module, ...], shop: Workshop) -> Tensor:
    """Self-attention over all pixels, added to the map in place (Vaswani et al. 2017, one head).

    Args:
        x: the map.
        norm: normalises it first.
        layers: 1x1 convolutions or linear layers to queries, keys and values, and back.
        shop: where it is computed.
    """
    change = normaliser(x, norm, shop)
    to_q, to_k, to_v, back = (_matrix(layer, x, shop) for layer in layers)
    channels, width = x.shape[1], x.shape[3]
    keys, values = [], []
    for top, bottom in shop.strips(x.shape[2], channels * width * x.element_size()):
        pixels = _pixels(change(x[:, :, top:bottom].to(shop.device)))
        keys.append(to_k(pixels))
        values.append(to_v(pixels))
    k, v = torch.cat(keys).t() * channels**-0.5, torch.cat(values)
    del keys, values
    for top, bottom in shop.strips(x.shape[2], k.shape[1] * width * x.element_size()):
        part = x[:, :, top:bottom]
        q = to_q(_pixels(change(part.to(shop.device))))
        seen = back(torch.softmax(q @ k, dim=1) @ v)
        part.add_(seen.view(1, bottom - top, width, channels).permute(0, 3, 1, 2).to(part.device))
    return x


def _pixels(part: Tensor) -> Tensor:
    """A strip `[1, c, h, w]` as `[h * w, c]`."""
    return part.permute(0, 2, 3, 1).reshape(-1, part.shape[1])


def _matrix(layer: nn.Module, x: Tensor, shop: Workshop) -> Change:
    """A linear layer, or a 1x1 convolution, on pixels `[n, c]`."""
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    weight = layer.weight.flatten(1).to(shop.device, x.dtype)
    bias = None if layer.bias is None else layer.bias.to(shop.device, x.dtype)
    return lambda pixels: F.linear(pixels, weight, bias)
