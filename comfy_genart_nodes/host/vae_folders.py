"""Where VAEs of diffusers and of this pack lie, by name: in `models/vae` and `models/diffusers`."""

import hashlib
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import folder_paths

from ..errors import GenartError
from ..gan.checkpoint import read_header
from ..vae.config import CONFIG, is_autoencoder
from ..vae.opening import vae_files
from .folders import content_mark, inside

_KEYS = ("vae", "diffusers")
_DEEPEST = 4
"""Folders below a model folder that are looked into; the Hugging Face cache needs so many."""


def vae_names() -> list[str]:
    """The VAEs of diffusers to choose from: the model folder's key, then the path below it."""
    found: set[str] = set()
    for key, root in _roots():
        for path in _below(root):
            found.add(f"{key}/{path.relative_to(root).as_posix()}")
    return sorted(found)


def find_vae(name: str) -> Path:
    """The folder or file that `vae_names` calls `name`.

    Raises:
        GenartError: when there is none of that name.
    """
    wanted, _, below = name.partition("/")
    for key, root in _roots():
        path = inside(root, below)
        if key == wanted and path not in (None, root) and path.exists():
            return path
    raise GenartError(
        f"There is no VAE {name!r}: put the folder that diffusers saved into models/vae or "
        "models/diffusers and choose it in the list (R refreshes it)."
    )


def vae_mark(name: str) -> str:
    """A mark of the content of a VAE's files.

    Raises:
        GenartError: when one is missing.
        OSError: when one cannot be read.
    """
    marks = "".join(content_mark(file) for file in vae_files(find_vae(name)))
    return hashlib.sha256(marks.encode()).hexdigest()


def trained_names() -> list[str]:
    """The VAEs of this pack to choose from, as paths below the folders of Load VAE."""
    names = folder_paths.get_filename_list("vae")
    return [name for name in names if _is_trained(folder_paths.get_full_path("vae", name))]


def find_trained(name: str) -> Path:
    """The file that `trained_names` calls `name`.

    Raises:
        GenartError: when there is none of that name.
    """
    path = folder_paths.get_full_path("vae", name)
    if path is None:
        raise GenartError(
            f"There is no VAE {name!r}: put its file into models/vae and choose it in the list (R "
            "refreshes it)."
        )
    return Path(path)


def _is_trained(path: str | None) -> bool:
    if path is None or not path.endswith(".safetensors"):
        return False
    try:
        state = Path(path).stat()
        return _has_header(path, state.st_size, state.st_mtime_ns)
    except OSError:
        return False


@lru_cache(maxsize=1024)
def _has_header(path: str, size: int, changed: int) -> bool:
    """Whether a file is of this pack, as it is at this size and time."""
    try:
        return "family" in read_header(Path(path))
    except GenartError:
        return False


def _roots() -> Iterator[tuple[str, Path]]:
    """The model folders of each key."""
    for key in _KEYS:
        for root in folder_paths.folder_names_and_paths.get(key, ([], set()))[0]:
            yield key, Path(os.path.normpath(root))


def _below(root: Path) -> Iterator[Path]:
    """Folders with an autoencoder below a folder, and files beside a config of one."""
    for place, folders, files in os.walk(root, followlinks=True):
        here = Path(place)
        own = CONFIG in files and is_autoencoder(here / CONFIG)
        pipeline = "vae" in folders and is_autoencoder(here / "vae" / CONFIG)
        if here != root and (own or pipeline):
            yield here
            folders.clear()  # what is below belongs to it
            continue
        if len(here.relative_to(root).parts) >= _DEEPEST:
            folders.clear()
        for file in (here / name for name in files if name.endswith(".safetensors")):
            if own or is_autoencoder(file.with_suffix(".json")):
                yield file
