"""Where files of LATENTs lie: those of this pack and ComfyUI's own, by their names."""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import folder_paths

from ..errors import GenartError
from ..latent.files import in_order
from .folders import content_mark, input_folder, inside, keep_new, output_folder

SAVED = "latents"
"""The folder in ComfyUI's output that Save Latents writes into; its own Save Latent does too."""
BY_PATH = "by path"
"""What is chosen in the list for a file that is not in it."""

_SUFFIXES = (".safetensors", ".latent")
_OUTPUT = "[output]"


def names() -> list[str]:
    """Files to choose from: saved ones, the folders with several of them, the input folder's.

    Saved ones are called as ComfyUI calls files of its output folder: `latents/a [output]`.
    """
    root = output_folder()
    folders = [root / SAVED, *sorted(p for p in (root / SAVED).rglob("*") if p.is_dir())]
    own = []
    for folder in folders:
        files = _files(folder)
        own += [f"{path.relative_to(root).as_posix()} {_OUTPUT}" for path in files]
        own += [f"{folder.relative_to(root).as_posix()}/ {_OUTPUT}"] * (len(files) > 1)
    return [*own, *(path.name for path in _files(input_folder()))]


def find(name: str, path: str = "") -> list[Path]:
    """The files that are meant: one, or all of a folder in the order of their names.

    Args:
        name: one of `names`, or `BY_PATH`.
        path: where a person wrote one: of a file or folder anywhere, or inside ComfyUI's input.

    Raises:
        GenartError: when there is none.
    """
    place = _place(name, _unquoted(path))
    files = [] if place is None else _files(place) if place.is_dir() else [place]
    if not files or not all(file.is_file() for file in files):
        raise GenartError(
            f"There are no latents at {path or name!r}: make some with Save Latents and choose "
            "them in the list (R refreshes it), or write the path of a file or folder."
        )
    return files


def _place(name: str, path: str) -> Path | None:
    """The file or folder that is meant, if any."""
    if path:
        return None if "\0" in path else input_folder() / _expanded(path)
    if name == BY_PATH:
        raise GenartError("Say which latents: choose a file in the list, or write its path.")
    plain, folder = folder_paths.annotated_filepath(name)
    return inside(Path(folder or input_folder()), plain) if plain else None


def mark(files: list[Path]) -> str:
    """By which runs know whether files changed, or others came."""
    told = (f"{file.name} {content_mark(file)}" for file in files)
    return hashlib.sha256("\n".join(told).encode("utf-8", "surrogatepass")).hexdigest()


def keep(name: str, folder: str, write: Callable[[Path], None]) -> Path:
    """Let `write` make a new file; a name that is taken gets a number.

    Args:
        name: the file's, without its suffix.
        folder: inside ComfyUI's output, made where it is missing; or one that is there already, by
            its full path.
        write: writes the file at the path it is given.

    Returns:
        The file.

    Raises:
        GenartError: when the name is no plain file name, or the folder leads out of the output
            folder, or is not there.
    """
    named, root = _expanded(_unquoted(folder)), output_folder()
    place = inside(root, str(named))
    if place is None and named.is_absolute() and "\0" not in folder and named.is_dir():
        place = Path(os.path.normpath(named))
    if place is None:
        raise GenartError(
            f"{folder!r} is no folder to save into: name one inside ComfyUI's output, or write the "
            "full path of one that is there."
        )
    return keep_new(place, name, "file of latents", write)


def _expanded(path: str) -> Path:
    with suppress(RuntimeError):  # nobody of that name has a home
        return Path(path).expanduser()
    return Path(path)


def _unquoted(path: str) -> str:
    return path.strip().strip('"')  # Windows copies paths with their quotes


def _files(folder: Path) -> list[Path]:
    """Files of latents in a folder."""
    found = [p for p in folder.glob("*") if p.suffix.lower() in _SUFFIXES and p.is_file()]
    return in_order([path for path in found if not path.name.startswith(".")])
