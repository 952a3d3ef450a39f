"""Sets of pictures to train on: of a folder, of a zip file, of images made in a graph.

A set knows the names of its pictures and how to open one; nothing is decoded before somebody asks.
The first folder in a picture's name is its class, wherever the picture comes from.
"""

import hashlib
import io
import os
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from ..errors import GenartError

SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff")
FOREIGN = (
    ".heic",
    ".heif",
    ".avif",
    ".jxl",
    ".jp2",
    ".psd",
    ".tga",
    ".exr",
    ".svg",
    ".raw",
    ".dng",
)
"""Pictures that are passed over, since Pillow alone does not read them, or not as photographs."""

MANIFEST = "licenses.csv"
"""The file beside the pictures that says under which licence they are (`licences.py`)."""

ENTRY_BYTES = 256 * 2**20
"""The largest picture file that is read out of a zip."""

MANIFEST_BYTES = 16 * 2**20

Reader = Callable[[str], Image.Image]
"""A picture's name to the picture, not yet decoded; raises what Pillow raises."""


@dataclass(frozen=True, eq=False)
class PictureSet:
    """Pictures that can be opened one by one, from any thread.

    Attributes:
        place: where they come from, for a person to read.
        names: in natural order; folders in them are parted by "/".
        folders: every folder of the first level, whether it holds pictures or not, likewise.
        fingerprint: changes when pictures come or go.
        manifest: the text of the set's `MANIFEST`; empty where it has none.
        reading: gives the set's `Reader` for the length of a with-block.
        foreign: how many pictures of other kinds (`FOREIGN`) lie among them.
    """

    place: str
    names: tuple[str, ...]
    folders: tuple[str, ...]
    fingerprint: str
    manifest: str
    reading: Callable[[], AbstractContextManager[Reader]]
    foreign: int = 0

    def __len__(self) -> int:
        return len(self.names)


def class_of(name: str) -> str:
    """The class of a picture: the first folder in its name, "" where there is none."""
    folder, slash, _ = name.partition("/")
    return folder if slash else ""


def class_labels(pictures: PictureSet, names: Sequence[str]) -> tuple[list[str], list[int]]:
    """The classes of a set, and which of them each of some of its pictures belongs to.

    Args:
        pictures: the set.
        names: those of its pictures that can be read.

    Returns:
        Names of the classes in natural order, and for each picture the place of its class.

    Raises:
        GenartError: when the set has fewer than two classes, a class without a picture, or
            pictures in no class.
    """
    classes = list(pictures.folders)
    held = [class_of(name) for name in names]
    if len(classes) < 2:
        count = "only one class" if classes else "no class"
        raise GenartError(
            f"{pictures.place} has {count}: training with classes needs two or more, each a "
            "sub-folder, or a class_name of Pictures from Images."
        )
    empty = sorted(set(classes) - set(held), key=natural)
    if empty:
        raise GenartError(
            f"The class {empty[0]!r} of {pictures.place} holds no picture that can be read: add "
            "some or remove its folder."
        )
    if "" in held:
        raise GenartError(
            f"{held.count('')} pictures of {pictures.place} belong to no class, as "
            f"{names[held.index('')]}: move them into a sub-folder or train without classes."
        )
    return classes, [classes.index(name) for name in held]


def natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key under which 2.png comes before 10.png; no two names share one (a2, a02, A2)."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name.lower())
    keys = [_number(p) if p[0] in "0123456789" else (1, 0, p) for p in parts]
    return [*keys, (-1, 0, name)]


def _number(digits: str) -> tuple[int, int, str]:
    """Orders numbers of any length."""
    plain = digits.lstrip("0")
    return 0, len(plain), plain


def open_pictures(path: str | Path) -> PictureSet:
    """The pictures of a folder or of a zip file.

    Raises:
        GenartError: when there is neither, or it cannot be used (`open_folder`, `open_zip`).
    """
    try:
        named = Path(path).expanduser().absolute()
        is_file = named.is_file()
    except (OSError, RuntimeError, ValueError):  # names that no system takes
        return open_folder(path)
    return open_zip(named) if is_file else open_folder(named)


