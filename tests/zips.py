"""Zip files of pictures for the tests, good ones and bad ones."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image


def png(value: int = 0, size: tuple[int, int] = (20, 20), **options: Any) -> bytes:
    """A red picture as a file."""
    file = io.BytesIO()
    Image.new("RGB", size, (value % 256, 0, 0)).save(file, "PNG", **options)
    return file.getvalue()


def zipped(path: Path, entries: Mapping[str, bytes], how: int = zipfile.ZIP_STORED) -> Path:
    """A zip file with these entries, in their order, whatever their names."""
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def locked(path: Path, *others: str) -> Path:
    """A zip file, with other files too, whose heads say that a password is needed."""
    data = zipped(path, dict.fromkeys(["1.png", "2.png", *others], png())).read_bytes()
    for mark, at in ((b"PK\3\4", 2), (b"PK\1\2", 4)):  # the bit that says "encrypted"
        first, *rest = data.split(mark)
        data = mark.join([first, *(part[:at] + b"\1" + part[at + 1 :] for part in rest)])
    path.write_bytes(data)
    return path
