"""Whether an error says that memory ran out."""

import torch

# What the CPU's allocator says, Apple's cards, and NVIDIA's library of matrix products.
_SAID = ("DefaultCPUAllocator", "MPS backend out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


def is_shortage(error: Exception) -> bool:
    """Whether memory ran out; not everyone who says so has an error type for it."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _SAID)