def open_folder(folder: str | Path) -> PictureSet:
    """The pictures of a folder and its sub-folders.

    Hidden files and folders are left out.

    Raises:
        GenartError: when there is no such folder, or fewer than two pictures in it.
    """
    try:
        root = Path(folder).expanduser().absolute()
        there = root.is_dir()
    except (OSError, RuntimeError, ValueError):  # a name too long; the home of nobody here
        root, there = Path(folder), False
    if not there:
        raise GenartError(
            f"There is no folder {str(root)[:300]!r}: give the path of a folder or a zip file of "
            "pictures."
        )
    try:
        found = {
            path.relative_to(root).as_posix(): path.stat().st_size
            for path in _files(root)
            if path.suffix.lower() in (*SUFFIXES, *FOREIGN) and path.is_file()
        }
        folders = [path.name for path in root.iterdir() if path.is_dir()]
        manifest = _manifest(root)
    except OSError as error:
        raise GenartError(
            f"{str(error.filename or root)[:300]} cannot be read ({error.strerror}): allow it, or "
            "move the pictures elsewhere."
        ) from error
    return _listed(str(root), found, folders, manifest, partial(_folder_reader, root))


def _files(root: Path) -> Iterator[Path]:
    """Files at any depth, also behind links; where those lead in a circle, once.

    Raises:
        OSError: when a folder cannot be read.
    """
    entered: set[str] = set()
    for folder, below, files in os.walk(root, onerror=_raise, followlinks=True):
        entered.add(os.path.realpath(folder))
        below[:] = [n for n in below if os.path.realpath(Path(folder, n)) not in entered]
        yield from (Path(folder, name) for name in files)


def _raise(error: OSError) -> None:
    raise error


def _manifest(root: Path) -> str:
    path = root / MANIFEST
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return _text(file.read(MANIFEST_BYTES))


def _text(data: bytes) -> str:
    """What spreadsheets save: UTF-8, with a mark in front or not."""
    return data.decode("utf-8-sig", errors="replace")


@contextmanager
def _folder_reader(root: Path) -> Iterator[Reader]:
    yield lambda name: Image.open(root / name)


def _listed(
    place: str,
    found: Mapping[str, int | str],
    folders: Sequence[str],
    manifest: str,
    reading: Callable[[], AbstractContextManager[Reader]],
) -> PictureSet:
    """A set of those of the pictures that are not hidden.

    Args:
        place: of the set.
        found: pictures of any kind, with something that changes when their content does.
        folders: of the first level.
        manifest: of the set.
        reading: of the set.

    Raises:
        GenartError: when fewer than two pictures are left.
    """
    there = sorted((name for name in found if not _hidden(name)), key=natural)
    visible = [name for name in there if PurePosixPath(name).suffix.lower() in SUFFIXES]
    check_count(place, len(visible), f" ({', '.join(s[1:] for s in SUFFIXES)})")
    shown = sorted((name for name in folders if not _hidden(name)), key=natural)
    listing = "\n".join(f"{found[name]} {name}" for name in visible)
    mark = hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()
    foreign = len(there) - len(visible)
    return PictureSet(place, tuple(visible), tuple(shown), mark, manifest, reading, foreign)


