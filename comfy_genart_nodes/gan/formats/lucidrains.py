"""Reads checkpoints of lucidrains' stylegan2-pytorch (`model_<n>.pt`, since version 0.20)."""

import re
from typing import Any

import torch
from torch import Tensor

from ...errors import GenartError, shown
from ..networks.lucidrains import Lucidrains, LucidrainsSpec
from .network_file import NetworkFile
from .state_dicts import (
    TRAINERS_TERMS,
    State,
    numbers,
    rename,
    shape,
    tensors,
    with_mean_w,
    without_ones,
)

_RATE = 0.1
"""The mapping network's factor on its weights, which files do not hold: `--lr-mlp`'s default."""

_OLD_ATTENTION = re.compile(r"GE\.attns\.\d+\.[01]\.fn\.(?!fn|norm)")

_ATTENTION, _FEED = r"GE\.attns\.(\d+)\.0\.fn\.", r"GE\.attns\.(\d+)\.1\.fn\."
_NAMES = (
    (r"SE\.net\.(\d+)\.(weight|bias)", r"mapping.\1.\2"),
    (r"GE\.initial_block", "const"),
    (r"GE\.to_initial_block\.weight", "start.weight"),
    (r"GE\.initial_conv\.(weight|bias)", r"conv.\1"),
    (r"GE\.blocks\.(\d+)\.to_style(\d)\.(weight|bias)", r"blocks.\1.conv\2.affine.\3"),
    (r"GE\.blocks\.(\d+)\.to_noise(\d)\.weight", r"blocks.\1.conv\2.noise_gain"),
    (r"GE\.blocks\.(\d+)\.to_noise(\d)\.bias", r"blocks.\1.conv\2.noise_bias"),
    (r"GE\.blocks\.(\d+)\.conv(\d)\.weight", r"blocks.\1.conv\2.weight"),
    (r"GE\.blocks\.(\d+)\.to_rgb\.to_style\.(weight|bias)", r"blocks.\1.rgb.affine.\2"),
    (r"GE\.blocks\.(\d+)\.to_rgb\.conv\.weight", r"blocks.\1.rgb.weight"),
    (r"GE\.blocks\.(\d+)\.to_rgb\.upsample\.1\.f", None),
    (_ATTENTION + r"norm\.g", r"blocks.\1.attention.norm.gain"),
    (_ATTENTION + r"norm\.b", r"blocks.\1.attention.norm.bias"),
    (_ATTENTION + r"fn\.to_q\.weight", r"blocks.\1.attention.query.weight"),
    (_ATTENTION + r"fn\.to_kv\.net\.0\.weight", r"blocks.\1.attention.spread.weight"),
    (_ATTENTION + r"fn\.to_kv\.net\.1\.weight", r"blocks.\1.attention.key_value.weight"),
    (_ATTENTION + r"fn\.to_out\.(weight|bias)", r"blocks.\1.attention.project.\2"),
    (_FEED + r"norm\.g", r"blocks.\1.feed.norm.gain"),
    (_FEED + r"norm\.b", r"blocks.\1.feed.norm.bias"),
    (_FEED + r"fn\.0\.(weight|bias)", r"blocks.\1.feed.widen.\2"),
    (_FEED + r"fn\.2\.(weight|bias)", r"blocks.\1.feed.narrow.\2"),
)


def matches(tree: Any) -> bool:
    """Whether a tree is such a checkpoint."""
    return isinstance(tree, dict) and bool(tensors(tree.get("GAN"), "GE.blocks."))


def read(tree: Any, name: str) -> NetworkFile:
    """The averaged generator and mapping network of a checkpoint.

    Args:
        tree: what the file holds.
        name: of the file, for messages.

    Raises:
        GenartError: when tensors are missing, of other shapes, or of a version before 0.20.
    """
    gan = tree["GAN"]
    state = {key: value for key, value in tensors(gan).items() if key.startswith(("GE.", "SE."))}
    if "GE.initial_conv.weight" not in state or any(map(_OLD_ATTENTION.match, state)):
        raise GenartError(
            f"{name} is of an old version of lucidrains' stylegan2-pytorch that cannot be read: "
            "with attention, the versions from 1.8 can, without, those from 0.20."
        )
    spec = _spec(state, name)
    renamed = rename(state, _NAMES, name)
    ours = {key: _converted(key, tensor) for key, tensor in renamed.items()}
    ours["mean"] = torch.zeros(spec.w_dim)
    info = {
        "format": "lucidrains/stylegan2-pytorch",
        "version": shown(tree.get("version", "before 1.2.5")),
        "licence": TRAINERS_TERMS,
    }
    return with_mean_w(NetworkFile(Lucidrains.family, spec, ours, info), "mean", name)


def _spec(state: State, name: str) -> LucidrainsSpec:
    blocks = numbers(state, r"GE\.blocks\.(\d{1,2})\.")
    widths = [shape(state, f"GE.blocks.{i}.conv2.weight", 4, name)[0] for i in blocks]
    return LucidrainsSpec(
        z_dim=shape(state, "SE.net.0.weight", 2, name)[1],
        mapping_layers=len(numbers(state, r"SE\.net\.(\d{1,3})\.")),
        widths=tuple(widths),
        img_channels=shape(state, "GE.blocks.0.to_rgb.conv.weight", 4, name)[0],
        constant="GE.initial_block" in state,
        blurred="GE.blocks.0.to_rgb.upsample.1.f" in state,
        attention=numbers(state, r"GE\.attns\.(\d{1,2})\."),
    )


def _converted(key: str, tensor: Tensor) -> Tensor:
    """A tensor as our layers use it: what the original adds or multiplies at each use is in it."""
    tensor = tensor.float()
    if key == "const":
        return without_ones(tensor, 1)
    if key.startswith("mapping."):
        return tensor * _RATE
    if key.endswith("affine.bias"):
        return tensor + 1
    return tensor.flatten() if key.endswith(("noise_gain", "norm.gain", "norm.bias")) else tensor
