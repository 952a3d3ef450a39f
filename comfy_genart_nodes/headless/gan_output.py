"""What `genart sample` leaves behind: PNGs, each with its latent inside, and arrays in a `.npz`."""

from __future__ import annotations

import io
import itertools
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ..errors import GenartError
from ..files import written

if TYPE_CHECKING:
    from torch import Tensor


def refuse_existing(path: Path, force: bool) -> None:
    """A file that is there already is not overwritten without being asked to, a folder never.

    Raises:
        GenartError: naming it.
    """
    if path.is_dir():
        raise GenartError(f"{path} is a folder: say which file to write.")
    if path.exists() and not force:
        raise GenartError(f"{path} is already there: choose another place, or add --force.")


def refuse_foreign(path: Path, force: bool) -> None:
    """As `refuse_existing`, but arrays of an earlier run, and an empty file, may be replaced."""
    nothing_lost = path.is_file() and (path.stat().st_size == 0 or _is_ours(path))
    refuse_existing(path, force or nothing_lost)


def _is_ours(path: Path) -> bool:
    """Whether a file holds the arrays that `raw_file` writes."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {"image.npy", "w.npy"} == set(archive.namelist())
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError):  # as zipfile has it
        return False


def picture_paths(folder: Path, seeds: Sequence[int], no_seed: int, force: bool) -> list[Path]:
    """Where the pictures of a batch go.

    They are called `seed0007.png` where every latent has a seed of its own, else `0000.png` by
    their place. Where a name is taken the whole batch gets a number, as `seed0007_2.png`.

    Args:
        folder: for all of them.
        seeds: of the latents.
        no_seed: what stands for none.
        force: overwrite instead.
    """
    stems = [f"seed{seed:04d}" for seed in seeds]
    if no_seed in seeds or len(set(seeds)) < len(seeds):
        stems = [f"{place:04d}" for place in range(len(seeds))]
    for number in itertools.count(1):
        tail = f"_{number}.png" if number > 1 else ".png"
        paths = [folder / (stem + tail) for stem in stems]
        if force or not any(path.exists() for path in paths):
            break
    return paths


def save_picture(path: Path, picture: Tensor, keyword: str, text: str) -> None:
    """Write one picture as PNG, whole or not at all.

    Args:
        path: where to.
        picture: [c, height, width] in -1..1; what lies outside is clipped.
        keyword: of the text it carries.
        text: goes in compressed.

    Raises:
        GenartError: when a PNG cannot have so many channels, or the file cannot be written.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    modes = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
    if picture.shape[0] not in modes:
        raise GenartError(
            f"A picture of {picture.shape[0]} channels fits no PNG: take the arrays with --raw."
        )
    pixels = (picture * 127.5 + 128).clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    info = PngInfo()
    info.add_text(keyword, text, zip=True)
    with written(path) as temporary:
        image.save(temporary, format="PNG", pnginfo=info)


class RawFile:
    """A `.npz` of `image` and `w` that grows batch by batch; pictures never all lie in memory."""

    def __init__(self, archive: zipfile.ZipFile, count: int) -> None:
        self._archive, self._count = archive, count
        self._images: IO[bytes] | None = None
        self._w: list[Any] = []

    def add(self, pictures: Tensor, w: Tensor) -> None:
        """Append `pictures [n, c, h, w]` and what they were made from, `w [n, num_ws, w_dim]`."""
        if self._images is None:
            self._images = self._member("image", (self._count, *pictures.shape[1:]))
        self._images.write(pictures.float().cpu().contiguous().numpy().astype("<f4").tobytes())
        self._w.append(w.float().cpu().numpy())

    def finish(self) -> None:
        """Write `w`, once all pictures are there."""
        import numpy as np

        self.close()
        w = np.concatenate(self._w).astype("<f4")
        with self._member("w", w.shape) as file:
            file.write(w.tobytes())

    def close(self) -> None:
        """Close the pictures, whole or not, as the archive wants before it is closed itself."""
        if self._images is not None:
            self._images.close()

    def _member(self, name: str, shape: tuple[int, ...]) -> IO[bytes]:
        """An array of float32 to be filled; without a date, so that equal runs give equal bytes."""
        from numpy.lib import format as npy

        head = io.BytesIO()
        described = {"descr": "<f4", "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(head, described)
        file = self._archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True)
        file.write(head.getvalue())
        return file


@contextmanager
def raw_file(path: Path, count: int) -> Iterator[RawFile]:
    """Open a `.npz` for `count` pictures; it appears when the block ends well, or not at all.

    Raises:
        GenartError: when it cannot be written or the disk is full.
    """
    with written(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        raw = RawFile(archive, count)
        try:
            yield raw
            raw.finish()
        finally:
            raw.close()
