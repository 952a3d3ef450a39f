"""A run's curves, or those of several runs, as a picture."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .curves import Curve

WIDTH, GAP, MARGIN, HEAD = 640, 24, 28, 76
HEIGHT = 330  # of a panel, its title and numbers included
LEFT, RIGHT, TOP, BOTTOM = 56, 8, 62, 26  # inside a panel, around its field
EDGE = 6  # room behind the last point
FINE = 3  # curves are drawn so many times larger
SMOOTH = 40  # a mean over one part in so many of a curve
PAPER, FIELD, GRID, INK, GREY = "#ffffff", "#fafafb", "#e4e5ea", "#23252d", "#7a7e8c"
COLOURS = ("#2f6fde", "#e0652b", "#2a9d63", "#9a4fcf", "#c93a5b", "#1f9fb5", "#a07a14", "#666b7a")
WIDE_FONTS = ("NotoSansCJK-Regular.ttc", "msyh.ttc", "PingFang.ttc", "wqy-zenhei.ttc")


@dataclass(frozen=True)
class Panel:
    """A field of curves that share an axis.

    Attributes:
        title: what stands above it.
        series: names of curves, each with its label.
        log: whether its axis is logarithmic.
        from_zero: whether its axis begins at 0.
    """

    title: str
    series: Mapping[str, str]
    log: bool = False
    from_zero: bool = False


PANELS = (
    Panel("Losses", {"loss_g": "generator", "loss_d": "discriminator"}),
    Panel("Balance: scores of the discriminator", {"real": "real pictures", "fake": "generated"}),
    Panel("Losses of rebuilt pictures", {"pixel": "pixels", "features": "features"}, log=True),
    Panel("Divergence of latents: nats a picture", {"nats": "nats"}, log=True),
    Panel("Critic", {"critic": "critic", "adversarial": "against it"}),
    Panel("PSNR of pictures kept apart, in dB (higher is better)", {"psnr": "PSNR"}),
    Panel("SSIM of pictures kept apart (higher is better)", {"ssim": "SSIM"}),
    Panel("Distance of their features (lower is better)", {"perceptual": "distance"}, log=True),
    Panel("KID: distance to the pictures (lower is better)", {"kid": "KID"}, log=True),
    Panel(
        "Fidelity and variety (higher is better)",
        {
            "precision": "precision",
            "recall": "recall",
            "density": "density",
            "coverage": "coverage",
        },
        from_zero=True,
    ),
    Panel("Copying of training pictures", {"copying": "copying"}, from_zero=True),
    Panel("ADA: strength of augmentation", {"ada_p": "p"}, from_zero=True),
    Panel("Speed: pictures a second", {"pictures_per_second": "pictures/s"}, from_zero=True),
)


def plot(runs: Mapping[str, Mapping[str, Curve]]) -> Image.Image:
    """Draw what runs recorded, a panel for everything that any of them has.

    Args:
        runs: of every run its curves (`curves.curves`), by its name.

    Returns:
        An RGB picture. Of one run every curve has its colour; of several, every run.
    """
    panels = [p for p in PANELS if any(name in run for run in runs.values() for name in p.series)]
    panels = panels or [PANELS[0]]
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    width = 2 * MARGIN + columns * WIDTH + (columns - 1) * GAP
    height = HEAD + rows * HEIGHT + (rows - 1) * GAP + MARGIN
    picture = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(picture)
    _title(pen, list(runs))
    last = max((c.kimg[-1] for run in runs.values() for c in run.values() if c.kimg), default=0.0)
    for number, panel in enumerate(panels):
        row, column = divmod(number, columns)
        at = (MARGIN + column * (WIDTH + GAP), HEAD + row * (HEIGHT + GAP))
        _Field(picture, at, panel, runs, last or 1.0).draw()
    return picture


def _title(pen: ImageDraw.ImageDraw, names: list[str]) -> None:
    """The run's name; of several, each in its colour."""
    x = float(MARGIN)
    for name, colour in zip(names, _cycle(), strict=False):
        font = _font(24, name)
        pen.text((x, 20), name, INK if len(names) == 1 else colour, font)
        x += font.getlength(name) + 28


