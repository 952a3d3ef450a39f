"""Text that a PNG carries, without decoding the picture (PNG specification, 2003, section 11.3.4).

Reading by hand keeps memory small whatever a file claims: chunks are skipped, not loaded, and a
compressed text is unpacked up to a limit.
"""

import struct
import zlib
from pathlib import Path
from typing import BinaryIO

from ..errors import GenartError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_LARGEST = 8 * 2**20
"""Bytes of a text, packed or not."""


def find_text(path: Path, keyword: str) -> str | None:
    """The text that a PNG carries under a keyword, None where it carries none.

    Raises:
        GenartError: when the file is missing, no PNG, truncated or damaged.
    """
    try:
        with path.open("rb") as file:
            return _find(file, keyword.encode("latin-1"), path.name)
    except OSError as error:
        raise GenartError(
            f"Cannot read {path} ({error.strerror}): choose a picture that exists."
        ) from error
    except (zlib.error, UnicodeDecodeError, ValueError) as error:
        if isinstance(error, GenartError):
            raise
        raise GenartError(
            f"The text in {path.name} is damaged: take the picture as it was made."
        ) from error


def _find(file: BinaryIO, keyword: bytes, name: str) -> str | None:
    if file.read(8) != _SIGNATURE:
        raise GenartError(f"{name} is not a PNG picture: choose one that this pack made.")
    while True:
        head = file.read(8)
        if len(head) < 8:
            raise GenartError(f"{name} is cut off: copy or download the picture again.")
        length, kind = struct.unpack(">I4s", head)
        if kind == b"IEND":
            return None
        if kind not in _TEXTS:
            file.seek(length + 4, 1)
            continue
        if length > _LARGEST:
            raise GenartError(f"{name} carries a text of {length} bytes, which is no latent.")
        body, sum_ = file.read(length), file.read(4)
        if len(sum_) < 4:
            raise GenartError(f"{name} is cut off: copy or download the picture again.")
        found, _, rest = body.partition(b"\0")
        if found != keyword:
            continue
        if zlib.crc32(kind + body) != int.from_bytes(sum_, "big"):
            raise ValueError("checksum")
        return _decode(kind, rest)


def _decode(kind: bytes, rest: bytes) -> str:
    """What follows the keyword: tEXt plain, zTXt packed, iTXt either, after language tags."""
    if kind == b"tEXt":
        return rest.decode("latin-1")
    if kind == b"zTXt":
        return _unpack(rest[1:]).decode("latin-1")
    packed, text = rest[:1] == b"\1", rest[2:].split(b"\0", 2)[2:]
    if not text:
        raise ValueError("no text")
    return (_unpack(text[0]) if packed else text[0]).decode("utf-8")


def _unpack(data: bytes) -> bytes:
    """Inflate, up to the limit.

    Raises:
        ValueError: when more would come, or the data end too early.
    """
    inflater = zlib.decompressobj()
    text = inflater.decompress(data, _LARGEST)
    if not inflater.eof:
        raise ValueError("too long, or cut off")
    return text
