"""Pickle files and the two kinds that `torch.save` writes, opened without PyTorch's own loader.

PyTorch's loader runs what a file asks for, and its restricted mode has been broken before; it also
takes the sizes in a file at their word. Here a file is mapped, not read: tensors are slices of it
until somebody copies them, and the map ends with the last of them.
"""

import mmap
import sys
from pathlib import Path
from typing import Any

import torch

from ...errors import GenartError, printable
from .pickles import read, read_one
from .records import Budget, Name, RefusedError
from .torch_zip import is_zip, records
from .values import DTYPES, Bytes, Storage, resolve, storage_of

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001


def open_pickle(path: Path) -> Any:
    """What a pickle, or a file of `torch.save`, holds. Its content decides which it is.

    Args:
        path: the file, of any suffix.

    Returns:
        None, bool, int, float, str, bytes or memoryview; list, tuple, set; dict for every kind
        of dict and for an argparse.Namespace; `Tensor` for tensors, parameters and numpy arrays,
        often slices of the file, to be copied and not changed; `Name` for bare classes and
        `Record` for objects of classes.

    Raises:
        GenartError: when the file is none of these, is damaged, or asks for anything that a
            network does not need.
    """
    try:
        return _open(_mapped(path))
    except RefusedError as error:
        raise GenartError(
            f"{printable(path.name)} {error}: it was not opened and nothing in it was run; get it "
            "again from its maker (it may be half a download), or as a state_dict or safetensors."
        ) from error


def _mapped(path: Path) -> memoryview:
    """The file's bytes; writable for PyTorch's sake, though writing would not reach the file."""
    if not path.is_file():
        raise GenartError(f"There is no file {path}: choose one that exists.")
    try:
        with path.open("rb") as file:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    except ValueError as error:
        raise RefusedError("is empty") from error
    except OSError as error:
        raise RefusedError("cannot be read") from error


def _open(data: memoryview) -> Any:
    budget = Budget.of(len(data))
    if sys.byteorder != "little":
        raise RefusedError("has its numbers in an order that this processor does not use")
    tree = _torch_file(data, budget)
    inner: dict[int, tuple[Bytes, Storage]] = {}  # the bytes too, so that no id comes twice

    def storage(found: Bytes) -> Storage:
        if id(found) not in inner:
            inner[id(found)] = found, _inner_storage(memoryview(found), budget)
        return inner[id(found)][1]

    return resolve(tree, budget, storage)


def _inner_storage(data: memoryview, budget: Budget) -> Storage:
    """The numbers in a file of `torch.save` inside a pickle."""
    found = _torch_file(data, budget)
    if not isinstance(found, Storage):
        raise RefusedError("has something else inside where numbers belong")
    return found


def _torch_file(data: memoryview, budget: Budget) -> Any:
    """The unresolved tree in a plain pickle or either kind of PyTorch's files."""
    if is_zip(data):
        return _new_file(data, budget)
    if bytes(data[:64]).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise RefusedError("is a web page, not the file that its link leads to")
    if data[:23] == b"version https://git-lfs":
        raise RefusedError("is a pointer of Git LFS, not the file it points to (git lfs pull)")
    if data[257:262] == b"ustar":
        raise RefusedError("is a PyTorch file from before 2018, which cannot be read")
    tree, end = read_one(data, 0, None, budget)
    return _old_file(data, end, budget) if tree == _MAGIC else tree


def _new_file(data: memoryview, budget: Budget) -> Any:
    """A zip archive: a pickle, and beside it a record for each storage."""
    found = records(data)
    pickles = [name for name in found if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise RefusedError("is a zip archive, but not PyTorch's (unpack it if it holds a GAN)")
    folder = pickles[0].removesuffix("data.pkl")
    if f"{folder}constants.pkl" in found:
        raise RefusedError("is a TorchScript program, not a network's numbers")
    if found.get(f"{folder}byteorder", b"little") != b"little":
        raise RefusedError("has its numbers in an order that this processor does not use")
    storages: dict[str, Storage] = {}

    def storage(identity: object) -> Storage:
        dtype, name, count = _identity(identity)
        if name not in storages:
            record = found.get(f"{folder}data/{name}")
            if record is None or len(record) != count * dtype.itemsize:
                raise RefusedError("lacks the numbers of a tensor, or has too many")
            storages[name] = storage_of(record, dtype)
        return _checked(storages[name], dtype, count)

    return read(found[pickles[0]], storage, budget)


def _old_file(data: memoryview, position: int, budget: Budget) -> Any:
    """Pickles in a row (magic number, version, system, tree, keys), then the storages' numbers.

    The tree comes before the numbers, so a first reading only notes how long each storage is.
    """
    version, position = read_one(data, position, None, budget)
    system, start = read_one(data, position, None, budget)
    if version != _VERSION or not isinstance(system, dict) or not system.get("little_endian", True):
        raise RefusedError("is a PyTorch file of an unknown kind")
    wanted: dict[str, tuple[torch.dtype, int]] = {}

    def note(identity: object) -> None:
        dtype, name, count = _identity(identity)
        if wanted.setdefault(name, (dtype, count)) != (dtype, count):
            raise RefusedError("has a storage of two sizes")

    _, position = read_one(data, start, note, budget)
    keys, position = read_one(data, position, None, budget)
    storages = _old_storages(data[position:], keys, wanted)
    return read_one(data, start, lambda identity: storages[_identity(identity)[1]], budget)[0]


def _old_storages(
    data: memoryview, keys: Any, wanted: dict[str, tuple[torch.dtype, int]]
) -> dict[str, Storage]:
    """The numbers of each storage, which stand in the order of the keys, each after its count."""
    if not isinstance(keys, list) or not all(isinstance(name, str) for name in keys):
        raise RefusedError("is a PyTorch file of an unknown kind")
    if len(set(keys)) != len(keys) or set(keys) != set(wanted):
        raise RefusedError("lacks the numbers of a tensor, or has too many")
    found = {}
    for name in keys:
        dtype, count = wanted[name]
        end = 8 + count * dtype.itemsize
        if int.from_bytes(data[:8], "little") != count or end > len(data):
            raise RefusedError("lacks the numbers of a tensor, or has too many")
        found[name] = storage_of(data[8:end], dtype)
        data = data[end:]
    return found


def _identity(identity: object) -> tuple[torch.dtype, str, int]:
    """What a persistent id of PyTorch says of a storage: dtype, name, how many numbers."""
    match identity:
        case ("storage", Name("torch" | "torch.storage", kind), str(name), _, int(count), *view):
            dtype = DTYPES.get(kind.removesuffix("Storage"))
            if dtype is not None and count >= 0 and view in ([], [None]):
                return dtype, name, count
    raise RefusedError("refers to something that is no storage of numbers")


def _checked(storage: Storage, dtype: torch.dtype, count: int) -> Storage:
    if storage.numbers.dtype is not dtype or len(storage.numbers) != count:
        raise RefusedError("has a storage of two sizes")
    return storage
