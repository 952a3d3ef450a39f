"""Pictures as a table with words beside its rows and above its columns."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from PIL.Image import Resampling
from torch import Tensor

PAPER, INK = "#ffffff", "#23252d"
_LEAST, _MOST = 96, 256  # sides of cells: smaller pictures are enlarged, larger ones reduced
_GAP, _TEXT, _ROOM = 4, 14, 10


def table(pictures: Iterable[Tensor], rows: Sequence[str], columns: Sequence[str]) -> Tensor:
    """Draw a table.

    Args:
        pictures: of its cells, row by row, in batches `[n, 3, h, w]` in -1..1.
        rows: what stands on the left.
        columns: what stands above.

    Returns:
        [1, 3, h, w] in -1..1.
    """
    cells = [_cell(picture) for batch in pictures for picture in batch]
    font = ImageFont.load_default(_TEXT)
    width, height = cells[0].size
    left = max(math.ceil(font.getlength(text)) for text in rows) + 2 * _ROOM
    top = _TEXT + 2 * _ROOM
    across, down = width + _GAP, height + _GAP
    whole = (left + len(columns) * across, top + len(rows) * down)
    sheet = Image.new("RGB", whole, PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, text in enumerate(columns):
        pen.text((left + number * across + width / 2, top / 2), text, INK, font, anchor="mm")
    for number, text in enumerate(rows):
        pen.text((_ROOM, top + number * down + height / 2), text, INK, font, anchor="lm")
    for place, cell in enumerate(cells):
        row, column = divmod(place, len(columns))
        sheet.paste(cell, (left + column * across, top + row * down))
    values = torch.from_numpy(np.array(sheet)).movedim(-1, 0)[None]
    return values.float() / 127.5 - 1


def _cell(picture: Tensor) -> Image.Image:
    """A picture `[3, h, w]` in -1..1: small ones enlarged pixel by pixel, large ones reduced."""
    values = ((picture.float().cpu() / 2 + 0.5) * 255).round().clamp(0, 255).byte()
    image = Image.fromarray(values.movedim(0, -1).numpy())
    longest = max(image.size)
    if longest <= _MOST:
        times = math.ceil(_LEAST / longest)
        return image.resize((image.width * times, image.height * times), Resampling.NEAREST)
    width, height = (max(1, round(side * _MOST / longest)) for side in image.size)
    return image.resize((width, height), Resampling.LANCZOS)
