"""Reads checkpoints of rosinality's stylegan2-pytorch, and NVIDIA's files converted with it.

The network is StyleGAN2 (skip) to the letter, under other names: the same scales of weights, the
same orientation of kernels, so that reading is renaming.
"""

import re
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..networks.stylegan2 import StyleGAN2
from ..networks.stylegan2_spec import resolutions
from . import stylegan2_tensors
from .network_file import NetworkFile
from .nvidia import OWN_TERMS
from .state_dicts import State, rename, tensors, with_mean_w, without_ones

_W_AVG = "mapping.w_avg"


def _side(index: str) -> int:
    """Side of the convolution (two a side) of a number, from 0 for the first of side 8."""
    return 8 << (int(index) // 2)


_NAMES = (
    (r"style\.(\d{1,3})\.(weight|bias)", lambda m: f"mapping.fc{int(m[1]) - 1}.{m[2]}"),
    (r"input\.input", "synthesis.b4.const"),
    (r"conv1\.(.+)", r"synthesis.b4.conv1.\1"),
    (r"convs\.(\d{1,2})\.(.+)", lambda m: f"synthesis.b{_side(m[1])}.conv{int(m[1]) % 2}.{m[2]}"),
    (r"to_rgb1\.(.+)", r"synthesis.b4.torgb.\1"),
    (r"to_rgbs\.(\d{1,2})\.(.+)", lambda m: f"synthesis.b{8 << int(m[1])}.torgb.{m[2]}"),
    (r"noises\.noise_0", "synthesis.b4.conv1.noise_const"),
    (
        r"noises\.noise_(\d{1,2})",
        lambda m: f"synthesis.b{_side(str(int(m[1]) - 1))}.conv{1 - int(m[1]) % 2}.noise_const",
    ),
)
_PARTS = (
    (r"(.+)\.conv\.modulation\.(weight|bias)", r"\1.affine.\2"),
    (r"(.+)\.conv\.weight", r"\1.weight"),
    (r"(.+)\.(?:conv\.blur|upsample)\.kernel", r"\1.kernel"),
    (r"(.+)\.noise\.weight", r"\1.noise_strength"),
    (r"(.+)\.activate\.bias", r"\1.bias"),
    (r"(synthesis\.b4\.const|.+\.torgb\.bias|.+\.noise_const|mapping\..+)", r"\1"),
)


def matches(tree: Any) -> bool:
    """Whether a tree is such a checkpoint, or its averaged generator alone."""
    return "conv1.conv.modulation.weight" in _generator(tree)


def _generator(tree: Any) -> State:
    found = tree.get("g_ema", tree) if isinstance(tree, dict) else None
    return tensors(found)


def read(tree: Any, name: str) -> NetworkFile:
    """The averaged generator of a checkpoint.

    Args:
        tree: what the file holds.
        name: of the file, for messages.

    Raises:
        GenartError: when tensors are missing, or of a network that is no StyleGAN2.
    """
    state = _generator(tree)
    mean = state.pop("latent_avg", tree.get("latent_avg"))
    renamed = rename(rename(state, _NAMES, name), _PARTS, name)
    ours = {key: _converted(key, tensor.float()) for key, tensor in renamed.items()}
    ours = stylegan2_tensors.without_filters(ours, ".kernel", name)
    spec = stylegan2_tensors.spec_of(ours, name)
    warnings = _add_noise(ours, spec.resolution)
    ours[_W_AVG] = torch.zeros(spec.w_dim)
    info = {"format": "rosinality/stylegan2-pytorch", "licence": OWN_TERMS, **_training(tree)}
    file = NetworkFile(StyleGAN2.family, spec, ours, info, warnings)
    if isinstance(mean, Tensor):
        return replace(file, tensors={**ours, _W_AVG: mean.flatten()})
    return with_mean_w(file, _W_AVG, name)


def _converted(key: str, tensor: Tensor) -> Tensor:
    """A tensor in the shape that our layers have it in; filters without the gain of growing."""
    if key.endswith(".kernel"):
        return tensor / 4
    if key.endswith((".noise_strength", ".torgb.bias")):
        return tensor.flatten() if key.endswith("bias") else tensor.squeeze()
    axes = 2 if key.endswith(".noise_const") else 1
    return without_ones(tensor, axes) if re.match(r"synthesis\..*(const|weight)", key) else tensor


def _add_noise(ours: State, resolution: int) -> tuple[str, ...]:
    """Constant noise where the file, an early one, has none; and a sentence on it."""
    generator = torch.Generator().manual_seed(0)
    drawn = False
    for side in resolutions(resolution):
        for conv in (f"synthesis.b{side}.conv0", f"synthesis.b{side}.conv1"):
            if f"{conv}.noise_strength" in ours and f"{conv}.noise_const" not in ours:
                ours[f"{conv}.noise_const"] = torch.randn(side, side, generator=generator)
                drawn = True
    return ("It holds no constant noise: it was drawn anew.",) if drawn else ()


def _training(tree: Any) -> dict[str, Any]:
    """The numbers among the settings of the training."""
    settings = tree.get("args")
    if not isinstance(settings, dict):
        return {}
    numbers = {str(k): v for k, v in settings.items() if isinstance(v, (bool, int, float))}
    return {"training": numbers}
