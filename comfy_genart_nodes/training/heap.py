"""What a training process does with its memory: what it has freed stays, and what it began with."""

import ctypes
import gc
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's mallopt(3)


def retain_heap() -> None:
    """Keep freed memory in the process (Linux): page faults cost a CPU a third of a step.

    What is there by now stays, too: Python would search it for garbage, a tenth of a second long
    every few steps.
    """
    gc.collect()
    gc.freeze()
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
            libc.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
