"""Networks on the device and work in batches that fit, both through ComfyUI's memory management."""

from collections.abc import Callable, Iterable, Iterator

import comfy.model_management as mm
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor, nn

from ..errors import GenartError
from ..gan.sampling import Precision
from .progress import cancellable

LARGEST_BATCH = 32
"""Items at a time where memory is plentiful: more gain nothing, and progress would stutter."""

LARGEST_ON_CPU = 2**30
"""Bytes of a batch on a CPU: larger ones gain nothing there, and Cancel would wait for them."""


def check_bytes(need: float, what: str) -> None:
    """Refuse results that do not fit into memory, before any of them is made.

    Args:
        need: bytes that they take.
        what: they are, for the sentence.

    Raises:
        GenartError: so.
    """
    free = mm.get_free_memory(mm.intermediate_device())
    if need > free:
        raise GenartError(
            f"{what} take {need / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free: make fewer at a "
            "time."
        )


def manage(module: nn.Module) -> ModelPatcher:
    """Hand a network to ComfyUI, which from now on decides when it lies on the device."""
    return ModelPatcher(module, mm.get_torch_device(), mm.unet_offload_device())


def load(patcher: ModelPatcher, room: int = 0) -> torch.device:
    """Bring a network to its device, whole, and say which device that is.

    Args:
        patcher: the network.
        room: bytes that it needs beside its weights; other networks make way for them.
    """
    mm.load_models_gpu([patcher], memory_required=room, force_full_load=True)
    # A host told to keep nothing on the device (--novram) leaves it where it was.
    patcher.model.to(patcher.load_device)
    return patcher.load_device


def batches(
    patcher: ModelPatcher, count: int, item_bytes: int, work: Callable[[int, int], Tensor]
) -> Iterator[Tensor]:
    """Run `work` over `count` items in batches as large as the free memory allows.

    The size of a batch depends on `item_bytes` alone as long as memory is plentiful, so that equal
    runs give equal bits. Where memory runs out nevertheless, batches are halved down to one item.

    Args:
        patcher: the network that works; Cancel is heeded before each of its layers.
        count: how many items, at least one.
        item_bytes: memory that one item needs while it is worked on.
        work: from the first item and the one after the last to results `[n, ...]`.

    Yields:
        The results of a batch, in the order of the items, where `work` left them.

    Raises:
        Exception: the host's out-of-memory error, when even one item does not fit.
    """
    device = load(patcher, 2 * item_bytes)
    room = mm.get_free_memory(device) / 2
    if device.type == "cpu":
        room = min(room, LARGEST_ON_CPU)
    largest = LARGEST_BATCH
    while largest > 1 and largest * item_bytes > room:
        largest //= 2
    start = 0
    while start < count:
        size = min(largest, count - start)
        with cancellable(patcher.model):
            part = _attempt(work, start, start + size, last=size == 1)
        if part is None:
            largest = size // 2
            mm.soft_empty_cache()
            continue
        start += len(part)
        yield part


def collect(parts: Iterable[Tensor], count: int, done: Callable[[int], None]) -> Tensor:
    """All results of `batches` as one tensor.

    Args:
        parts: the batches, `[n, ...]` each.
        count: how many items they hold together, at least one.
        done: told after every batch how many items are done.

    Returns:
        [count, ...], float32 on ComfyUI's intermediate device.
    """
    results: Tensor | None = None
    start = 0
    for part in parts:
        if results is None:
            shape = (count, *part.shape[1:])
            results = torch.empty(shape, dtype=torch.float32, device=mm.intermediate_device())
        results[start : start + len(part)] = part
        start += len(part)
        done(start)
    assert results is not None
    return results


def _attempt(work: Callable[[int, int], Tensor], start: int, end: int, last: bool) -> Tensor | None:
    """Results of a batch, or None where memory ran out and a smaller batch may be tried."""
    try:
        return work(start, end)
    except mm.OOM_EXCEPTION:
        if last:
            raise
        return None


def choose_precision(name: str) -> Precision:
    """The precision to sample with on this host's device.

    Args:
        name: "fp32", "bf16", or "auto" for bf16 on graphics cards that compute with it and fp32
            elsewhere.

    Raises:
        GenartError: when bf16 was asked for where it does not run.
    """
    device = mm.get_torch_device()
    if name == "auto":
        fast = device.type in ("cuda", "xpu") and mm.should_use_bf16(device)
        return "bf16" if fast else "fp32"
    if name == "bf16" and not (device.type == "cpu" or mm.should_use_bf16(device)):
        raise GenartError("bf16 does not run on this device: choose precision auto or fp32.")
    return "bf16" if name == "bf16" else "fp32"


def training_device() -> str:
    """The device on which a process of its own can train, as torch names it.

    Raises:
        GenartError: where ComfyUI reaches its device by changing torch inside its own process.
    """
    device = mm.get_torch_device()
    zluda = device.type == "cuda" and torch.cuda.get_device_name(device).endswith("[ZLUDA]")
    if zluda or device.type == "privateuseone":
        raise GenartError(
            "Training does not run on DirectML or ZLUDA: start ComfyUI with --cpu, or with a "
            "torch that knows your graphics card, to train."
        )
    return str(device)


def training_memory() -> int:
    """Memory of the device, in bytes, whoever uses it now."""
    return int(mm.get_total_memory(mm.get_torch_device()))


def release_all() -> None:
    """Take every network off the device, so that another process can have its memory."""
    mm.unload_all_models()
    mm.soft_empty_cache()
