"""The sheet of made pictures that are nearest to training pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

CELL = 128
GAP = 4
LABEL = 96
HEAD = 28
BLOCKS = 2
PAPER, INK = "white", "#333333"


@dataclass(frozen=True)
class Case:
    """A made picture and its nearest training pictures.

    Attributes:
        number: the picture's, of all that were made.
        seed: of its latent.
        percentile: so many per cent of training pictures are nearer to their own neighbours.
        neighbours: places of training pictures, the nearest first.
    """

    number: int
    seed: int
    percentile: float
    neighbours: tuple[int, ...]


def sheet(
    cases: Sequence[Case], made: Sequence[np.ndarray], training: Sequence[np.ndarray]
) -> Image.Image:
    """Rows of a label, the made picture, a gap and its neighbours, in two blocks side by side.

    Args:
        cases: at least one; all have as many neighbours.
        made: their pictures, uint8 [3, h, w].
        training: all training pictures, likewise.
    """
    per_block = -(-len(cases) // BLOCKS)
    blocks = -(-len(cases) // per_block)
    width = LABEL + (1 + len(cases[0].neighbours)) * (CELL + GAP) + 3 * GAP
    step = CELL + GAP
    whole = Image.new("RGB", (blocks * (width + 4 * GAP), HEAD + per_block * step), PAPER)
    pen, font = ImageDraw.Draw(whole), ImageFont.load_default(size=14)
    for block in range(blocks):
        left = block * (width + 4 * GAP) + LABEL
        pen.text((left, 6), "made", INK, font=font)
        pen.text((left + step + 3 * GAP, 6), "nearest training pictures", INK, font=font)
    for place, (case, picture) in enumerate(zip(cases, made, strict=True)):
        block, row = divmod(place, per_block)
        left, top = block * (width + 4 * GAP), HEAD + row * step
        label = f"seed\n{case.seed}\n\nnearer than\n{100 - case.percentile:.1f} %"
        pen.multiline_text((left + GAP, top + 16), label, INK, font=font)
        shown = [picture, *(training[neighbour] for neighbour in case.neighbours)]
        for column, each in enumerate(shown):
            at = left + LABEL + column * step + (3 * GAP if column else 0)
            whole.paste(_cell(each), (at, top))
    return whole


def _cell(picture: np.ndarray) -> Image.Image:
    """A picture at the sheet's size."""
    opened = Image.fromarray(np.ascontiguousarray(picture.transpose(1, 2, 0)))
    return opened.resize((CELL, CELL), Image.Resampling.BICUBIC)
