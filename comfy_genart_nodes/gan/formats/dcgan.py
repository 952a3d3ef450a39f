"""DCGAN files: a PyTorch state dict of transposed convolutions and batch normalisations in a row.

Tutorials and their descendants call modules and checkpoint keys differently (`main.3.weight`,
`net.1.0.weight`; `netG`, `generator`, `G_state_dict`), but all keep them in the order of the
layers. That order and the shapes say everything.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch

from ..networks.dcgan import DCGAN, DCGANSpec
from .nested import state_dicts
from .network_file import NetworkFile
from .state_dicts import TRAINERS_TERMS, State


def matches(tree: Any) -> bool:
    """Whether a tree holds a DCGAN generator."""
    return next(_generators(tree), None) is not None


def read(tree: Any, name: str) -> NetworkFile:
    """The DCGAN generator in a tree that `matches`; an averaged one, where there are several.

    Args:
        tree: what the file holds.
        name: of the file, for messages.

    Raises:
        GenartError: when no DCGAN has such sizes.
    """
    path, layers = max(_generators(tree), key=lambda found: "ema" in found[0].lower())
    convolutions, norms = layers[0::2], layers[1::2]
    last = convolutions[-1]
    spec = DCGANSpec(
        widths=tuple(layer["weight"].shape[0] for layer in convolutions[1:]),
        z_dim=convolutions[0]["weight"].shape[0],
        img_channels=last["weight"].shape[1],
        bias="bias" in last,
    )
    ours: State = {}
    for i, convolution in enumerate(convolutions[:-1]):
        ours[f"main.{3 * i}.weight"] = convolution["weight"]
        for key, tensor in _whole(norms[i], convolution).items():
            ours[f"main.{3 * i + 1}.{key}"] = tensor
    for key, tensor in last.items():
        ours[f"main.{3 * len(norms)}.{key}"] = tensor
    info = {"format": "DCGAN (PyTorch)", "licence": TRAINERS_TERMS}
    info = {**info, "weights": path} if path else info
    return NetworkFile(DCGAN.family, spec, ours, info)


def _whole(norm: State, convolution: State) -> State:
    """A batch normalisation with all its tensors.

    It subtracts the mean of what comes before, a bias of the convolution included: without that
    bias the mean is as much smaller.
    """
    mean = norm["running_mean"].float()
    return {
        "weight": norm.get("weight", torch.ones_like(mean)),
        "bias": norm.get("bias", torch.zeros_like(mean)),
        "running_mean": mean - convolution.get("bias", torch.zeros_like(mean)).float(),
        "running_var": norm["running_var"],
        "num_batches_tracked": norm.get("num_batches_tracked", torch.zeros([])),
    }


def _generators(tree: Any) -> Iterator[tuple[str, list[State]]]:
    """Every DCGAN generator in a tree: where, and its layers in their order."""
    for path, tensors in state_dicts(tree):
        layers: dict[str, State] = {}
        for key, tensor in tensors.items():
            module, _, part = key.rpartition(".")
            layers.setdefault(module, {})[part] = tensor
        if _is_generator(list(layers.values())):
            yield path, list(layers.values())


def _is_generator(layers: list[State]) -> bool:
    """Whether layers are transposed convolutions, with a normalisation after all but the last.

    The channels of neighbouring weights meet; in a discriminator they do not.
    """
    convolutions, norms = layers[0::2], layers[1::2]
    if len(norms) < 1 or len(convolutions) != len(norms) + 1:
        return False
    if not all(map(_is_convolution, convolutions)):
        return False
    weights = [layer["weight"] for layer in convolutions]
    return all(a.shape[1] == b.shape[0] for a, b in pairwise(weights)) and all(
        _is_normalisation(norm, weight.shape[1])
        for norm, weight in zip(norms, weights, strict=False)
    )


def _is_convolution(layer: State) -> bool:
    if not {"weight"} <= layer.keys() <= {"weight", "bias"}:
        return False
    shape = layer["weight"].shape
    bias = layer.get("bias")
    return len(shape) == 4 and shape[2:] == (4, 4) and (bias is None or bias.shape == shape[1:2])


def _is_normalisation(layer: State, channels: int) -> bool:
    statistics = {"running_mean", "running_var"}
    known = statistics | {"weight", "bias", "num_batches_tracked"}
    if not statistics <= layer.keys() <= known:
        return False
    shapes = {key: tuple(tensor.shape) for key, tensor in layer.items()}
    return shapes.pop("num_batches_tracked", ()) == () and set(shapes.values()) == {(channels,)}