def _cycle() -> Iterator[str]:
    while True:
        yield from COLOURS


@dataclass(frozen=True)
class _Line:
    """A curve, its name and how it is drawn."""

    curve: Curve
    label: str
    colour: str
    dashed: bool


class _Field:
    """One panel on the picture."""

    def __init__(
        self,
        picture: Image.Image,
        at: tuple[int, int],
        panel: Panel,
        runs: Mapping[str, Mapping[str, Curve]],
        last: float,
    ) -> None:
        self.picture, self.at, self.panel, self.last = picture, at, panel, last
        self.pen = ImageDraw.Draw(picture)
        self.lines = list(_lines(panel, runs))
        self.alone = len(runs) == 1
        self.box = (at[0] + LEFT, at[1] + TOP, at[0] + WIDTH - RIGHT, at[1] + HEIGHT - BOTTOM)
        self.log = panel.log and all(v > 0 for line in self.lines for v in line.curve.values)
        self.low, self.high = self._range()

    def draw(self) -> None:
        """Title, legend, axes, curves."""
        x, y = self.at
        self.pen.text((x, y), self.panel.title, INK, _font(16, self.panel.title))
        self._legend(x + LEFT, y + 30)
        self.pen.rectangle(self.box, FIELD)
        self._grid()
        self._curves()
        if not self.lines:
            left, top, right, bottom = self.box
            middle = ((left + right) / 2, (top + bottom) / 2)
            self.pen.text(middle, "nothing recorded yet", GREY, _font(16), anchor="mm")

    def _legend(self, x: float, y: float) -> None:
        font = _font(13)
        shown = self.lines if self.alone else _once(self.lines)
        for line in shown:
            colour = line.colour if self.alone else GREY
            _stroke(self.pen, [(x, y + 9), (x + 22, y + 9)], colour, 3, line.dashed)
            text = line.label
            if self.alone:
                text += f"  {_smooth(line.curve.values)[-1]:.3g}"
            self.pen.text((x + 28, y), text, INK, font)
            x += 28 + font.getlength(text) + 20

    def _range(self) -> tuple[float, float]:
        """The values at the lower and upper edge; lone spikes lie outside."""
        if not self.lines:
            return 0.0, 1.0
        low, high = math.inf, -math.inf
        for line in self.lines:
            smooth = _smooth(line.curve.values)
            inner = np.percentile(line.curve.values, (1, 99))
            low, high = min(low, smooth.min(), inner[0]), max(high, smooth.max(), inner[1])
        if self.panel.from_zero:
            low = min(low, 0.0)
        if high - low < 1e-9 * max(abs(high), 1e-9):
            low, high = (low / 2, high * 2) if self.log else (low - 0.5, high + 0.5)
        if self.log:
            return low / 1.1, high * 1.1
        room = 0.05 * (high - low)
        return (low if self.panel.from_zero and low == 0 else low - room), high + room

    def _place(self, kimg: float, value: float) -> tuple[float, float]:
        """Where a point lies on the picture."""
        left, top, right, bottom = self.box
        if self.log:
            part = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return left + kimg / self.last * (right - left - EDGE), bottom - part * (bottom - top)

    def _grid(self) -> None:
        left, top, right, bottom = self.box
        font = _font(12)
        ticks = _decades(self.low, self.high) if self.log else _steps(self.low, self.high, 5)
        for value in ticks:
            y = round(self._place(0, value)[1])
            self.pen.line([(left, y), (right, y)], GRID if value else "#b9bcc7")
            self.pen.text((left - 7, y), f"{value:.6g}", GREY, font, anchor="rm")
        floor = self.low
        for kimg in _steps(0, self.last, 6):
            x = round(self._place(kimg, floor)[0])
            self.pen.line([(x, top), (x, bottom)], GRID)
            text = f"{kimg:.6g}" if kimg else "0 kimg"
            anchor = "ra" if x > right - 12 else "ma"
            self.pen.text((x, bottom + 7), text, GREY, font, anchor=anchor)

    def _curves(self) -> None:
        """All lines, drawn large and then made small, so that they are smooth."""
        left, top, right, bottom = self.box
        size = (right - left, bottom - top)
        large = self.picture.crop(self.box).resize((size[0] * FINE, size[1] * FINE))
        pen = ImageDraw.Draw(large)
        for line in self.lines:
            smooth = _smooth(line.curve.values)
            if len(smooth) > SMOOTH:
                _stroke(pen, self._path(line, line.curve.values), _pale(line.colour), FINE)
        for line in self.lines:
            path = self._path(line, _smooth(line.curve.values).tolist())
            _stroke(pen, path, line.colour, 2 * FINE, line.dashed)
            if len(path) <= SMOOTH:
                _dots(pen, path, line.colour)
        self.picture.paste(large.resize(size, Image.Resampling.BOX), (left, top))

    def _path(self, line: _Line, values: Sequence[float]) -> list[tuple[float, float]]:
        points = (self._place(k, v) for k, v in zip(line.curve.kimg, values, strict=True))
        return [((x - self.box[0]) * FINE, (y - self.box[1]) * FINE) for x, y in points]


