"""Layers a strip of rows at a time: the whole picture's result, in bounded memory.

A map (what a layer makes of the whole picture) lies in plain memory; strips of it go to the device
and come back. Convolutions get the rows beyond their strip that they reach, and normalisation and
attention see all of the map, so that nothing depends on where it was cut: no seams, no change of
colour. Where a whole pass holds several maps and their copies on the device, this holds one or two
maps in memory, and a strip on the device.

Maps are those of one picture, `[1, c, h, w]`, channels last: its rows lie together, and a CPU's
convolutions are fastest so.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_COPIES = 4  # of a strip that a layer holds: taken, normalised, padded, made
Change = Callable[[Tensor], Tensor]
"""What is done to a strip number by number, or place by place."""


@dataclass
class Workshop:
    """Where and how strips are made.

    Attributes:
        device: where they are computed.
        strip_bytes: about so much of the device's memory is taken beside the weights, or what one
            row with those that it reaches takes, if that is more. It shrinks where memory runs out.
        heed: called before every strip with how many passes are done; may raise to stop.
        full: what is raised where memory runs out.
        passes: how often a map was gone through.
    """

    device: torch.device
    strip_bytes: int
    heed: Callable[[float], None] = lambda passes: None
    full: type[Exception] = torch.cuda.OutOfMemoryError
    passes: int = 0

    def go_through(
        self, height: int, row_bytes: int, work: Callable[[int, int], None], least: int = 1
    ) -> None:
        """Work on a map from top to bottom.

        Args:
            height: rows of the map.
            row_bytes: of a row, all that is there of it at a time.
            work: on the rows from the first up to the second. Where it ran out of memory it has
                changed nothing, and is called again with fewer.
            least: rows of a strip.

        Raises:
            Exception: `full`, when even so many rows do not fit.
        """
        each, top = max(_COPIES * row_bytes, 1), 0
        while top < height:
            self.heed(self.passes + top / height)
            bottom = min(top + max(least, self.strip_bytes // each), height)
            try:
                work(top, bottom)
            except self.full:
                if bottom - top <= least:
                    raise
                self.strip_bytes = (bottom - top) // 2 * each
            else:
                top = bottom
        self.passes += 1


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
    result = new_map(x, conv.out_channels, tall, wide) if made is None else made
    weight = conv.weight.to(shop.device, x.dtype, memory_format=torch.channels_last)
    bias = None if conv.bias is None else conv.bias.to(shop.device, x.dtype)

    def work(top: int, bottom: int) -> None:
        low, high = top * stride - first, (bottom - 1) * stride - first + kernel
        begin, end = max(low, 0), min(high, height)
        part = x[:, :, begin // up : -(-end // up)].to(shop.device)
        part = part.contiguous(memory_format=torch.channels_last)  # also where `x` is some channels
        part = before(part) if before else part
        if up > 1:
            part = F.interpolate(part, scale_factor=up, mode="nearest")
            part = part[:, :, begin - begin // up * up :][:, :, : end - begin]
        part = F.pad(part, (first, last, begin - low, high - end))
        part = F.conv2d(part, weight, bias, stride, groups=conv.groups)
        part = after(part) if after else part
        _put(result[:, :, top:bottom], part, add)

    row = (x.shape[1] * width * stride + conv.out_channels * wide) * x.element_size()
    shop.go_through(tall, row, work)
    return result


def change_places(
    x: Tensor,
    change: Change,
    shop: Workshop,
    made: Tensor | None = None,
    add: bool = False,
    numbers: int = 0,
) -> Tensor:
    """What comes of a map place by place, or of each few rows of it.

    Args:
        x: the map.
        change: of strips; where it makes fewer rows of them, or more, so many times as many.
        shop: where it is computed.
        made: a map for the result, in place of a new one.
        add: add the result to what `made` holds.
        numbers: so many are there of each place meanwhile, beside those of `x` and the result.

    Returns:
        The new map, or `made`.
    """
    some = x[:, :, :2].to(shop.device)
    like = change(some)
    common = min(some.shape[2], like.shape[2])
    taken, given = some.shape[2] // common, like.shape[2] // common
    steps = x.shape[2] // taken
    result = new_map(x, like.shape[1], steps * given, like.shape[3]) if made is None else made

    def work(top: int, bottom: int) -> None:
        part = change(x[:, :, top * taken : bottom * taken].to(shop.device))
        _put(result[:, :, top * given : bottom * given], part, add)

    row = taken * (x.shape[1] + numbers) * x.shape[3] + given * like.shape[1] * like.shape[3]
    shop.go_through(steps, row * x.element_size(), work)
    return result


def _put(place: Tensor, part: Tensor, add: bool) -> None:
    if add:
        place.add_(part.to(place.device))
    else:
        place.copy_(part)


def normaliser(x: Tensor, norm: nn.GroupNorm, shop: Workshop) -> Change:
    """What normalises strips of a map by its groups' statistics over the whole map."""
    groups, count = norm.num_groups, 0
    finer = torch.promote_types(x.dtype, torch.float32)
    mean = squares = torch.zeros(groups, dtype=torch.float64)

    def work(top: int, bottom: int) -> None:
        nonlocal mean, squares, count
        part = x[0, :, top:bottom].to(shop.device, finer).reshape(groups, -1)
        variance, middle = (v.cpu().double() for v in torch.var_mean(part, dim=1, correction=0))
        size = part.shape[1]
        # Moments put together as Chan et al. (1979) do, which loses no digits to large means.
        apart = middle - mean
        squares = squares + variance * size + apart.square() * (count * size / (count + size))
        mean = mean + apart * (size / (count + size))
        count += size

    shop.go_through(x.shape[2], x.shape[1] * x.shape[3] * x.element_size(), work)
    each = x.shape[1] // groups
    scale = (squares / count + norm.eps).rsqrt().repeat_interleave(each)
    shift = -mean.repeat_interleave(each) * scale
    if norm.affine:
        weight, bias = norm.weight.cpu().double(), norm.bias.cpu().double()
        scale, shift = scale * weight, shift * weight + bias
    a, b = (v.to(shop.device, finer)[None, :, None, None] for v in (scale, shift))
    return lambda part: torch.addcmul(b, part.to(finer), a).to(part.dtype)
