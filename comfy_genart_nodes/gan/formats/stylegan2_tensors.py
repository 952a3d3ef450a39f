"""A StyleGAN2 from its tensors alone, under the names that NVIDIA's PyTorch code gives them.

Those names are ours too. All that a spec holds can be seen from shapes, so a file's word for it is
not needed; what the file has beside (filters) is checked and dropped, what it lacks (noise that was
switched off) is filled in.
"""

import re

import torch
from torch import Tensor

from ...errors import GenartError, shown
from ..networks.stylegan2_spec import StyleGAN2Spec, resolutions
from . import mapping_tensors
from .state_dicts import shape

_FILTER = torch.outer(*[torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8] * 2)
_SIDE = re.compile(r"synthesis\.b(\d{1,5})\.conv1\.weight")
_CONV = re.compile(r"(synthesis\.b(\d{1,5})\.conv[01])\.weight")


def matches(tensors: dict[str, Tensor]) -> bool:
    """Whether these are the tensors of a StyleGAN2 under NVIDIA's names."""
    return any(_SIDE.fullmatch(key) for key in tensors) and "mapping.fc0.weight" in tensors


def spec_of(tensors: dict[str, Tensor], name: str, conv_clamp: object = None) -> StyleGAN2Spec:
    """The spec that the shapes tell.

    Of all channel bases that give these widths, the least.

    Args:
        tensors: the network's, at least its weights.
        name: of the file, for the message.
        conv_clamp: the spec's, which no shape tells; anything but a number stands for none.

    Raises:
        GenartError: when tensors are missing or no StyleGAN2 has such shapes.
    """

    def size(key: str, axes: int, axis: int) -> int:
        return shape(tensors, key, axes, name)[axis]

    sides = sorted(int(found[1]) for key in tensors if (found := _SIDE.fullmatch(key)))
    if not sides:
        raise GenartError(f"{name} is not a whole StyleGAN2: it lacks its convolutions.")
    widths = {side: size(f"synthesis.b{side}.conv1.weight", 4, 0) for side in sides}
    w_dim = size(f"synthesis.b{sides[0]}.conv1.affine.weight", 2, 1)
    return StyleGAN2Spec(
        resolution=sides[-1],
        img_channels=size(f"synthesis.b{sides[-1]}.torgb.weight", 4, 0),
        channel_base=max(side * width for side, width in widths.items()),
        channel_max=max(widths.values()),
        architecture=_architecture(tensors, sides),
        conv_clamp=float(conv_clamp) if isinstance(conv_clamp, (int, float)) else 0.0,
        **mapping_tensors.sizes(tensors, w_dim, name),
    )


def _architecture(tensors: dict[str, Tensor], sides: list[int]) -> str:
    if any(f"synthesis.b{side}.torgb.weight" in tensors for side in sides[:-1]):
        return "skip"
    return "resnet" if f"synthesis.b{sides[-1]}.skip.weight" in tensors else "orig"


def finish(
    tensors: dict[str, Tensor], spec: StyleGAN2Spec, mapping_rate: object, name: str
) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors as our network takes them, and sentences on what was filled in.

    Args:
        tensors: the network's.
        spec: its shapes.
        mapping_rate: as `mapping_tensors.finish` takes it.
        name: of the file, for the message.

    Raises:
        GenartError: when it resamples with another filter than ours.
    """
    kept = without_filters(tensors, "resample_filter", name)
    kept, warnings = mapping_tensors.finish(kept, spec.w_dim, mapping_rate)
    sides = resolutions(spec.resolution)
    for key in tensors:
        found = _CONV.fullmatch(key)
        side = int(found[2]) if found else 0
        if found and side in sides and f"{found[1]}.noise_strength" not in kept:  # no noise
            kept[f"{found[1]}.noise_strength"] = torch.zeros([])
            kept[f"{found[1]}.noise_const"] = torch.zeros(side, side)
    return kept, warnings


def without_filters(tensors: dict[str, Tensor], ending: str, name: str) -> dict[str, Tensor]:
    """All tensors but the resampling filters, which must be [1, 3, 3, 1].

    Args:
        tensors: a network's.
        ending: of its filters' names.
        name: of the file, for the message.

    Raises:
        GenartError: when it has another filter.
    """
    kept = {}
    for key, tensor in tensors.items():
        if not key.endswith(ending):
            kept[key] = tensor
        elif tensor.shape != _FILTER.shape or not torch.allclose(
            tensor.float(), _FILTER, atol=1e-4
        ):
            raise GenartError(
                f"{name} resamples with another filter than [1, 3, 3, 1], the only one this pack "
                f"knows ({shown(key, 80)})."
            )
    return kept
