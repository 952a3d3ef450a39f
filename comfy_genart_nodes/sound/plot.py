"""Curves as a picture."""

import math
from itertools import pairwise

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

SIZE = (960, 320)
FINE = 3  # drawn so many times larger
LEFT, TOP, RIGHT, BOTTOM = 44, 44, 20, 34  # around the field
PAPER, FIELD, GRID, INK, GREY = "#ffffff", "#fafafb", "#e4e5ea", "#23252d", "#7a7e8c"
LINE, FILL = "#2f6fde", "#c9dbf8"


def plot(curve: Tensor, fps: float, title: str) -> Image.Image:
    """A curve `[n]` of 0..1 over seconds, as an RGB picture."""
    picture = Image.new("RGB", SIZE, PAPER)
    pen = ImageDraw.Draw(picture)
    pen.text((LEFT, 12), title, INK, ImageFont.load_default(18))
    left, top, right, bottom = LEFT, TOP, SIZE[0] - RIGHT, SIZE[1] - BOTTOM
    field = _field(curve, (right - left, bottom - top))
    picture.paste(field, (left, top))
    font = ImageFont.load_default(12)
    for value in (0, 0.25, 0.5, 0.75, 1):
        y = round(bottom - value * (bottom - top))
        pen.line([(left, y), (right, y)], GRID)
        pen.text((left - 7, y), f"{value:g}", GREY, font, anchor="rm")
    seconds = len(curve) / fps
    step = _round_step(seconds / 8)
    for number in range(math.floor(seconds / step + 1e-9) + 1):
        x = left + number * step / seconds * (right - left)
        pen.line([(x, bottom), (x, bottom + 4)], GREY)
        text = f"{number * step:g}" if number else "0 s"
        pen.text((x, bottom + 8), text, GREY, font, anchor="ma")
    return picture


def _field(curve: Tensor, size: tuple[int, int]) -> Image.Image:
    """The curve alone, drawn large and then made small, so that it is smooth.

    Of more frames than points the largest of each point's are shown: no peak is lost.
    """
    width, height = size[0] * FINE, size[1] * FINE
    field = Image.new("RGB", (width, height), FIELD)
    pen = ImageDraw.Draw(field)
    points = min(len(curve), width)
    edges = [number * len(curve) // points for number in range(points + 1)]
    tops = [float(curve[a:b].max()) for a, b in pairwise(edges)]
    room = height - 2 * FINE
    path = [((i + 0.5) / points * width, height - FINE - room * v) for i, v in enumerate(tops)]
    path = [(0.0, path[0][1]), *path, (float(width), path[-1][1])]
    pen.polygon([(0, height), *path, (width, height)], FILL)
    pen.line(path, LINE, 2 * FINE, joint="curve")
    return field.resize(size, Image.Resampling.BOX)


def _round_step(rough: float) -> float:
    """The next larger of 1, 2, 5, 10, 20 ... (or .5, .2, .1 ...)."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
