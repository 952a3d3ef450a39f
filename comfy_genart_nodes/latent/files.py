"""LATENTs on disk, with all that goes with them: safetensors, as `tensor_files` writes it.

The samples lie under the name that ComfyUI's own Save Latent gives them, so that its Load Latent
reads them too; what else a LATENT holds lies beside them or in the header. ComfyUI's own files are
read likewise. A part of a file is read without the rest.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import torch
from safetensors import safe_open
from torch import Tensor

from ..errors import GenartError
from ..tensor_files import header_of, opened, write
from .families import family

KIND = "latents"

_SAMPLES, _PLAIN = "latent_tensor", "latent_format_version_0"
_OTHER = "other."
_OLD_SCALE = 0.18215
"""By which the samples of the first `.latent` files are multiplied; they lack `_PLAIN`."""
_FLOATS = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")


@dataclass(frozen=True)
class _Part:
    """Some samples of a file.

    Attributes:
        path: of the file.
        shape: of all its samples.
        start: the first one wanted.
        stop: the first one behind them.
        place: of `start` among the samples of all files.
    """

    path: Path
    shape: tuple[int, ...]
    start: int
    stop: int
    place: int


def save(path: Path, latent: Mapping[str, Any], about: dict[str, Any]) -> None:
    """Write a LATENT: samples as they are, and all else but what `left_out` names.

    Args:
        path: ends with `.safetensors`.
        latent: its samples `[n, c, ...]`, noise_mask, batch_index, and whatever nodes put in.
        about: whatever is worth knowing of it, as the workflow that made it; JSON.

    Raises:
        GenartError: when it holds no samples or another number of indices, the folder cannot be
            written or the disk is full.
    """
    samples = latent.get("samples")
    if not _is_plain_tensor(samples) or samples.ndim < 3 or samples.numel() == 0:
        raise GenartError(
            "These latents are not one batch of numbers: wire others, or decode them."
        )
    if not samples.is_floating_point():
        raise GenartError(f"These latents are {samples.dtype}: wire latents of a VAE or sampler.")
    tensors, values = _parts(_usual(latent))
    known = about | {"family": family(samples.shape[1])}
    header = {"kind": KIND, "about": known, "values": values}
    write(path, {_SAMPLES: samples, _PLAIN: torch.tensor([])} | tensors, header)


def left_out(latent: Mapping[str, Any]) -> list[str]:
    """What of a LATENT `save` cannot write: neither tensors nor numbers, texts or lists of them."""
    tensors, values = _parts(latent)
    kept = {"samples", *values, *(name.removeprefix(_OTHER) for name in tensors)}
    return [str(name) for name in latent if name not in kept]


def count_of(paths: Sequence[Path], first: int = 0, count: int = 0) -> int:
    """How many files `load` will read.

    Args, errors as of `load`.
    """
    return len(_chosen(paths, first, count))


def shape_of(paths: Sequence[Path], first: int = 0, count: int = 0) -> tuple[int, ...]:
    """What `load` will give: the shape of its samples.

    Args, errors as of `load`.
    """
    parts = _chosen(paths, first, count)
    return (sum(part.stop - part.start for part in parts), *parts[0].shape[1:])


def load(
    paths: Sequence[Path],
    first: int = 0,
    count: int = 0,
    done: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Read LATENTs that `save` or ComfyUI wrote, one after the other as one batch, or a part of it.

    Args:
        paths: one file or several, whose samples are of one shape.
        first: the first sample, counted from 0 over all files.
        count: so many, or as many as there are; 0 for all.
        done: told how many files have been read.

    Returns:
        The LATENT, samples in float32. Of a part, or of several files, each sample has its own
        noise mask and batch_index; what else the first file holds is kept as it is.

    Raises:
        GenartError: when a file is missing, damaged, of something else, or they do not go together.
    """
    parts = _chosen(paths, first, count)
    read = []
    for number, part in enumerate(parts):
        read.append(_read(part))
        done(number + 1)
    if len(paths) == 1 and len(read[0]["samples"]) == parts[0].shape[0]:
        return read[0]
    made = read[0] | {
        "samples": torch.cat([each["samples"] for each in read]),
        "batch_index": [i for each, p in zip(read, parts, strict=True) for i in _index(each, p)],
    }
    if any("noise_mask" in each for each in read):
        made["noise_mask"] = _masks(read, parts)
    return made


