"""Reads checkpoints of lucidrains' lightweight-gan (`model_<n>.pt`, since version 0.16)."""

import re
from typing import Any

from torch import Tensor

from ...errors import GenartError, shown
from ..networks.lightweight import Lightweight, LightweightSpec
from .network_file import NetworkFile
from .state_dicts import TRAINERS_TERMS, State, numbers, rename, shape, tensors, without_ones

_EPSILON = 1e-5
"""What the original's batch normalisation adds to the variance."""

_ADDED_CONTEXT, _BILINEAR = (0, 16), ((0, 21), (0, 21, 4))
"""Versions: before the first, context was added; between the next, features grew bilinearly."""

_ODD_SHUFFLE, _ODD_ATTENTION = (1, 0), (0, 21, 1)
"""Versions with layers of their own."""

_NORM = r"(weight|bias|running_mean|running_var)"
_NAMES = (
    (r"initial_conv\.0\.(weight|bias)", r"start.\1"),
    (r"initial_conv\.1\." + _NORM, r"norm.start.\1"),
    (r".*num_batches_tracked", None),
    (r"layers\.(\d+)\.0\.0\.net\.0\.(weight|bias)", r"blocks.\1.shuffle.\2"),
    (r"layers\.(\d+)\.0\.1\.f", None),
    (r"layers\.(\d+)\.0\.2\.(?:1\.)?(weight|bias)", r"blocks.\1.conv.\2"),
    (r"layers\.(\d+)\.1\.to_k\.(weight|bias)", r"blocks.\1.excite.score.\2"),
    (r"layers\.(\d+)\.1\.dct_weights", r"blocks.\1.excite.waves"),
    (r"layers\.(\d+)\.1\.net\.0\.(weight|bias)", r"blocks.\1.excite.squeeze.\2"),
    (r"layers\.(\d+)\.1\.net\.2\.(weight|bias)", r"blocks.\1.excite.expand.\2"),
    (r"layers\.(\d+)\.2\.norm\.g", r"blocks.\1.attention.norm.gain"),
    (r"layers\.(\d+)\.2\.norm\.b", r"blocks.\1.attention.norm.bias"),
    (r"layers\.(\d+)\.2\.fn\.to_out\.(weight|bias)", r"blocks.\1.attention.project.\2"),
    (r"out_conv\.(weight|bias)", r"out.\1"),
)
_NOISY = (
    (r"layers\.(\d+)\.0\.3\.weight", r"blocks.\1.noise_gain"),
    (r"layers\.(\d+)\.0\.4\." + _NORM, r"norm.blocks.\1.conv.\2"),
)
_CALM = ((r"layers\.(\d+)\.0\.3\." + _NORM, r"norm.blocks.\1.conv.\2"),)
_GLOBAL = (
    (r"layers\.(\d+)\.2\.fn\.to_q\.weight", r"blocks.\1.attention.query.weight"),
    (r"layers\.(\d+)\.2\.fn\.to_kv\.net\.0\.weight", r"blocks.\1.attention.spread.weight"),
    (r"layers\.(\d+)\.2\.fn\.to_kv\.net\.1\.weight", r"blocks.\1.attention.key_value.weight"),
)
_LOCAL = (
    (r"layers\.(\d+)\.2\.fn\.to_lin_q\.weight", r"blocks.\1.attention.query.weight"),
    (r"layers\.(\d+)\.2\.fn\.to_lin_kv\.net\.0\.weight", r"blocks.\1.attention.spread.weight"),
    (r"layers\.(\d+)\.2\.fn\.to_lin_kv\.net\.1\.weight", r"blocks.\1.attention.key_value.weight"),
    (r"layers\.(\d+)\.2\.fn\.to_q\.weight", r"blocks.\1.attention.local_query.weight"),
    (r"layers\.(\d+)\.2\.fn\.to_kv\.weight", r"blocks.\1.attention.local_key_value.weight"),
)


def matches(tree: Any) -> bool:
    """Whether a tree is such a checkpoint."""
    return isinstance(tree, dict) and bool(tensors(tree.get("GAN"), "GE.layers."))


