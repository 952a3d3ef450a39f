"""An R3GAN from its tensors alone: its files record no settings, but shapes tell all of them."""

import re

from torch import Tensor

from ..networks.r3gan import R3GANSpec
from .state_dicts import shape
from .stylegan2_tensors import without_filters

_PREFIX = "Model."
_BLOCK = re.compile(r"MainLayers\.(\d)\.Layers\.(\d{1,3})\.LinearLayer2\.Layer\.weight")
_START = "MainLayers.0.Layers.0.LinearLayer.weight"


def named(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors without the name of the module around the network, if there is one."""
    return {key.removeprefix(_PREFIX): tensor for key, tensor in tensors.items()}


def matches(tensors: dict[str, Tensor]) -> bool:
    """Whether these are the tensors of an R3GAN generator."""
    return _START in named(tensors)


def spec_of(tensors: dict[str, Tensor], name: str) -> R3GANSpec:
    """The spec that the shapes tell.

    Args:
        tensors: the network's, as `named` gives them.
        name: of the file, for the message.

    Raises:
        GenartError: when tensors are missing or no R3GAN has such shapes.
    """
    stages: dict[int, int] = {}
    for key in tensors:
        if found := _BLOCK.fullmatch(key):
            stages[int(found[1])] = stages.get(int(found[1]), 0) + 1
    widths, cardinalities, expansion, kernel = [], [], 1, 3
    for stage in range(len(stages)):
        block = f"MainLayers.{stage}.Layers.1.LinearLayer"
        wide, grouped, _, kernel = shape(tensors, f"{block}2.Layer.weight", 4, name)
        widths.append(shape(tensors, f"{block}3.Layer.weight", 4, name)[0])
        cardinalities.append(wide // max(grouped, 1))
        expansion = wide // max(widths[-1], 1)
    embedded, classes = 0, 0
    if "EmbeddingLayer.weight" in tensors:
        embedded, classes = shape(tensors, "EmbeddingLayer.weight", 2, name)
    return R3GANSpec(
        widths=tuple(widths),
        cardinalities=tuple(cardinalities),
        blocks=tuple(stages[stage] for stage in sorted(stages)),
        expansion=expansion,
        kernel=kernel,
        z_dim=shape(tensors, _START, 2, name)[1] - embedded,
        c_dim=classes,
        embed_dim=embedded,
        img_channels=shape(tensors, "AggregationLayer.Layer.weight", 4, name)[0],
    )


def finish(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors as our network takes them.

    Raises:
        GenartError: when it resamples with another filter than ours.
    """
    return without_filters(tensors, "Resampler.Kernel", name)
