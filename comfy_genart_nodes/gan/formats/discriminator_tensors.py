"""A StyleGAN2 discriminator from its tensors, under the names that NVIDIA's PyTorch code has.

Those names are ours too. StyleGAN3's tool trains the same discriminator.
"""

import dataclasses
import re

import torch
from torch import Tensor

from ..checkpoint import LoadedDiscriminator
from ..networks.discriminator import Discriminator, DiscriminatorSpec
from .state_dicts import shape
from .stylegan2_tensors import without_filters

_BLOCK = re.compile(r"b(\d{1,5})\.conv1\.weight")
_EPILOGUE = re.compile(r"b(\d{1,5})\.out\.weight")
_LAYER = re.compile(r"mapping\.fc\d{1,3}\.weight")


def read(tensors: dict[str, Tensor], name: str) -> LoadedDiscriminator | None:
    """The discriminator, None where these are the tensors of another one, or it has other parts.

    Args:
        tensors: a network's.
        name: of the file, for messages.

    Raises:
        GenartError: when it resamples with another filter than ours, or is not whole.
    """
    sides = sorted(int(found[1]) for key in tensors if (found := _BLOCK.fullmatch(key)))
    ends = [int(found[1]) for key in tensors if (found := _EPILOGUE.fullmatch(key))]
    if not sides or ends != [sides[0] // 2] or f"b{sides[-1]}.fromrgb.weight" not in tensors:
        return None
    spec = _spec(tensors, sides, name)
    kept = without_filters(tensors, "resample_filter", name)
    with torch.device("meta"):
        ours = Discriminator(spec)
    wanted = {key: tensor.shape for key, tensor in ours.state_dict().items()}
    if wanted != {key: tensor.shape for key, tensor in kept.items()}:
        return None  # another architecture, or no minibatch statistics
    plain = {key: tensor.float() for key, tensor in kept.items()}
    return LoadedDiscriminator(dataclasses.asdict(spec), plain)


def _spec(tensors: dict[str, Tensor], sides: list[int], name: str) -> DiscriminatorSpec:
    widths = {side: shape(tensors, f"b{side}.conv0.weight", 4, name)[0] for side in sides}
    widths[sides[0] // 2] = shape(tensors, f"b{sides[0]}.conv1.weight", 4, name)[0]
    residual = f"b{sides[-1]}.skip.weight" in tensors
    classes = "mapping.embed.weight" in tensors
    return DiscriminatorSpec(
        resolution=sides[-1],
        c_dim=shape(tensors, "mapping.embed.weight", 2, name)[1] if classes else 0,
        img_channels=shape(tensors, f"b{sides[-1]}.fromrgb.weight", 4, name)[1],
        channel_base=max(side * width for side, width in widths.items()),
        channel_max=max(widths.values()),
        mapping_layers=sum(1 for key in tensors if _LAYER.fullmatch(key)),
        architecture="resnet" if residual else "skip",
    )
