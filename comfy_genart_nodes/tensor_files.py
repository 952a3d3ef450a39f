"""Files of tensors: safetensors, with all else as JSON in the one metadata key `genart`.

One key, sorted, without time or path: equal content gives equal bytes. Reading never executes
anything.
"""

import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .errors import GenartError
from .files import written

FORMAT = 1
_KEY = "genart"
_SUM = "crc32"


class NewerError(GenartError):
    """A file that a newer version of this pack wrote: whole, though nothing can be read here."""


def write(
    path: Path, tensors: dict[str, Tensor], header: dict[str, Any], *, summed: bool = False
) -> None:
    """Write tensors and a JSON header, whole or not at all.

    Args:
        path: of the file.
        tensors: by name.
        header: what can be written as JSON.
        summed: with a checksum, for `verify`.

    Raises:
        GenartError: when the folder cannot be written or the disk is full.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    if summed:
        header = {**header, _SUM: _checksum(plain)}
    text = json.dumps({"format": FORMAT, **header}, sort_keys=True, ensure_ascii=True)
    with written(path) as temporary:
        try:
            save_file(plain, temporary, metadata={_KEY: text})
        except SafetensorError as error:  # what a full disk looks like from here
            raise OSError(str(error)) from error
        temporary.chmod(0o644)  # safetensors lets nobody but the owner read


@contextmanager
def opened(path: Path) -> Iterator[safe_open]:
    """A file of tensors, of whomever, mapped while it is read.

    Raises:
        GenartError: when the file is missing, truncated, or something else.
    """
    if not path.is_file():
        raise GenartError(f"There is no file {path}: choose one that exists.")
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise GenartError(
            f"{path.name} is not a whole safetensors file ({error}): download or save it again."
        ) from error


def header_of(file: safe_open, name: str) -> dict[str, Any] | None:
    """The JSON header that `write` gave an open file; None where it has none that can be read.

    Args:
        file: from `opened`.
        name: of the file, for the message.

    Raises:
        NewerError: when a newer version of this pack wrote it.
    """
    try:
        header: dict[str, Any] = json.loads((file.metadata() or {})[_KEY])
        version = int(header["format"])
    except (KeyError, ValueError, TypeError, OverflowError, RecursionError):
        return None
    if version > FORMAT:
        raise NewerError(
            f"{name} was written by a newer version of this pack (format {version}, this one "
            f"reads {FORMAT}): update the pack."
        )
    return header


def read_header(path: Path) -> dict[str, Any]:
    """The JSON header of a file that `write` made.

    Raises:
        GenartError: when the file is missing, truncated, foreign or (`NewerError`) newer than
            this pack.
    """
    with opened(path) as file:
        header = header_of(file, path.name)
    if header is None:
        raise GenartError(
            f"{path.name} is a safetensors file, but not of this pack: it has no 'genart' header; "
            "choose a file that this pack saved, or a network in the file its own tool wrote."
        )
    return header


def read(path: Path, prefix: str = "") -> dict[str, Tensor]:
    """Tensors whose names begin with a prefix, the prefix removed.

    Raises:
        GenartError: when the file cannot be read.
    """
    with opened(path) as file:
        names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
        return {name[len(prefix) :]: file.get_tensor(name) for name in names}


def verify(path: Path) -> None:
    """Compare a file's tensors with the checksum that it was written with, where it has one.

    Raises:
        GenartError: when the file cannot be read, or its content has changed since.
    """
    summed = read_header(path).get(_SUM)
    if summed is not None and summed != _checksum(read(path)):
        raise GenartError(
            f"{path.name} does not hold what was written into it: the disk has damaged it; use "
            "another, or a copy."
        )


def _checksum(tensors: Mapping[str, Tensor]) -> int:
    """CRC-32 of names and numbers: finds decay, which is all it is for, and takes little time."""
    found = 0
    for name in sorted(tensors):
        found = zlib.crc32(name.encode(), found)
        found = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, found)
    return found
