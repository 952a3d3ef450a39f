"""What a set of pictures is like, before hours go into training on it."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median_low

import numpy as np
from PIL import Image

from . import duplicates, licences
from .fitting import squared
from .picture_sets import PictureSet, class_of
from .pictures import each

SHEET_PICTURES = 64
CELL = 96
NAMED = 5
"""So many pictures of a kind are named; the rest are counted."""

_ORIENTATION = 0x0112  # EXIF's tags
_GPS = 0x8825
_SHOWN = (128, 128, 128)


@dataclass(frozen=True)
class Look:
    """What is kept of one picture.

    Attributes:
        size: width and height in pixels, upright.
        exif: whether the file tells how it was taken.
        place: whether it tells where (GPS).
        print: its fingerprint, for duplicates.
        cell: uint8 [3, CELL, CELL] where it is shown on the contact sheet.
    """

    size: tuple[int, int]
    exif: bool
    place: bool
    print: duplicates.Print
    cell: np.ndarray | None


@dataclass(frozen=True, eq=False)
class DatasetReport:
    """A set of pictures, looked through.

    Attributes:
        place: where they come from.
        count: how many there are.
        broken: names of those that cannot be read.
        sizes: width and height of each that can.
        duplicates: groups of names of pictures that are nearly the same.
        classes: pictures that can be read, by class; only where there are sub-folders.
        terms: licence and consent of each picture.
        exif: how many files tell how they were taken.
        located: how many tell where.
        sheet: contact sheet of pictures spread over the set, uint8 [h, w, 3].
    """

    place: str
    passed: list[str]
    count: int
    broken: list[str]
    sizes: list[tuple[int, int]]
    duplicates: list[list[str]]
    classes: dict[str, int]
    terms: list[licences.Terms]
    exif: int
    located: int
    sheet: np.ndarray

    def text(self) -> str:
        """The report for a person, a line a subject."""
        lines = [
            f"{self.count} pictures in {self.place}",
            *self.passed,
            *self._sizes(),
            f"cannot be read: {_names(self.broken)}",
            *self._duplicates(),
            *self._classes(),
            *licences.summary(self.terms),
            f"EXIF in {self.exif} files, GPS positions in {self.located}: training keeps neither",
        ]
        return "\n".join(lines)

    def _sizes(self) -> list[str]:
        if not self.sizes:
            return []
        short = [min(size) for size in self.sizes]
        shapes = Counter(np.sign(width - height) for width, height in self.sizes)
        return [
            f"shorter side: {min(short)} to {max(short)} pixels, middle {median_low(short)}",
            f"shape: {shapes[0]} square, {shapes[1]} wide, {shapes[-1]} tall",
        ]

    def _duplicates(self) -> list[str]:
        if not self.duplicates:
            return ["near-duplicates: none"]
        spare = sum(len(group) - 1 for group in self.duplicates)
        shown = [f"  {_names(group)}" for group in self.duplicates[:NAMED]]
        more = len(self.duplicates) - len(shown)
        groups = f"{len(self.duplicates)} group{'s' * (len(self.duplicates) > 1)}"
        return [
            f"near-duplicates: {groups}, {spare} pictures more than needed",
            *shown,
            *([f"  and {more} groups more"] if more else []),
        ]

    def _classes(self) -> list[str]:
        if not self.classes:
            return ["classes: none (no sub-folders)"]
        told = ", ".join(f"{count} {name or 'in none'}" for name, count in self.classes.items())
        return [f"classes: {told}"]


def _names(names: Sequence[str]) -> str:
    """How many, and the first few by name."""
    if not names:
        return "none"
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{len(names)} ({', '.join(names[:NAMED])}{more})"


def report(
    pictures: PictureSet, progress: Callable[[int, int], None] = lambda done, total: None
) -> DatasetReport:
    """Look through a set; one picture after another is decoded, none is kept.

    Args:
        pictures: the set.
        progress: called with (done, total); may raise to stop.

    Raises:
        GenartError: when the set's list of licences cannot be understood.
    """
    terms = licences.terms_of(pictures.manifest, pictures.names)
    shown = spread(pictures.names, SHEET_PICTURES)
    looks: dict[str, Look] = {}
    broken: list[str] = []
    for name, look in each(pictures, lambda name, it: _look(it, name in shown)):
        if look is None:
            broken.append(name)
        else:
            looks[name] = look
        progress(len(looks) + len(broken), len(pictures))
    names = list(looks)
    found = duplicates.groups([look.print for look in looks.values()])
    return DatasetReport(
        place=pictures.place,
        passed=passed(pictures),
        count=len(pictures),
        broken=broken,
        sizes=[look.size for look in looks.values()],
        duplicates=[[names[place] for place in group] for group in found],
        classes=_balance(pictures, names),
        terms=terms,
        exif=sum(look.exif for look in looks.values()),
        located=sum(look.place for look in looks.values()),
        sheet=_sheet([look.cell for look in looks.values() if look.cell is not None]),
    )


def passed(pictures: PictureSet) -> list[str]:
    """A line for a person on pictures of kinds that nothing here reads, where there are any."""
    if not pictures.foreign:
        return []
    return [
        f"passed over: {pictures.foreign} of other kinds, as HEIC or AVIF; save them as PNG or "
        "JPEG to learn from them"
    ]


def spread(names: Sequence[str], count: int) -> set[str]:
    """So many of the names, evenly spread over all."""
    if len(names) <= count:
        return set(names)
    return {names[i * len(names) // count] for i in range(count)}


def _look(picture: Image.Image, shown: bool) -> Look:
    exif = picture.getexif()
    lying = exif.get(_ORIENTATION, 1) >= 5  # the camera was held on its side
    size = picture.size[::-1] if lying else picture.size
    place = bool(exif.get_ifd(_GPS))
    cell = squared(picture, CELL, "pad", _SHOWN)
    small = Image.fromarray(cell.transpose(1, 2, 0)).resize((duplicates.SIDE,) * 2)
    mark = duplicates.fingerprint(np.asarray(small).transpose(2, 0, 1))
    return Look(size, bool(exif), place, mark, cell if shown else None)


def _balance(pictures: PictureSet, names: Sequence[str]) -> dict[str, int]:
    """Pictures by class, empty classes and pictures in none among them."""
    if not pictures.folders:
        return {}
    counts = Counter(class_of(name) for name in names)
    return {name: counts[name] for name in (*pictures.folders, *([""] if counts[""] else []))}


def _sheet(cells: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures side by side; one grey cell where there is none."""
    columns = max(1, math.ceil(math.sqrt(len(cells))))
    rows = max(1, math.ceil(len(cells) / columns))
    sheet = np.full((rows * CELL, columns * CELL, 3), _SHOWN, dtype=np.uint8)
    for number, cell in enumerate(cells):
        top, left = number // columns * CELL, number % columns * CELL
        sheet[top : top + CELL, left : left + CELL] = cell.transpose(1, 2, 0)
    return sheet
