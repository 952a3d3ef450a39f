"""Writing files so that a crash, a full disk or a virus scanner leaves no half of one."""

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

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


def unwritable(path: Path, error: OSError) -> GenartError:
    """The sentence for a file or folder that could not be written."""
    return GenartError(
        f"Could not write {path}: {error.strerror or error}; free some space or choose a folder "
        "that can be written."
    )


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
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())  # a power cut must not leave an empty file of the final name
        replace(temporary, path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):  # gone with the rename, or never made
            temporary.unlink()


def try_lock(file: IO[bytes]) -> bool:
    """Take an exclusive lock, if it can be had at once.

    Raises:
        OSError: where files cannot be locked at all.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        raise
    return True
