"""The mapping network of StyleGAN2 and StyleGAN3 from its tensors, under NVIDIA's names."""

import re

import torch
from torch import Tensor

from ...errors import GenartError
from .state_dicts import shape

_RATE = 0.01
_LAYER = re.compile(r"mapping\.fc(\d{1,3})\.weight")


def sizes(tensors: dict[str, Tensor], w_dim: int, name: str) -> dict[str, int]:
    """`z_dim`, `w_dim`, `c_dim` and `mapping_layers` of a spec, as the shapes tell them.

    Args:
        tensors: the network's.
        w_dim: length of w.
        name: of the file, for the message.

    Raises:
        GenartError: when tensors are missing, or the mapping network is wider than w.
    """
    layers = [key for key in tensors if _LAYER.fullmatch(key)]
    embedding = [key for key in ("mapping.embed.weight",) if key in tensors]
    for key in [*layers, *embedding]:
        width = shape(tensors, key, 2, name)[0]
        if width != w_dim:
            raise GenartError(
                f"{name} has a mapping network of width {width} for w of length {w_dim} ({key}); "
                "only networks where both are the same can be read."
            )
    into = shape(tensors, "mapping.fc0.weight", 2, name)[1]
    return {
        "z_dim": into - w_dim if embedding else into,
        "w_dim": w_dim,
        "c_dim": tensors[embedding[0]].shape[1] if embedding else 0,
        "mapping_layers": len(layers),
    }


def finish(
    tensors: dict[str, Tensor], w_dim: int, rate: object
) -> tuple[dict[str, Tensor], list[str]]:
    """A network's tensors with its mapping's as ours has them, and sentences on what was missing.

    Args:
        tensors: the network's.
        w_dim: length of w.
        rate: the learning rate's factor in the mapping network, which scales its weights and
            biases; anything but a number stands for the usual one.
    """
    ours, warnings = dict(tensors), []
    if "mapping.w_avg" not in ours:
        ours["mapping.w_avg"] = torch.zeros(w_dim)
        warnings.append("It recorded no mean of w: truncation pulls towards zero.")
    if isinstance(rate, (int, float)) and rate != _RATE:
        for key in tensors:
            if key.startswith("mapping.fc"):
                ours[key] = tensors[key].float() * (rate / _RATE)
    return ours, warnings
