"""Weights as diffusers keeps them: safetensors or .bin, whole or in parts with an index.

A `.bin` is a pickle, and goes through the same machine as pickled GANs, which runs nothing.
"""

import json
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import GenartError, shown
from ..gan.checkpoint import read
from ..gan.formats.torch_files import open_pickle

STEM = "diffusion_pytorch_model"
"""The name of diffusers' files, without what follows a point."""
_SUFFIXES = (".safetensors", ".bin")

# Attention as files name it that diffusers wrote before 0.18.
_RENAMED = (
    ("query", "to_q"),
    ("key", "to_k"),
    ("value", "to_v"),
    ("proj_attn", "to_out.0"),
)


def weight_files(path: Path) -> list[Path]:
    """The files with an autoencoder's weights, those that nothing can hide in first.

    Args:
        path: the folder of its config, or the one file.

    Raises:
        GenartError: when there are none.
    """
    if path.is_file():
        return [path]
    for suffix in _SUFFIXES:
        whole, index = path / f"{STEM}{suffix}", path / f"{STEM}{suffix}.index.json"
        variants = sorted(path.glob(f"{STEM}*{suffix}"))
        if whole.is_file():
            return [whole]
        if index.is_file():
            return _parts(index)
        if variants:
            return variants[:1]
    raise GenartError(
        f"{path.name} has a config, but no {STEM}.safetensors and no {STEM}.bin: copy the whole "
        "folder."
    )


def _parts(index: Path) -> list[Path]:
    """The files that an index names, which lie beside it."""
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        plain = all(Path(name).name == name and "\\" not in name for name in names)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise GenartError(f"{index.name} is no list of files: copy it again.") from error
    suffix = next(suffix for suffix in _SUFFIXES if f"{suffix}." in index.name)
    if not names or not plain or not all(name.endswith(suffix) for name in names):
        raise GenartError(
            f"{index.name} names files that do not lie beside it: copy the whole folder again."
        )
    return [index.parent / name for name in sorted(names)]


def read_weights(files: list[Path]) -> dict[str, Tensor]:
    """All tensors of some files, mostly mapped and not in memory yet; copy them, never change them.

    Raises:
        GenartError: when a file is missing, damaged, or holds anything but tensors.
    """
    found: dict[str, Tensor] = {}
    for file in files:
        if not file.is_file():
            raise GenartError(f"{file.name} is missing: copy the whole folder again.")
        found |= read(file) if file.suffix == ".safetensors" else _pickled(file)
    return found


def _pickled(path: Path) -> dict[str, Tensor]:
    """The tensors of a file of `torch.save`."""
    tree: Any = open_pickle(path)
    if not isinstance(tree, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in tree.items()
    ):
        raise GenartError(
            f"{path.name} holds something else than weights: save it as safetensors, or choose "
            "another."
        )
    return tree


def fitted(found: dict[str, Tensor], wanted: nn.Module, what: str, name: str) -> dict[str, Tensor]:
    """The tensors under the names of a network's, once all their shapes are the same.

    Args:
        found: the tensors of the files.
        wanted: the network; may be on the meta device.
        what: its class, for the message.
        name: of the file or folder, for the message.

    Raises:
        GenartError: when tensors are missing, too many or of another shape.
    """
    shapes = {key: tuple(value.shape) for key, value in wanted.state_dict().items()}
    state = {todays_name(key): value for key, value in found.items()}
    wrong = sorted(set(shapes.items()) ^ {(k, tuple(v.shape)) for k, v in state.items()})
    if not wrong:
        return state
    if any(re.match(r"(encoder\.down|taesd_encoder|first_stage_model)\.", key) for key in found):
        raise GenartError(
            f"The weights of {name} are in ComfyUI's layout, not in that of diffusers: choose the "
            "file in ComfyUI's own Load VAE, which needs no config."
        )
    raise GenartError(
        f"The weights of {name} are not those of the {what} in its config: tensor "
        f"{shown(wrong[0][0], 80)} is missing, unknown or of another shape; copy both again."
    )


def todays_name(key: str) -> str:
    """A tensor's name as today's diffusers calls it, of attention in a middle block."""
    for old, new in _RENAMED:
        key = re.sub(rf"(\.attentions\.\d+)\.{old}\.(weight|bias)$", rf"\1.{new}.\2", key)
    return key


def fill(network: nn.Module, state: dict[str, Tensor], name: str) -> None:
    """Copy tensors into a network's own, in its own dtype.

    Raises:
        GenartError: when they are of a kind that only some processors compute with.
    """
    with torch.no_grad():
        for key, own in network.state_dict().items():
            try:
                own.copy_(state[key])
            except (NotImplementedError, RuntimeError) as error:
                raise GenartError(
                    f"{name} holds the tensor {key} in {state[key].dtype}, which cannot be read: "
                    "save it in float32 or bfloat16."
                ) from error