def _hidden(name: str) -> bool:
    """Whether a file or a folder on its way is hidden, or is what a Mac adds to its zips."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def check_count(place: str, count: int, kinds: str = "") -> None:
    """Refuse what is too little to learn from.

    Args:
        place: where the pictures come from.
        count: how many they are.
        kinds: which files count, for the sentence.

    Raises:
        GenartError: when there are fewer than two.
    """
    if count < 2:
        held = "only one picture" if count else "no picture"
        raise GenartError(
            f"{place} has {held}{kinds}: training needs at least two, better a hundred."
        )


def open_zip(path: Path) -> PictureSet:
    """The pictures inside a zip file, which stay in it: each is read when it is asked for.

    A folder that holds all there is, as zips of a folder have it, counts as no class.

    Raises:
        GenartError: when it is no zip file, is locked by a password, names files outside itself,
            or holds fewer than two pictures.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            for name, entry in entries.items():
                _check_entry(path, name, entry)
            root = _wrapping(entries)
            text = archive.read(root + MANIFEST) if _small(entries.get(root + MANIFEST)) else b""
    except GenartError:
        raise
    except Exception as error:  # what ways to compress raise where they are damaged
        raise GenartError(
            f"{path} is no zip file that can be read ({error}): give a zip file or a folder of "
            "pictures."
        ) from error
    inside = {name.removeprefix(root): e for name, e in entries.items() if name != root}
    found = {
        name: f"{entry.CRC:08x} {entry.file_size}"
        for name, entry in inside.items()
        if PurePosixPath(name).suffix.lower() in (*SUFFIXES, *FOREIGN) and not entry.is_dir()
    }
    folders = {class_of(name) for name in inside} - {""}
    return _listed(str(path), found, list(folders), _text(text), partial(_zip_reader, path, root))


def _wrapping(names: Mapping[str, object]) -> str:
    """The folder that holds everything in a zip, with its "/"; "" where there is none."""
    first = {class_of(name) for name in names if not _hidden(name)}
    return f"{first.pop()}/" if len(first) == 1 and first != {""} else ""


def _small(entry: zipfile.ZipInfo | None) -> bool:
    return entry is not None and entry.file_size <= MANIFEST_BYTES


def _check_entry(path: Path, name: str, entry: zipfile.ZipInfo) -> None:
    """Refuse zips made to harm, and those that ask for a password."""
    parts = re.split(r"[/\\]", name)
    if ".." in parts or not parts[0] or re.match("[A-Za-z]:", name):
        raise GenartError(
            f"{path} names a file outside itself ({name[:100]!r}): make the zip file anew."
        )
    if entry.flag_bits & 1:
        raise GenartError(f"{path} is locked by a password: make a zip file without one.")


def _archive(path: Path) -> zipfile.ZipFile:
    """A zip file that could be read before."""
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise GenartError(f"{path} cannot be read any more ({error}): put it back.") from error


@contextmanager
def _zip_reader(path: Path, root: str) -> Iterator[Reader]:
    with _archive(path) as archive:

        def read(name: str) -> Image.Image:
            entry = archive.getinfo(root + name)
            if entry.file_size > ENTRY_BYTES:
                raise OSError(f"{name} has {entry.file_size} bytes")
            return Image.open(io.BytesIO(archive.read(entry)))  # no more than it says

        yield read


def from_images(
    batches: Sequence[np.ndarray], class_name: str = "", before: PictureSet | None = None
) -> PictureSet:
    """A set of pictures that are at hand, after those of another set.

    Args:
        batches: uint8 `[n, h, w, 3]`, or 4 with alpha; sizes may differ between batches.
        class_name: the folder that the pictures are named to lie in; "" for none.
        before: the set to add to.
    """
    pictures = [picture for batch in batches for picture in batch]
    first = 1 + (len(before) if before else 0)
    folder = f"{class_name}/" if class_name else ""
    named = {f"{folder}image {first + i}": picture for i, picture in enumerate(pictures)}
    digest = hashlib.sha256(before.fingerprint.encode() if before else b"")
    for name, picture in named.items():
        digest.update(f"{name} {picture.shape}".encode())
        digest.update(picture.tobytes())
    folders = {*(before.folders if before else ()), *filter(None, [class_name])}
    return PictureSet(
        place=f"{before.place} with {len(named)} images" if before else "The batch of images",
        names=(*(before.names if before else ()), *named),
        folders=tuple(sorted(folders, key=natural)),
        fingerprint=digest.hexdigest(),
        manifest=before.manifest if before else "",
        reading=partial(_images_reader, named, before),
    )


@contextmanager
def _images_reader(named: Mapping[str, np.ndarray], before: PictureSet | None) -> Iterator[Reader]:
    with ExitStack() as stack:
        earlier = stack.enter_context(before.reading()) if before else None

        def read(name: str) -> Image.Image:
            if name in named or earlier is None:
                return Image.fromarray(named[name])
            return earlier(name)

        yield read
