"""Where VAEs of diffusers lie: folders of `models/diffusers` and `models/vae`, and files there."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import folder_paths

from ..errors import GenartError
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