def _lines(panel: Panel, runs: Mapping[str, Mapping[str, Curve]]) -> Iterator[_Line]:
    """What a panel shows: all series of one run; of several, the two that dashes tell apart."""
    alone = len(runs) == 1
    series = list(panel.series.items())[: None if alone else 2]
    for run, run_colour in zip(runs.values(), _cycle(), strict=False):
        for number, ((name, label), colour) in enumerate(zip(series, _cycle(), strict=False)):
            if name in run:
                chosen = colour if alone else run_colour
                yield _Line(run[name], label, chosen, dashed=not alone and number == 1)


def _once(lines: list[_Line]) -> list[_Line]:
    """One line of each label."""
    return list({line.label: line for line in lines}.values())


def _smooth(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Means over a part of a curve around each point; a short curve stays as it is."""
    reach = len(values) // (2 * SMOOTH)
    if reach:  # lone spikes would lift the mean of all their neighbours
        values = np.clip(values, *np.percentile(values, (1, 99)))
    sums = np.concatenate(([0.0], np.cumsum(values)))
    places = np.arange(len(values))
    first = np.maximum(places - reach, 0)
    last = np.minimum(places + reach, len(values) - 1) + 1
    return (sums[last] - sums[first]) / (last - first)


def _stroke(
    pen: ImageDraw.ImageDraw,
    path: list[tuple[float, float]],
    colour: str,
    width: int,
    dashed: bool = False,
) -> None:
    if not dashed:
        pen.line(path, colour, width, joint="curve")
        return
    walked = 0.0
    for (ax, ay), (bx, by) in pairwise(path):
        length = math.hypot(bx - ax, by - ay)
        pieces = max(1, math.ceil(length / width))
        for i in range(pieces):
            if (walked + i * length / pieces) % (5 * width) < 3 * width:
                a, b = i / pieces, (i + 1) / pieces
                start = (ax + a * (bx - ax), ay + a * (by - ay))
                pen.line([start, (ax + b * (bx - ax), ay + b * (by - ay))], colour, width)
        walked += length


def _dots(pen: ImageDraw.ImageDraw, path: list[tuple[float, float]], colour: str) -> None:
    for x, y in path:
        pen.ellipse((x - 3 * FINE, y - 3 * FINE, x + 3 * FINE, y + 3 * FINE), colour)


def _pale(colour: str) -> str:
    """A colour on its way to the field's."""
    parts = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(250 + 0.3 * (part - 250)):02x}" for part in parts)


def _steps(low: float, high: float, count: int) -> list[float]:
    """About so many round numbers between two."""
    rough = (high - low) / count
    power = 10 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _decades(low: float, high: float) -> list[float]:
    """Round numbers between two for a logarithmic axis."""
    for factors in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7)):
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = [f * 10.0**p for p in powers for f in factors if low <= f * 10.0**p <= high]
        if len(ticks) >= 3:
            return ticks
    return _steps(low, high, 4)


@cache
def _font(size: int, text: str = "") -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font; for letters that it lacks, one that the system may have."""
    if not text.isascii():
        for name in WIDE_FONTS:
            try:
                return ImageFont.truetype(name, size)
            except OSError:
                continue
    return ImageFont.load_default(size)
