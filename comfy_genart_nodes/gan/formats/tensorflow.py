"""Network files of NVIDIA's TensorFlow tools: StyleGAN2 and StyleGAN2-ADA.

Such a file is a tuple of three networks, (G, D, Gs); Gs is the averaged generator. Each network
carries its source, which is never looked at, its settings and its variables; a network inside it
(mapping, synthesis) stands among its components. TensorFlow keeps convolutions as [h, w, in, out]
and dense layers as [in, out], stores the kernels of upsampling convolutions turned by 180 degrees
and the bias of a style less the one that is added to it.
"""

import re
from typing import Any

import torch
from torch import Tensor

from ...errors import GenartError, shown
from ..networks.stylegan2 import StyleGAN2
from . import stylegan2_tensors
from .modules import PATH_LIMIT
from .network_file import NetworkFile, left_aside
from .nvidia import OWN_TERMS
from .records import Name, Record
from .state_dicts import without_ones

_NETWORK = Name("dnnlib.tflib.network", "Network")
_SYNTHESIS = re.compile(
    r"synthesis/([1-9]\d{0,4})x\1/(Conv|Conv0_up|Conv1|ToRGB|Skip)/"
    r"(weight|bias|noise_strength|mod_weight|mod_bias)"
)
_MAPPING = re.compile(r"mapping/(Dense(\d{1,3})|LabelEmbed)/(weight|bias)")
_LAYERS = {"Conv": "conv1", "Conv0_up": "conv0", "Conv1": "conv1", "ToRGB": "torgb", "Skip": "skip"}
_AFFINE = {"mod_weight": "affine.weight", "mod_bias": "affine.bias"}
_USED = (
    "latent_size label_size dlatent_size resolution num_channels mapping_layers label_fmaps "
    "mapping_fmaps fmap_base fmap_max fmap_min fmap_decay architecture use_noise "
    "conv_clamp mapping_lrmul"
)
_WITHOUT_EFFECT = (
    "truncation_psi truncation_cutoff style_mixing_prob structure num_fp16_res w_avg_beta "
    "dlatent_avg_beta randomize_noise fused_modconv impl gpu_impl dtype"
)
_FIXED: dict[str, list[Any]] = {
    "nonlinearity": ["lrelu"],
    "mapping_nonlinearity": ["lrelu"],
    "resample_kernel": [[1, 3, 3, 1], None],
}
"""Settings of which only one value can be read."""


def matches(tree: object) -> bool:
    """Whether a file's tree is of these tools: three networks, or one alone."""
    if isinstance(tree, (tuple, list)):
        return len(tree) == 3 and all(map(_is_network, tree))
    return _is_network(tree)


def read(tree: Any, name: str) -> NetworkFile:
    """The generator in such a file.

    Args:
        tree: as `torch_files.open_pickle` gives it.
        name: of the file, for messages.

    Raises:
        GenartError: when it is no StyleGAN2, or one that cannot be read.
    """
    state = _state(tree if isinstance(tree, Record) else tree[2])
    variables = _variables(state)
    settings = state.get("static_kwargs")
    settings = settings if isinstance(settings, dict) else {}
    _refuse_others(variables, settings, name)
    tensors = _renamed(variables)
    spec = stylegan2_tensors.spec_of(tensors, name, settings.get("conv_clamp"))
    rate = settings.get("mapping_lrmul")
    finished, warnings = stylegan2_tensors.finish(tensors, spec, rate, name)
    known = {*_USED.split(), *_WITHOUT_EFFECT.split(), *_FIXED}
    warnings += left_aside(settings.keys() - known)
    info = {"format": "StyleGAN2 (TensorFlow)", "licence": OWN_TERMS}
    return NetworkFile(StyleGAN2.family, spec, finished, info, tuple(warnings))


def _is_network(value: object) -> bool:
    return isinstance(value, Record) and value.callee == _NETWORK


def _state(network: Record) -> dict[Any, Any]:
    return network.state if isinstance(network.state, dict) else {}


def _variables(state: dict[Any, Any], prefix: str = "") -> dict[str, Tensor]:
    """Every variable of a network and its components, under its path."""
    found = {}
    variables = state.get("variables")
    for pair in variables if isinstance(variables, (list, tuple)) else ():
        match pair:
            case (str(key), Tensor() as value):
                found[(prefix + key)[:PATH_LIMIT]] = value
            case (str(key), int() | float() as value):
                found[(prefix + key)[:PATH_LIMIT]] = torch.tensor(float(value))
    components = state.get("components")
    for key, component in components.items() if isinstance(components, dict) else ():
        if _is_network(component):
            found |= _variables(_state(component), f"{prefix}{key}/"[:PATH_LIMIT])
    return found


def _refuse_others(variables: dict[str, Tensor], settings: dict[Any, Any], name: str) -> None:
    """Refuse networks that these tools wrote but that are no StyleGAN2, or another one."""
    if any("StyleMod" in key for key in variables):
        raise GenartError(f"{name} is a StyleGAN of the first generation, which is not supported.")
    if any("ToRGB_lod" in key for key in variables):
        raise GenartError(
            f"{name} is one of StyleGAN2's configurations A to D, which are not supported."
        )
    if "mapping/LabelConcat/weight" in variables:
        raise GenartError(
            f"{name} takes its classes as the first StyleGAN2 did, before ADA, which is not "
            "supported."
        )
    if "synthesis/4x4/Conv/mod_weight" not in variables:
        raise GenartError(f"{name} holds a TensorFlow network that is no StyleGAN2 generator.")
    for key, values in _FIXED.items():
        if settings.get(key, values[0]) not in values:
            raise GenartError(
                f"{name} was made with {key} {shown(settings[key])!r}; only {values[0]!r} can be "
                "read."
            )


def _renamed(variables: dict[str, Tensor]) -> dict[str, Tensor]:
    """The variables as tensors in PyTorch's layout, under the names of NVIDIA's PyTorch code."""
    found: dict[str, Tensor] = {}
    sides = set()
    for key, value in variables.items():
        if part := _SYNTHESIS.fullmatch(key):
            side, layer, kind = part.groups()
            sides.add(int(side))
            new = f"synthesis.b{side}.{_LAYERS[layer]}.{_AFFINE.get(kind, kind)}"
            found[new] = _turned(value, kind, up=layer in ("Conv0_up", "Skip"))
        elif part := _MAPPING.fullmatch(key):
            layer = "embed" if part[2] is None else f"fc{part[2]}"
            found[f"mapping.{layer}.{part[3]}"] = value.t() if value.dim() == 2 else value
    for side in sides:
        first = 2 * side.bit_length() - 7
        for layer, index in (("conv0", first), ("conv1", first + 1)):
            noise = variables.get(f"synthesis/noise{index}")
            if noise is not None:
                found[f"synthesis.b{side}.{layer}.noise_const"] = without_ones(noise, 2)
    if "dlatent_avg" in variables:
        found["mapping.w_avg"] = variables["dlatent_avg"]
    if "synthesis/4x4/Const/const" in variables:
        found["synthesis.b4.const"] = without_ones(variables["synthesis/4x4/Const/const"], 1)
    return found


def _turned(value: Tensor, kind: str, up: bool) -> Tensor:
    """One variable of a convolution in PyTorch's layout."""
    if kind == "mod_bias":
        return value + 1
    if value.dim() == 4:
        return (value.flip(0, 1) if up else value).permute(3, 2, 0, 1)
    return value.t() if value.dim() == 2 else value
