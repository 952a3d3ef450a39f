"""Where two pictures differ, and how much, as colours that can be read off a scale."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from .likeness import LEVELS, levels

COLOURS = torch.tensor(
    [
        [0, 0, 0],
        [42, 16, 92],
        [126, 26, 116],
        [206, 54, 82],
        [244, 124, 38],
        [250, 206, 76],
        [255, 255, 235],
    ]
)
"""From no difference to the largest, evenly spaced, each lighter than the one before it."""

_ENDS = (1, 2, 5, 10, 20, 50, 100, 200)
_LEAST_WIDTH = 256  # of a map beside its picture: narrower ones are enlarged
_SHARE = 0.995  # of the pixels lie on the scale where it is not given
_SCALE, _TEXT, _EDGE = 14, 13, 8  # the bar's height, the letters', the room around them
_GAP, _PAPER = 8, 18  # between pictures: its width and its grey


def errors(made: Tensor, real: Tensor) -> Tensor:
    """How far pixels differ: the root of the mean square over colours, in levels of 255.

    The mean square of a map is the squared error that PSNR is made of.

    Args:
        made: pictures `[n, c, h, w]` in -1..1.
        real: those they should be.

    Returns:
        [n, h, w].
    """
    pairs = zip(made, real, strict=True)
    return torch.stack([(levels(a) - levels(b)).square().mean(0).sqrt() for a, b in pairs])


def end_of_scale(found: Tensor) -> int:
    """A round number of levels that nearly all errors lie below: 1, 2 or 5 times a power of ten."""
    high = float(found.flatten().kthvalue(max(1, math.ceil(_SHARE * found.numel()))).values)
    return next((end for end in _ENDS if end >= high), LEVELS)


def coloured(found: Tensor, end: int) -> Tensor:
    """Errors as pictures `[n, 3, h, w]` in -1..1; those beyond the end have the last colour."""
    places = (found / end).clamp(0, 1) * (len(COLOURS) - 1)
    low = places.long().clamp(max=len(COLOURS) - 2)
    part = (places - low).unsqueeze(-1)
    table = COLOURS.to(found)
    mixed = table[low] * (1 - part) + table[low + 1] * part  # [n, h, w, 3]
    return mixed.movedim(-1, 1) / 127.5 - 1


def compared(
    pictures: Tensor, rebuilt: Tensor, maps: Tensor, end: int, words: Sequence[str]
) -> Tensor:
    """Pictures, what became of them and their error maps, side by side, with the map's scale.

    Args:
        pictures: `[n, 3, h, w]` in -1..1; small ones are enlarged, pixel by pixel.
        rebuilt: likewise.
        maps: `coloured` errors.
        end: levels at the scale's right end.
        words: what stands below each rebuilt picture.

    Returns:
        [n, 3, height, 3 widths and what is between] in -1..1.
    """
    times = math.ceil(_LEAST_WIDTH / pictures.shape[-1])
    rows = []
    for *shown, text in zip(pictures, rebuilt, maps, words, strict=True):
        large = [x.repeat_interleave(times, -1).repeat_interleave(times, -2) for x in shown]
        gap = _between(large[0])
        row = torch.cat([large[0], gap, large[1], gap, large[2]], dim=-1)
        rows.append(torch.cat([row, _foot(large[0].shape[-1], end, text).to(row)], dim=1))
    return torch.stack(rows)


def _between(picture: Tensor) -> Tensor:
    """What is between two pictures `[3, h, w]`."""
    return picture.new_full((3, picture.shape[1], _GAP), _PAPER / 127.5 - 1)


def _foot(width: int, end: int, text: str) -> Tensor:
    """The words and the scale below three pictures, `[3, height, 3 * width + gaps]` in -1..1."""
    height = 2 * _EDGE + _SCALE + _TEXT + 6
    foot = Image.new("RGB", (3 * width + 2 * _GAP, height), (_PAPER,) * 3)
    pen, font = ImageDraw.Draw(foot), ImageFont.load_default(_TEXT)
    left = 2 * (width + _GAP)
    across = torch.linspace(0, end, width - 2 * _EDGE).expand(1, _SCALE, -1)
    bar = (coloured(across, end)[0].movedim(0, -1) + 1) * 127.5
    foot.paste(Image.fromarray(bar.round().byte().numpy()), (left + _EDGE, _EDGE))
    y = _EDGE + _SCALE + 4
    pen.text((left + _EDGE, y), "0", "white", font)
    pen.text((left + width / 2, y), f"{end / 2:g}", "white", font, anchor="ma")
    pen.text((left + width - _EDGE, y), f"{end} of {LEVELS}", "white", font, anchor="ra")
    pen.text((width / 2, height / 2), "picture", "white", font, anchor="mm")
    pen.text((1.5 * width + _GAP, height / 2), text, "white", font, anchor="mm")
    return torch.from_numpy(np.array(foot)).movedim(-1, 0).float() / 127.5 - 1
