"""Whether an error says that memory ran out, and what a training does then."""

from collections.abc import Callable
from typing import Protocol, TypeVar

import torch

T = TypeVar("T")

# What the CPU's allocator says, C++'s, the CPU's convolutions where they find no room, Apple's
# cards, and NVIDIA's driver and libraries.
_SAID = (
    *("DefaultCPUAllocator", "bad_alloc", "could not create a primitive"),
    "MPS backend out of memory",
    *("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED"),
)


def is_shortage(error: Exception) -> bool:
    """Whether memory ran out; not everyone who says so has an error type for it."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _SAID)


def _recording(device: torch.device) -> bool:
    """Whether a step is being recorded (`recording.py`): it would be recorded in halves."""
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()


class Dividing(Protocol):
    """What works on a batch in parts.

    Attributes:
        device: where.
        micro: so many pictures at a time.
    """

    device: torch.device
    micro: int

    def forget(self) -> None:
        """Let go of what an unfinished step has gathered."""

    def relieve(self) -> bool:
        """Give back memory that only saves time; whether there was any."""


def patiently(trainee: Dividing, gather: Callable[[], T]) -> T:
    """What a whole batch gives; of half as many pictures at a time while memory runs out.

    What only saves time goes first: small pieces are slow, too. The others of a team are not asked
    in between: each may run out in its own time.
    """
    while True:
        try:
            return gather()
        except (RuntimeError, MemoryError) as error:
            if not is_shortage(error) or _recording(trainee.device):
                raise
            if not trainee.relieve():
                if trainee.micro == 1:
                    raise
                trainee.micro //= 2
        trainee.forget()
        if trainee.device.type == "cuda":
            torch.cuda.empty_cache()
