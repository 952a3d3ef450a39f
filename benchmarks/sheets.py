"""The three sheets of pictures on a network's card: samples, progress, nearest neighbours."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.evaluation.nearest import nearest
from comfy_genart_nodes.files import written
from comfy_genart_nodes.training.run_folder import RunFolder

TILE, LABEL = 128, 96
ROWS = 8
INTERVALS = 5  # doublings shown of the training's progress, besides its beginning

Cell = Image.Image | str  # a picture, or a label


def tile(picture: Tensor) -> Image.Image:
    """One picture `[3, s, s]` in -1..1, at the size of the card's sheets."""
    values = ((picture.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    return Image.fromarray(values).resize((TILE, TILE), Image.Resampling.BICUBIC)


def grid(rows: list[list[Cell]]) -> Image.Image:
    """Tiles and labels in rows, of which each has its labels in the same places."""
    widths = [LABEL if isinstance(cell, str) else TILE for cell in rows[0]]
    sheet = Image.new("RGB", (sum(widths), TILE * len(rows)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=15)
    for y, row in enumerate(rows):
        for x, cell in zip(accumulate(widths, initial=0), row, strict=False):
            if isinstance(cell, str):
                middle = (x + LABEL - 8, y * TILE + TILE // 2)
                draw.text(middle, cell, fill="black", anchor="rm", font=font)
            else:
                sheet.paste(cell.resize((TILE, TILE)), (x, y * TILE))
    return sheet


def save(picture: Image.Image, path: Path) -> None:
    """Write a JPEG, whole or not at all."""
    with written(path) as temporary:
        picture.save(temporary, "JPEG", quality=88)


def samples_sheet(pictures: Tensor) -> Image.Image:
    """The first 64 samples, by seed, nothing chosen."""
    tiles = [tile(picture) for picture in pictures[: ROWS * 8]]
    return grid([list(tiles[i : i + 8]) for i in range(0, len(tiles), 8)])


def progress_sheet(run: RunFolder, step: int) -> Image.Image:
    """The first eight pictures of the run's own sheets up to a step, at ever doubling intervals."""
    sheets = [path for path in run.samples if _step(path) <= step]
    if not sheets:
        raise GenartError(f"{run.path} holds no sheets of samples yet; train on first.")
    side = run.config.resolution
    last = len(sheets) - 1
    rows: list[list[Cell]] = []
    for place in sorted({round(last / 2**i) for i in range(INTERVALS)} | {0}):
        with Image.open(sheets[place]) as opened:
            sheet = opened.convert("RGB")
        count = min(8, sheet.width // side)
        label = f"{_step(sheets[place]) * run.config.batch / 1000:.0f} kimg"
        tiles = [sheet.crop((x * side, 0, (x + 1) * side, side)) for x in range(count)]
        rows.append([label, *tiles])
    return grid(rows)


def _step(sheet: Path) -> int:
    """The step after which a sheet was made."""
    return int(sheet.stem.removeprefix("step"))


def nearest_sheet(pictures: Tensor, features: Tensor, data: Tensor, known: Tensor) -> Image.Image:
    """Eight samples, each beside its four nearest training pictures, twice.

    Left, the first eight seeds; right, the eight of all samples that lie nearest to a training
    picture: the worst cases.
    """
    found = nearest(features, known, k=4)
    worst = found.distance[:, 0].argsort()[:ROWS].tolist()
    rows: list[list[Cell]] = []
    for pair in zip(range(ROWS), worst, strict=True):
        row: list[Cell] = []
        for i in pair:
            row += [f"seed {i}", tile(pictures[i])]
            row += [tile(data[j]) for j in found.index[i].tolist()]
        rows.append(row)
    return grid(rows)
