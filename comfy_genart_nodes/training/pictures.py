"""Pictures of a folder: found, decoded, cropped to a square and kept as one array.

The array lies in the run's folder (`pictures.npy`), uint8 [n, 3, side, side], and is read through
the memory map: a run never holds its pictures in memory, and does not need the folder again.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from ..errors import GenartError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


@dataclass(frozen=True)
class PictureFolder:
    """The pictures of a folder and its sub-folders.

    Attributes:
        folder: where they are, absolute.
        files: paths relative to it with forward slashes, in natural order.
        fingerprint: of names and sizes; changes when pictures come or go.
    """

    folder: Path
    files: tuple[str, ...]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.files)


def open_folder(folder: str | Path) -> PictureFolder:
    """List the pictures of a folder.

    Hidden files and folders are left out.

    Raises:
        GenartError: when there is no such folder, or fewer than two pictures in it.
    """
    try:
        root = Path(folder).expanduser().absolute()
        there = root.is_dir()
    except (OSError, RuntimeError):  # a name too long for the system; the home of nobody here
        root, there = Path(folder), False
    if not there:
        raise GenartError(
            f"There is no folder {str(root)[:300]}: give the path of a folder of pictures."
        )
    found = {
        path.relative_to(root).as_posix(): path.stat().st_size
        for path in root.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file()
    }
    visible = [name for name in found if not any(p.startswith(".") for p in name.split("/"))]
    if len(visible) < 2:
        count = "no picture" if not visible else "only one picture"
        raise GenartError(
            f"{root} holds {count} ({', '.join(s[1:] for s in SUFFIXES)}): training needs at least "
            "two, better a hundred."
        )
    files = tuple(sorted(visible, key=_natural))
    listing = "\n".join(f"{found[name]} {name}" for name in files)
    return PictureFolder(root, files, hashlib.sha256(listing.encode()).hexdigest())


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key under which 2.png comes before 10.png."""
    parts = re.findall(r"\d+|\D+", name.lower())
    return [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in parts]


def decode(path: Path, side: int) -> np.ndarray:
    """Read one picture as uint8 [3, side, side]: upright, opaque on white, centre square.

    Any mode that Pillow reads will do: 16-bit grey is scaled to 8, palettes and CMYK are
    converted, animations give their first frame.

    Raises:
        OSError: (and others of Pillow's) when it cannot be read.
    """
    with Image.open(path) as opened:
        opened.draft("RGB", (side, side))  # JPEG only: decode no larger than needed
        picture = ImageOps.exif_transpose(opened)
        picture = _opaque(picture)
    fitted = ImageOps.fit(picture, (side, side), Image.Resampling.LANCZOS)
    return np.asarray(fitted, dtype=np.uint8).transpose(2, 0, 1)


def _opaque(picture: Image.Image) -> Image.Image:
    """Any mode to RGB, with what is transparent turned white."""
    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.asarray(picture, dtype=np.float64)
        # 16-bit files open as "I;16" or "I"; only those with larger values need scaling down.
        scale = 257.0 if values.max(initial=0) > 255 else 1.0
        picture = Image.fromarray((values / scale).clip(0, 255).astype(np.uint8))
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return picture.convert("RGB")


def write_array(
    pictures: PictureFolder,
    side: int,
    path: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[str], list[str]]:
    """Decode all pictures into a `.npy` file of uint8 [n, 3, side, side].

    Args:
        pictures: what to decode.
        side: of the squares.
        path: the file to write; what cannot be decoded is left out.
        progress: called with (done, total); may raise to stop.

    Returns:
        Names that are in the array, in its order, and names that could not be read.

    Raises:
        GenartError: when fewer than two pictures can be read.
    """
    kept: list[str] = []
    broken: list[str] = []
    # Written in order, not through a memory map: on a full disk that one ends the process.
    with path.open("wb") as file:
        _write_head(file, 0, side)
        for name, decoded in _decoded(pictures, side):
            if decoded is None:
                broken.append(name)
            else:
                kept.append(name)
                file.write(decoded.tobytes())
            progress(len(kept) + len(broken), len(pictures))
        file.seek(0)
        _write_head(file, len(kept), side)
    if len(kept) < 2:
        raise GenartError(
            f"Only {len(kept)} of {len(pictures)} pictures in {pictures.folder} can be read; "
            f"{broken[0]} cannot. Training needs at least two."
        )
    return kept, broken


def _write_head(file: BinaryIO, count: int, side: int) -> None:
    """Write the head of a `.npy` file; numpy pads it to the same length for every count."""
    head = {"descr": "|u1", "fortran_order": False, "shape": (count, 3, side, side)}
    np.lib.format.write_array_header_1_0(file, head)


def _decoded(pictures: PictureFolder, side: int) -> Iterator[tuple[str, np.ndarray | None]]:
    """Decode in threads, a bounded number of pictures ahead."""

    def attempt(name: str) -> tuple[str, np.ndarray | None]:
        try:
            return name, decode(pictures.folder / name, side)
        except Exception:  # a broken picture can raise anything that its decoder knows
            return name, None

    with ThreadPoolExecutor(max_workers=8) as pool:
        names = iter(pictures.files)
        while chunk := list(islice(names, 64)):
            yield from pool.map(attempt, chunk)
