"""Help for readers of state dicts: pick tensors, rename them, and find the mean of w."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ...errors import GenartError, shown
from ..checkpoint import assemble
from .network_file import NetworkFile

State = dict[str, Tensor]

Table = Sequence[tuple[str, str | Callable[[re.Match[str]], str] | None]]
"""Patterns of whole names, and what replaces them; None to leave the tensor aside."""

TRAINERS_TERMS = "Whoever trained it decides on its use."
"""What is known of the licence of networks that people trained with a free tool."""

_SAMPLES = 4096


def tensors(tree: object, prefix: str = "") -> State:
    """Those tensors of a state dict whose names begin with a prefix, which is removed."""
    if not isinstance(tree, dict):
        return {}
    return {
        name[len(prefix) :]: value
        for name, value in tree.items()
        if isinstance(name, str) and name.startswith(prefix) and isinstance(value, Tensor)
    }


def numbers(state: State, pattern: str) -> tuple[int, ...]:
    """The numbers, in rising order, that the names of tensors have in the group of a pattern."""
    found = (re.match(pattern, key) for key in state)
    return tuple(sorted({int(match[1]) for match in found if match}))


def shape(state: State, key: str, axes: int, name: str) -> tuple[int, ...]:
    """The shape of a tensor that must be there.

    Args:
        state: the tensors.
        key: which one.
        axes: how many it must have.
        name: of the file, for the message.

    Raises:
        GenartError: when it is missing or has other axes.
    """
    if key not in state or state[key].dim() != axes:
        raise GenartError(
            f"{name} is not whole, or of a version that is not known here: its tensor {key} is "
            "missing or of another shape."
        )
    return tuple(state[key].shape)


def without_ones(tensor: Tensor, axes: int) -> Tensor:
    """A tensor without its first axes, if they are all of length 1."""
    if tensor.shape[:axes] != (1,) * axes:
        return tensor
    return tensor.reshape(tensor.shape[axes:])


def rename(state: State, table: Table, name: str) -> State:
    """Tensors under the names of our modules.

    Args:
        state: the tensors, as the file calls them.
        table: the first pattern that fits decides.
        name: of the file, for the message.

    Raises:
        GenartError: when no pattern fits a tensor.
    """
    renamed = {}
    for key, tensor in state.items():
        fits = [(p, new) for p, new in table if re.fullmatch(p, key)]
        if not fits:
            raise GenartError(
                f"{name} is of a version that is not known here: it holds a tensor "
                f"{shown(key, 80)}."
            )
        pattern, new = fits[0]
        if new is not None:
            renamed[re.sub(pattern, new, key)] = tensor
    return renamed


def with_mean_w(file: NetworkFile, key: str, name: str) -> NetworkFile:
    """The same network with the mean of w, for files that do not hold it: over fixed draws of z.

    Args:
        file: the network, any tensor of the right shape in the mean's place.
        key: the mean's name.
        name: of the file, for the message.

    Raises:
        GenartError: when the tensors do not fit the spec.
    """
    if not 1 <= file.spec.z_dim <= 1 << 13:
        raise GenartError(f"{name} has latents of {file.spec.z_dim} numbers, which is absurd.")
    gan = assemble(file.family, file.spec, file.tensors, {}, name)
    random, total = np.random.RandomState(0), torch.zeros(file.spec.w_dim)
    with torch.no_grad():
        for _ in range(_SAMPLES // 256):
            z = torch.from_numpy(random.randn(256, file.spec.z_dim)).float()
            total += gan.generator.map(z).sum(dim=0)
    mean = total / _SAMPLES
    sentence = f"It holds no mean of w: it was found anew from {_SAMPLES} draws of z."
    return replace(file, tensors={**file.tensors, key: mean}, warnings=(*file.warnings, sentence))
