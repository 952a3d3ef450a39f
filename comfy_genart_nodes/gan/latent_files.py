"""Latents on disk, and inside the pictures made from them.

A file of latents is safetensors with the header of `checkpoint`. A PNG carries one latent as one
text chunk: JSON with sorted keys, the numbers as base64 of little-endian float32. Both give back
every bit, and neither runs anything when read.
"""

import base64
import binascii
import json
import math
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from ..errors import GenartError
from . import checkpoint
from .latents import NO_SEED, GANLatent, Space
from .png_text import find_text

KIND = "gan_latents"
KEYWORD = "genart_latent"
"""Under which a PNG holds its latent."""

_FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
_DIMENSIONS = {"z": 2, "w": 2, "w+": 3}
_LARGEST = 2**20  # numbers in the latent of one picture: a thousand w of a thousand numbers


def save_latents(path: Path, latent: GANLatent, about: dict[str, Any]) -> None:
    """Write a batch of latents.

    Args:
        path: ends with `.safetensors`.
        latent: any batch.
        about: whatever is worth knowing of it, for people; JSON.

    Raises:
        GenartError: when the folder cannot be written or the disk is full.
    """
    tensors = {"latents": latent.tensor}
    if latent.classes is not None:
        tensors["classes"] = latent.classes
    header = {"kind": KIND, "about": about, **_described(latent), "seeds": list(latent.seeds)}
    checkpoint.write(path, tensors, header)


def load_latents(path: Path) -> GANLatent:
    """Read a file that `save_latents` made.

    Raises:
        GenartError: when the file is missing, damaged, or holds something else.
    """
    header = checkpoint.read_header(path)
    if header.get("kind") != KIND:
        what = "a network" if "family" in header else "something else"
        raise GenartError(f"{path.name} holds {what}, not latents: choose a file of latents.")
    tensors = checkpoint.read(path)
    return _checked(header, tensors.get("latents"), tensors.get("classes"), path.name)


def to_text(latent: GANLatent, about: dict[str, Any] | None = None) -> str:
    """One latent as the text that its picture carries under `KEYWORD`.

    Args:
        latent: exactly one.
        about: how it was shown, for people; JSON.
    """
    if len(latent) != 1:
        raise ValueError("a picture is made from one latent")
    found = {
        "format": checkpoint.FORMAT,
        "kind": KIND,
        "about": about or {},
        **_described(latent),
        "seeds": list(latent.seeds),
        "latents": _packed(latent.tensor),
    }
    if latent.classes is not None:
        found["classes"] = _packed(latent.classes)
    return json.dumps(found, sort_keys=True)


def from_text(text: str, name: str) -> GANLatent:
    """The latent in a text that `to_text` made.

    Args:
        text: what the picture carries.
        name: of the picture, for the message.

    Raises:
        GenartError: when it is damaged, newer than this pack, or was tampered with.
    """
    try:
        found = json.loads(text)
        version = found["format"]
        if version > checkpoint.FORMAT:
            raise GenartError(f"{name} was made by a newer version of this pack: update the pack.")
        tensor = _unpacked(found["latents"])
        classes = _unpacked(found["classes"]) if "classes" in found else None
    except GenartError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise GenartError(
            f"The latent in {name} is damaged: take the picture as it was made."
        ) from error
    return _checked(found, tensor, classes, name)


def read_png(path: Path) -> GANLatent:
    """The latent that a picture carries.

    Raises:
        GenartError: when the file is missing or no PNG, or carries no latent or a damaged one.
    """
    text = find_text(path, KEYWORD)
    if text is None:
        raise GenartError(
            f"{path.name} carries no latent: choose a PNG that this pack made and no other "
            "program has saved since."
        )
    return from_text(text, path.name)


def _described(latent: GANLatent) -> dict[str, Any]:
    return {"space": latent.space, "model": latent.model}


def _packed(tensor: Tensor) -> dict[str, Any]:
    numbers = tensor.detach().cpu().float().contiguous().numpy().astype("<f4")
    data = base64.b64encode(numbers.tobytes()).decode("ascii")
    return {"shape": list(numbers.shape), "float32": data}


def _unpacked(found: dict[str, Any]) -> Tensor:
    """A tensor that `_packed` wrote.

    Raises:
        ValueError: when sizes and shape do not agree; and what else a foreign text brings about.
    """
    shape = [int(side) for side in found["shape"]]
    try:
        data = base64.b64decode(found["float32"], validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
    if len(shape) > 3 or min(shape, default=0) < 0 or math.prod(shape) > _LARGEST:
        raise ValueError("absurd shape")
    numbers = np.frombuffer(data, dtype="<f4").reshape(shape)
    return torch.from_numpy(numbers.astype(np.float32))


def _checked(
    found: dict[str, Any], tensor: Tensor | None, classes: Tensor | None, name: str
) -> GANLatent:
    """Latents as a file describes them, after a look at everything in it.

    Raises:
        GenartError: when parts are missing or do not agree, or numbers are not finite.
    """
    space, seeds, model = found.get("space"), found.get("seeds"), found.get("model")
    agree = (
        space in get_args(Space)
        and isinstance(model, str)
        and tensor is not None
        and tensor.dim() == _DIMENSIONS[str(space)]
        and tensor.numel() > 0
        and isinstance(seeds, list)
        and len(seeds) == len(tensor)
        and all(type(seed) is int and 0 <= seed <= NO_SEED for seed in seeds)
        and (classes is None or (classes.dim() == 2 and len(classes) == len(tensor)))
    )
    if not agree:
        raise GenartError(f"The latents in {name} are damaged: their parts do not agree.")
    parts = [part for part in (tensor, classes) if part is not None]
    if not all(part.dtype in _FLOATS and bool(part.float().isfinite().all()) for part in parts):
        raise GenartError(
            f"The latents in {name} hold numbers that are not finite, or of an unknown kind: make "
            "them again."
        )
    assert tensor is not None and isinstance(seeds, list)
    whole = None if classes is None else classes.float()
    return GANLatent(space, tensor.float(), whole, tuple(seeds), str(model))  # type: ignore[arg-type]
