"""The zip archives that `torch.save` writes since 2020: where each record lies.

Only what those archives are: every record stored as it is, one after the other, under its own name.
"""

import struct
from itertools import pairwise

from .records import RefusedError

_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_BIG_END = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_HEADER = struct.Struct("<4s5H3L2H")


def is_zip(data: memoryview) -> bool:
    """Whether a file begins as such an archive does."""
    return data[:4] == b"PK\x03\x04"


def records(data: memoryview) -> dict[str, memoryview]:
    """The records of an archive by name, as slices of it.

    Raises:
        RefusedError: when the archive is damaged, or anything but plain records in a row.
    """
    try:
        return _records(data)
    except (struct.error, ValueError, OverflowError) as error:
        raise RefusedError("is damaged: its list of contents is not where it should be") from error


def _records(data: memoryview) -> dict[str, memoryview]:
    count, position, stop = _directory(data)
    found: dict[str, memoryview] = {}
    spans = []
    for _ in range(count):
        name, start, size, position = _entry(data, position)
        first = _contents(data, start)
        if name in found:
            raise RefusedError("has two records of one name")
        if first + size > len(data):
            raise RefusedError("has a record that is longer than the file")
        found[name] = data[first : first + size]
        spans.append((start, first + size))
    spans = [*sorted(spans), (stop[0], stop[0])]
    if position > stop[1] or any(end > start for (_, end), (start, _) in pairwise(spans)):
        raise RefusedError("has records that overlap")
    return found


def _directory(data: memoryview) -> tuple[int, int, tuple[int, int]]:
    """Number of entries, where the first stands, and between what and what they all stand."""
    tail = bytes(data[-(_END.size + 2**16) :])
    found = tail.rfind(b"PK\x05\x06")
    if found < 0:
        raise ValueError("no end record")
    end = len(data) - len(tail) + found
    _, disk, _, _, count, size, start, _ = _END.unpack_from(data, end)
    if disk == 0 and 0xFFFFFFFF not in (size, start) and count != 0xFFFF:
        return count, start, (start, end)
    _, _, at, _ = _LOCATOR.unpack_from(data, end - _LOCATOR.size)
    mark, _, _, _, _, _, _, count, size, start = _BIG_END.unpack_from(data, at)
    if mark != b"PK\x06\x06" or start + size > at:
        raise ValueError("no large end record")
    return count, start, (start, at)


def _entry(data: memoryview, position: int) -> tuple[str, int, int, int]:
    """One entry of the list: name, where its record's header stands, size, where the next is."""
    values = _ENTRY.unpack_from(data, position)
    mark, flags, method, packed, size = values[0], values[3], values[4], values[8], values[9]
    names, extras, comments, start = values[10], values[11], values[12], values[16]
    if mark != b"PK\x01\x02":
        raise ValueError("no entry")
    position += _ENTRY.size
    name = str(data[position : position + names], "utf-8")
    extra = data[position + names : position + names + extras]
    if 0xFFFFFFFF in (size, packed, start):
        size, packed, start = _large(extra, size, packed, start)
    if method != 0 or flags & 1 or packed != size:
        raise RefusedError("has a compressed or locked record, which PyTorch does not write")
    return name, start, size, position + names + extras + comments


def _large(extra: memoryview, *values: int) -> list[int]:
    """Sizes and places that need 64 bits stand in the extra field, in this order."""
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        if kind == 1:
            rest = iter(struct.unpack_from(f"<{size // 8}Q", extra, 4))
            return [next(rest, value) if value == 0xFFFFFFFF else value for value in values]
        extra = extra[4 + size :]
    raise ValueError("no large sizes")


def _contents(data: memoryview, start: int) -> int:
    """Where the bytes of the record begin whose header stands at `start`."""
    values = _HEADER.unpack_from(data, start)
    if values[0] != b"PK\x03\x04":
        raise ValueError("no record")
    return int(start + _HEADER.size + values[9] + values[10])
