"""Writing files so that a crash, a full disk or a virus scanner leaves no half of one."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import GenartError


def replace(temporary: Path, path: Path) -> None:
    """Rename over `path`, trying for a while where a virus scanner holds it open (Windows)."""
    for attempt in range(10):
        try:
            temporary.replace(path)
            return
        except PermissionError:
            if attempt == 9:
                raise
            time.sleep(0.1 * (attempt + 1))


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it when the block ends well, else remove it.

    Raises:
        GenartError: when the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        replace(temporary, path)
    except OSError as error:
        raise GenartError(
            f"Could not write {path}: {error.strerror or error}; free some space or choose a "
            "folder that can be written."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_REFUSED = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]')


def check_name(name: str, what: str) -> str:
    """Return a name, stripped, that is one plain file name on Linux, Windows and Mac alike.

    Args:
        name: what the person wrote.
        what: what it names, for the message: "run".

    Raises:
        GenartError: when it would leave its folder, is hidden, or some system refuses it.
    """
    plain = name.strip()
    fits = 0 < len(plain.encode()) <= 120 and plain[0] not in ".-" and plain[-1] != "."
    if not fits or _REFUSED.search(plain) or _RESERVED.fullmatch(plain):
        raise GenartError(
            f"{name!r} cannot name a {what}: use a short name of letters, digits, blanks, - and "
            "_, without folders."
        )
    return plain