def read(tree: Any, name: str) -> NetworkFile:
    """The averaged generator of a checkpoint.

    Args:
        tree: what the file holds.
        name: of the file, for messages.

    Raises:
        GenartError: when tensors are missing, of other shapes, or of a version before 0.16.
    """
    state = tensors(tree["GAN"], "GE.")
    written = shown(tree.get("version", ""))
    version = tuple(int(number) for number in re.findall(r"\d{1,4}", written)[:3])
    spec = _spec(state, version, name)
    old = spec.growing != "shuffle" and version < _ADDED_CONTEXT
    if old or version[:2] == _ODD_SHUFFLE or (spec.attention and version == _ODD_ATTENTION):
        raise GenartError(
            f"{name} is of version {written or 'unknown'} of lightweight-gan, which cannot be "
            "read: the versions from 0.16 can, but 1.0, and 0.21.1 where there is attention."
        )
    table = _NAMES + (_NOISY if spec.noisy else _CALM) + (_LOCAL if spec.local else _GLOBAL)
    ours = {
        key: _converted(key, tensor.float()) for key, tensor in rename(state, table, name).items()
    }
    _fold(ours, "start", 1, name)
    for i in range(len(spec.widths)):
        _fold(ours, f"blocks.{i}.conv", 0, name)
    info = {
        "format": "lucidrains/lightweight-gan",
        "version": written,
        "licence": TRAINERS_TERMS,
    }
    return NetworkFile(Lightweight.family, spec, ours, info)


def _spec(state: State, version: tuple[int, ...], name: str) -> LightweightSpec:
    blocks = numbers(state, r"layers\.(\d{1,2})\.")
    noisy = "layers.0.0.3.running_mean" not in state
    part = "1." if "layers.0.0.2.1.weight" in state else ""
    convs = [shape(state, f"layers.{i}.0.2.{part}weight", 4, name) for i in blocks or (0,)]
    growing = "nearest"
    if "layers.0.0.0.net.0.weight" in state:
        growing = "shuffle"
    elif _BILINEAR[0] <= version < _BILINEAR[1]:
        growing = "bilinear"
    return LightweightSpec(
        z_dim=shape(state, "initial_conv.0.weight", 4, name)[0],
        widths=tuple(conv[0] // 2 for conv in convs),
        img_channels=shape(state, "out_conv.weight", 4, name)[0],
        growing=growing,
        kernel=convs[0][2],
        blurred="layers.0.0.1.f" in state,
        noisy=noisy,
        excitation="frequency" if any("dct_weights" in key for key in state) else "context",
        attention=numbers(state, r"layers\.(\d{1,2})\.2\."),
        local=not any(".2.fn.to_kv.net." in key for key in state),
    )


def _converted(key: str, tensor: Tensor) -> Tensor:
    """A tensor in the shape that our layers have it in."""
    if key.endswith(("attention.norm.gain", "attention.norm.bias")):
        return tensor.flatten()
    if re.search(r"excite\.(squeeze|expand)\.weight", key):
        return tensor[:, :, 0, 0] if tensor.shape[2:] == (1, 1) else tensor
    return without_ones(tensor, 1) if key.endswith("excite.waves") else tensor


def _fold(state: State, layer: str, axis: int, name: str) -> None:
    """Make a batch normalisation part of the convolution (and the noise) before it.

    Args:
        state: our tensors, and the normalisation's under `norm.`; changed in place.
        layer: the convolution.
        axis: of its weight, which counts the channels it makes.
        name: of the file, for the message.
    """
    norm = {}
    for part in ("weight", "bias", "running_mean", "running_var"):
        shape(state, f"norm.{layer}.{part}", 1, name)
        norm[part] = state.pop(f"norm.{layer}.{part}")
    count = shape(state, f"{layer}.weight", 4, name)[axis]
    lengths = {len(tensor) for tensor in norm.values()}
    gain = layer.removesuffix("conv") + "noise_gain"
    noises = shape(state, gain, 1, name) if gain in state else (1,)
    if lengths | {*shape(state, f"{layer}.bias", 1, name)} != {count} or noises != (1,):
        raise GenartError(f"{name} is not whole: the parts of its layer {layer} do not fit.")
    scale = norm["weight"] * (norm["running_var"] + _EPSILON).rsqrt()
    state[f"{layer}.weight"] = state[f"{layer}.weight"] * scale.view(-1, *[1] * (3 - axis))
    state[f"{layer}.bias"] = (state[f"{layer}.bias"] - norm["running_mean"]) * scale + norm["bias"]
    if gain in state:
        state[gain] = state[gain] * scale
