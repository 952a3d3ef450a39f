"""FastGAN files, as the forks of its PyTorch code save them.

A dict of `g` (and `d`): state dicts with spectrally normalised convolutions. In `all_<n>.pth` the
averaged weights stand beside `g` as a bare list `g_ema`; in `<n>.pth` they are in `g` already.
"""

from typing import Any

from torch import Tensor

from ...errors import GenartError, shown
from ..networks.fastgan import FastGAN, FastGANSpec
from .nested import state_dicts
from .network_file import NetworkFile
from .state_dicts import TRAINERS_TERMS, State, rename, shape

_START, _END = "init.init.0.weight", "to_big.weight"
_SPECTRAL = (  # names of PyTorch's newer spectral normalisation, in those of the older
    ("parametrizations.weight.original", "weight_orig"),
    ("parametrizations.weight.0._u", "weight_u"),
    ("parametrizations.weight.0._v", "weight_v"),
)
_BUFFERS = ("weight_u", "weight_v", "running_mean", "running_var", "num_batches_tracked")
_KNOWN = r"(init\.init\.[01]|feat_\d+\.[1-7]|se_\d+\.main\.[13]|to_big|to_128)\.\w+"
_SQUASHED = 1024  # the one side whose pictures the original code squashes by tanh


def matches(tree: Any) -> bool:
    """Whether a tree holds a FastGAN generator."""
    return bool(_generators(tree))


def read(tree: Any, name: str) -> NetworkFile:
    """The FastGAN generator in a tree that `matches`; with averaged weights, where there are any.

    Args:
        tree: what the file holds.
        name: of the file, for messages.

    Raises:
        GenartError: when tensors are missing, unknown, or of other shapes.
    """
    path, state = max(_generators(tree), key=lambda found: "ema" in found[0].lower())
    warnings: tuple[str, ...] = ()
    averaged = tree.get("g_ema") if isinstance(tree, dict) else None
    if isinstance(averaged, list):
        if (better := _with_parameters(state, averaged)) is not None:
            path, state = "g_ema", better
        else:
            warnings = (f"Its averaged weights do not fit: the rougher {path} stand in for them.",)
    ours = rename(_plain(state, name), ((_KNOWN, r"\g<0>"),), name)
    spec = _spec(ours, name)
    if spec.resolution <= 128:
        ours.pop("to_128.weight", None)
    info = {"format": "FastGAN (PyTorch)", "licence": TRAINERS_TERMS}
    info = {**info, "weights": path} if path else info
    return NetworkFile(FastGAN.family, spec, ours, info, warnings)


def _generators(tree: Any) -> list[tuple[str, State]]:
    """Every FastGAN generator in a tree: where, and its tensors under the older names."""
    found = []
    for path, tensors in state_dicts(tree):
        state = {_older(key): tensor for key, tensor in tensors.items()}
        if all(key in state or f"{key}_orig" in state for key in (_START, _END)):
            found.append((path, state))
    return found


def _older(key: str) -> str:
    for new, old in _SPECTRAL:
        key = key.replace(new, old)
    return key


def _with_parameters(state: State, values: list[Any]) -> State | None:
    """A state with the values of its parameters replaced, in their order; None if they differ."""
    names = [key for key in state if not key.endswith(_BUFFERS)]
    pairs = list(zip(names, values, strict=False))
    if len(names) != len(values) or not all(
        isinstance(value, Tensor) and value.shape == state[key].shape for key, value in pairs
    ):
        return None
    return {**state, **dict(pairs)}


def _plain(state: State, name: str) -> State:
    """A state with each weight divided by its spectral norm, as it is used after training.

    Miyato et al. 2018 (arXiv 1802.05957): the norm is u'Wv of the singular vectors that training
    has followed; W has a row for each channel out.

    Raises:
        GenartError: when vectors are missing or of other shapes.
    """
    plain = {}
    for key, tensor in state.items():
        if key.endswith(("weight_u", "weight_v")):
            continue
        if not key.endswith("weight_orig"):
            plain[key] = tensor
            continue
        layer = key.removesuffix("_orig")
        u, v = (state.get(f"{layer}_{each}", tensor.new_empty(0)).float() for each in "uv")
        matrix = tensor.float()
        if layer == _START and tensor.dim() > 1:  # transposed: channels out come second
            matrix = matrix.transpose(0, 1)
        if matrix.dim() != 4 or matrix.flatten(1).shape != (*u.shape, *v.shape):
            raise GenartError(
                f"{name} is not whole: the spectral normalisation of its tensor "
                f"{shown(layer, 80)} is missing or of another shape."
            )
        norm = u @ matrix.flatten(1) @ v
        if not (norm.isfinite() and norm):
            raise GenartError(
                f"{name} is damaged: the norm of its tensor {shown(layer, 80)} is {norm:g}."
            )
        plain[layer] = tensor.float() / norm
    return plain


def _spec(state: State, name: str) -> FastGANSpec:
    z_dim, first, _, _ = shape(state, _START, 4, name)
    widths = [first // 2]
    while f"feat_{4 << len(widths)}.1.weight" in state:
        widths.append(shape(state, f"feat_{4 << len(widths)}.1.weight", 4, name)[0] // 2)
    return FastGANSpec(
        widths=tuple(widths),
        z_dim=z_dim,
        img_channels=shape(state, _END, 4, name)[0],
        tanh=4 << len(widths) - 1 == _SQUASHED,
    )
