"""A set of pictures decoded, made square and kept as one array.

The array lies in the run's folder (`pictures.npy`), uint8 [n, 3, side, side], and is read through
the memory map: a run never holds its pictures in memory, and does not need the set again. Pixels
are all that is kept: what cameras write into files (EXIF, the place, thumbnails) stays behind.
"""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from PIL import Image

from ..errors import GenartError
from .fitting import colour, squared
from .picture_sets import PictureSet, check_count

T = TypeVar("T")

LARGE = 64 * 10**6
"""Pixels of pictures that are decoded one at a time: eight of them could fill the memory."""

AHEAD = 32
"""So many pictures are decoded before the first of them is asked for."""


def each(
    pictures: PictureSet, look: Callable[[str, Image.Image], T]
) -> Iterator[tuple[str, T | None]]:
    """Look at every picture of a set, in threads, a bounded number of them ahead.

    Args:
        pictures: the set.
        look: called with a picture's name and the picture just opened.

    Yields:
        Names in the set's order with what `look` gave, None where it could not read the picture.
    """
    one_by_one = threading.Lock()
    with pictures.reading() as read, ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:

        def attempt(name: str) -> tuple[str, T | None]:
            try:
                with read(name) as picture:
                    large = picture.width * picture.height > LARGE
                    with one_by_one if large else nullcontext():
                        return name, look(name, picture)
            except Exception:  # a broken picture can raise anything that its decoder knows
                return name, None

        names = iter(pictures.names)
        while chunk := list(islice(names, AHEAD)):
            yield from pool.map(attempt, chunk)


def decoded(
    pictures: PictureSet, side: int, fit: str = "crop", background: str = "white", seed: int = 0
) -> Iterator[tuple[str, np.ndarray | None]]:
    """Every picture of a set by name, as uint8 [3, side, side]; None where it cannot be read.

    Args:
        pictures: the set.
        side: of the squares.
        fit: how they are made (`fitting.squared`).
        background: as `fitting.colour` takes it.
        seed: of the parts that the fit "random" shows: with a picture's name it decides for good.

    Raises:
        GenartError: when there is no such background.
    """
    behind = colour(background)
    return each(pictures, lambda name, it: squared(it, side, fit, behind, f"{seed} {name}"))


def write_array(
    pictures: PictureSet,
    side: int,
    path: Path,
    fit: str = "crop",
    background: str = "white",
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[str], list[str]]:
    """Decode all pictures into a `.npy` file of uint8 [n, 3, side, side].

    Args:
        pictures: what to decode.
        side: of the squares.
        path: the file to write; what cannot be decoded is left out.
        fit: as of `decoded`.
        background: as of `decoded`.
        seed: as of `decoded`.
        progress: called with (done, total); may raise to stop.

    Returns:
        Names that are in the array, in its order, and names that could not be read.

    Raises:
        GenartError: when fewer than two pictures can be read, or there is no such background.
    """
    check_count(pictures.place, len(pictures))
    kept: list[str] = []
    broken: list[str] = []
    # Written in order, not through a memory map: on a full disk that one ends the process.
    with path.open("wb") as file:
        _write_head(file, 0, side)
        for name, made in decoded(pictures, side, fit, background, seed):
            if made is None:
                broken.append(name)
            else:
                kept.append(name)
                file.write(made.tobytes())
            progress(len(kept) + len(broken), len(pictures))
        file.seek(0)
        _write_head(file, len(kept), side)
    if len(kept) < 2:
        raise GenartError(
            f"Only {len(kept)} of {len(pictures)} pictures of {pictures.place} can be read; "
            f"{broken[0]} cannot. Training needs at least two."
        )
    return kept, broken


def _write_head(file: BinaryIO, count: int, side: int) -> None:
    """Write the head of a `.npy` file; numpy pads it to the same length for every count."""
    head = {"descr": "|u1", "fortran_order": False, "shape": (count, 3, side, side)}
    np.lib.format.write_array_header_1_0(file, head)