def _usual(latent: Mapping[str, Any]) -> dict[str, Any]:
    """A LATENT whose mask and indices are of the types that `load` takes.

    Raises:
        GenartError: when its indices are not as many as its samples.
    """
    usual, count = dict(latent), len(latent["samples"])
    mask, index = usual.get("noise_mask"), usual.get("batch_index")
    if isinstance(mask, Tensor) and not mask.is_floating_point():
        usual["noise_mask"] = mask.float()
    if isinstance(index, Tensor):
        index = index.flatten().tolist()
    if index is not None:
        usual["batch_index"] = index = [int(each) for each in index]
        if len(index) != count:
            raise GenartError(
                f"There are {count} latents and {len(index)} numbers in their batch_index: let "
                "LatentBatchSeedBehavior (random) take it away."
            )
    return usual


def _is_plain_tensor(value: Any) -> TypeGuard[Tensor]:
    return isinstance(value, Tensor) and value.layout == torch.strided and not value.is_nested


def _is_plain_value(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_plain_value(each) for each in value)
    return value is None or isinstance(value, (bool, int, float, str))


def _parts(latent: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What a LATENT holds beside its samples and a file can hold: tensors, and all else."""
    others = {k: v for k, v in latent.items() if k != "samples" and isinstance(k, str)}
    tensors = {k: v for k, v in others.items() if _is_plain_tensor(v)}
    values = {k: v for k, v in others.items() if _is_plain_value(v)}
    # The file's writer refuses tensors that share memory, as a mask that stands under two names.
    return {_OTHER + k: v.clone() for k, v in tensors.items()}, values


def _chosen(paths: Sequence[Path], first: int, count: int) -> list[_Part]:
    """Which samples of which files are wanted."""
    shapes = [_shape(path) for path in paths]
    for path, shape in zip(paths, shapes, strict=True):
        if shape[1:] != shapes[0][1:]:
            raise GenartError(
                f"{paths[0].name} has latents of {_sides(shapes[0])} and {path.name} of "
                f"{_sides(shape)}: load them one by one, or keep them in folders of their own."
            )
    total = sum(shape[0] for shape in shapes)
    if first >= total:
        raise GenartError(
            f"There are {total} latents, counted from 0, and the first one wanted is number "
            f"{first}: begin with a lower one."
        )
    last = min(first + count, total) if count else total
    parts, before = [], 0
    for path, shape in zip(paths, shapes, strict=True):
        start, stop = max(first - before, 0), min(last - before, shape[0])
        if start < stop:
            parts.append(_Part(path, shape, start, stop, before + start))
        before += shape[0]
    return parts


def _sides(shape: Sequence[int]) -> str:
    return "x".join(str(side) for side in shape[1:])


def _shape(path: Path) -> tuple[int, ...]:
    """Of all samples of a file, after a look whether it is one of latents."""
    with opened(path) as file:
        kind = (header_of(file, path.name) or {}).get("kind")
        if kind == "gan_latents":
            raise GenartError(f"{path.name} holds latents of a GAN: open it with Load GAN Latents.")
        if _SAMPLES not in file.keys():  # noqa: SIM118
            raise GenartError(
                f"{path.name} holds no latents: choose a file that Save Latents wrote, or ComfyUI."
            )
        samples = file.get_slice(_SAMPLES)
        shape, dtype = tuple(samples.get_shape()), samples.get_dtype()
    if len(shape) < 3 or min(shape) < 1 or dtype not in _FLOATS:
        raise _damaged(path)
    return shape


def _damaged(path: Path) -> GenartError:
    return GenartError(f"The latents in {path.name} are damaged: save them again.")


def _read(part: _Part) -> dict[str, Any]:
    """The samples of a part, and whole what else its file holds."""
    with opened(part.path) as file:
        header = header_of(file, part.path.name) or {}
        scale = 1.0 if _PLAIN in file.keys() else 1 / _OLD_SCALE  # noqa: SIM118
        samples = file.get_slice(_SAMPLES)[part.start : part.stop]
        # Copied: what is mapped to a file would change with it, and keep it from being removed.
        samples = samples.to(torch.float32, copy=True).mul_(scale)
        values = header.get("values", {}) if header.get("kind") == KIND else {}
        tensors = _others(file) if header.get("kind") == KIND else {}
    if not isinstance(values, dict):
        raise _damaged(part.path)
    read = values | tensors | {"samples": samples}
    _check(read, part)
    return read


def _others(file: safe_open) -> dict[str, Tensor]:
    names = [name for name in file.keys() if name.startswith(_OTHER)]  # noqa: SIM118
    return {name.removeprefix(_OTHER): file.get_tensor(name).clone() for name in names}


def _check(read: dict[str, Any], part: _Part) -> None:
    """Refuse masks and indices that no LATENT has."""
    mask, index = read.get("noise_mask"), read.get("batch_index")
    if mask is not None:
        fits = isinstance(mask, Tensor) and mask.ndim >= 2 and mask.numel() > 0
        if not fits or not mask.is_floating_point():
            raise _damaged(part.path)
    if index is not None:
        fits = isinstance(index, list) and len(index) == part.shape[0]
        if not fits or not all(type(each) is int and each >= 0 for each in index):
            raise _damaged(part.path)


def _index(read: dict[str, Any], part: _Part) -> list[int]:
    """Which noise the samples of a part get of a sampler: that which they get in the whole."""
    known: list[int] | None = read.get("batch_index")
    if known is None:
        return list(range(part.place, part.place + part.stop - part.start))
    return known[part.start : part.stop]


def _masks(read: Sequence[dict[str, Any]], parts: Sequence[_Part]) -> Tensor:
    """A mask for each sample; a sampler works everywhere where a file has none."""
    known = [_mask(each, part) for each, part in zip(read, parts, strict=True)]
    (leading, first), *_ = [(p, m) for p, m in zip(parts, known, strict=True) if m is not None]
    whole = []
    for mask, part in zip(known, parts, strict=True):
        if mask is not None and mask.shape[1:] != first.shape[1:]:
            raise GenartError(
                f"{leading.path.name} has noise masks of {_sides(first.shape)} and "
                f"{part.path.name} of {_sides(mask.shape)}: load them one by one."
            )
        everywhere = first.new_ones(part.stop - part.start, *first.shape[1:])
        whole.append(everywhere if mask is None else mask)
    return torch.cat(whole)


def _mask(read: dict[str, Any], part: _Part) -> Tensor | None:
    """The masks of a part's samples; a few go round, as in ComfyUI's Latent From Batch."""
    mask: Tensor | None = read.get("noise_mask")
    if mask is None:
        return None
    if mask.ndim == 2:
        mask = mask[None]
    if len(part.shape) == 5 and mask.ndim < 5:  # those of the frames of every film
        mask = mask.reshape(1, 1, -1, *mask.shape[-2:])
    return mask[[i % len(mask) for i in range(part.start, part.stop)]]


def in_order(paths: Sequence[Path]) -> list[Path]:
    """Files by their names, numbers in them by their size: 2 before 10."""
    return sorted(paths, key=lambda path: (_pieces(path.stem), path.name))


def _pieces(name: str) -> list[tuple[int, str]]:
    """A name's texts and numbers, to compare one by one."""
    pieces = re.split(r"(\d+)", name.lower())
    return [(int(each), "") if each.isdecimal() else (-1, each) for each in pieces]
