"""Network files of NVIDIA's PyTorch tools, and of R3GAN, whose tool grew from them.

Such a file is a dict with the networks `G`, `D` and `G_ema` (the one to use), the settings of the
training set and more. Which network it is shows in its modules; their shapes and attributes say
the rest. The source that the file carries for each of them is never looked at.
"""

import dataclasses
import math
import re
from collections.abc import Callable
from typing import Any

from ...errors import GenartError, shown
from ..checkpoint import LoadedDiscriminator
from ..networks.r3gan import R3GAN
from ..networks.stylegan2 import StyleGAN2
from ..networks.stylegan3 import StyleGAN3
from ..networks.stylegan3_spec import StyleGAN3Spec
from . import discriminator_tensors, mapping_tensors, r3gan_tensors, stylegan2_tensors
from .modules import Module, as_module, state_dict, walk
from .network_file import NetworkFile, left_aside
from .state_dicts import shape, tensors

OWN_TERMS = (
    "Whoever trained it decides on its use. What NVIDIA itself released is for non-commercial use "
    "(NVIDIA Source Code License)."
)
"""What is known of the licence of networks from NVIDIA's tools."""

_R3GAN_TERMS = "Whoever trained it decides on its use; the code of R3GAN names no licence."
_CONV = re.compile(r"\.conv1$")
_ACTIVATED = re.compile(r"synthesis\.b\d+\.conv[01]|mapping\.fc\d+")
_STYLEGAN2 = (
    "w_dim img_resolution img_channels channel_base channel_max num_fp16_res architecture "
    "conv_clamp resample_filter use_noise activation fp16_channels_last fused_modconv_default"
)
_STYLEGAN3 = "img_resolution num_fp16_res magnitude_ema_beta"
_MAPPING = (
    "z_dim c_dim w_dim num_ws num_layers embed_features layer_features activation lr_multiplier "
    "w_avg_beta"
)
"""Settings that the released tools write, for synthesis (of each kind) and mapping."""


def matches(tree: object) -> bool:
    """Whether a file's tree is of these tools: networks under their names, or one alone."""
    parts = _parts(tree)
    return any(_network(parts.get(key)) is not None for key in ("G_ema", "G", "D"))


def read(tree: Any, name: str) -> NetworkFile:
    """The generator in such a file.

    Args:
        tree: as `torch_files.open_pickle` gives it.
        name: of the file, for messages.

    Raises:
        GenartError: when it holds no generator, or one that is not known or not whole.
    """
    parts = _parts(tree)
    network, warnings = _generator(parts, name)
    reader = _reader(network)
    if reader is None:
        raise GenartError(
            f"{name} holds a network of the kind {shown(network.kind)!r}, which is not known here: "
            "StyleGAN2, StyleGAN3 and R3GAN are."
        )
    found = reader(network, name)
    info = {**found.info, **_training(parts)}
    return NetworkFile(found.family, found.spec, found.tensors, info, (*warnings, *found.warnings))


def read_discriminator(tree: Any, name: str) -> LoadedDiscriminator | None:
    """The discriminator in such a file, None where there is none that is known here.

    Args:
        tree: as `torch_files.open_pickle` gives it.
        name: of the file, for messages.

    Raises:
        GenartError: when it resamples with another filter than ours, or is not whole.
    """
    network = as_module(_parts(tree).get("D"))
    return None if network is None else discriminator_tensors.read(state_dict(network), name)


def _parts(tree: object) -> dict[Any, Any]:
    """What a file holds by name; a network that stands alone is the one to use."""
    if _network(tree) is not None or not isinstance(tree, dict):
        return {"G_ema": tree}
    return tree


def _network(value: object) -> Module | None:
    """A network of these tools: a module, or a `state_dict` with the names of one, taken as one."""
    state = tensors(value)
    module = Module("state_dict", {"_buffers": state}, None) if state else as_module(value)
    if module is not None and (module.persistence is not None or _reader(module) is not None):
        return module
    return None


def _generator(parts: dict[Any, Any], name: str) -> tuple[Module, tuple[str, ...]]:
    if (found := _network(parts.get("G_ema"))) is not None:
        return found, ()
    if (found := _network(parts.get("G"))) is not None:
        sentence = "It lacks the averaged network G_ema: the rougher G stands in for it."
        return found, (sentence,)
    there = ", ".join(sorted(shown(key) for key in parts)[:10])
    raise GenartError(
        f"{name} holds no generator, neither as G_ema nor as G, only {there}: choose a file that "
        "was saved with its generator."
    )


def _reader(network: Module) -> Callable[[Module, str], NetworkFile] | None:
    """The function that reads this network, None where it is not known."""
    state = state_dict(network)
    if r3gan_tensors.matches(state):
        return _r3gan
    if stylegan2_tensors.matches(state):
        return _stylegan2
    synthesis = network.children.get("synthesis")
    return _stylegan3 if synthesis is not None and "input" in synthesis.children else None


def _r3gan(network: Module, name: str) -> NetworkFile:
    state = r3gan_tensors.named(state_dict(network))
    spec = r3gan_tensors.spec_of(state, name)
    info = {"format": "R3GAN (PyTorch)", "licence": _R3GAN_TERMS}
    return NetworkFile(R3GAN.family, spec, r3gan_tensors.finish(state, name), info)


def _stylegan2(network: Module, name: str) -> NetworkFile:
    parts = dict(walk(network))
    _refuse_activations(parts, name)
    state = state_dict(network)
    clamps = [
        each.attributes.get("conv_clamp") for path, each in parts.items() if _CONV.search(path)
    ]
    spec = stylegan2_tensors.spec_of(state, name, clamps[0] if clamps else None)
    finished, warnings = stylegan2_tensors.finish(state, spec, _mapping_rate(parts), name)
    if network.kind == "state_dict":
        tool = "StyleGAN2 (PyTorch state_dict)"
    elif "synthesis_kwargs" in network.settings:
        tool = "StyleGAN2-ADA (PyTorch)"
    else:
        tool = "StyleGAN2 (PyTorch, StyleGAN3's tool)"
    warnings += _unknown(parts, _STYLEGAN2)
    info = {"format": tool, "licence": OWN_TERMS}
    return NetworkFile(StyleGAN2.family, spec, finished, info, tuple(warnings))


def _stylegan3(network: Module, name: str) -> NetworkFile:
    parts, state = dict(walk(network)), state_dict(network)
    _refuse_activations(parts, name)
    synthesis = parts["synthesis"]
    settings = {**synthesis.settings, **synthesis.attributes}
    w_dim = shape(state, "synthesis.input.affine.weight", 2, name)[1]
    resolution, values = settings.get("img_resolution"), dict[str, Any]()
    for field in dataclasses.fields(StyleGAN3Spec):
        value = settings.get(field.name)
        if isinstance(value, (bool, int, float)) and math.isfinite(value):
            values[field.name] = field.type(value)  # type: ignore[operator]  # a number's type
    if settings.get("conv_clamp", 0) is None:
        values["conv_clamp"] = 0.0
    values |= {
        "resolution": resolution if isinstance(resolution, int) else 0,
        **mapping_tensors.sizes(state, w_dim, name),
    }
    spec = StyleGAN3Spec(**values)
    finished, warnings = mapping_tensors.finish(state, w_dim, _mapping_rate(parts))
    known = f"{_STYLEGAN3} {' '.join(field.name for field in dataclasses.fields(spec))}"
    warnings += _unknown(parts, known)
    tool = f"StyleGAN3-{'R' if spec.use_radial_filters else 'T'} (PyTorch)"
    info = {"format": tool, "licence": OWN_TERMS}
    return NetworkFile(StyleGAN3.family, spec, finished, info, tuple(warnings))


def _refuse_activations(parts: dict[str, Module], name: str) -> None:
    """Refuse a network with another activation than ours; a `state_dict` does not tell."""
    for path, module in parts.items():
        activation = module.attributes.get("activation", "lrelu")
        if _ACTIVATED.fullmatch(path) and activation != "lrelu":
            raise GenartError(
                f"{name} uses the activation {shown(activation)!r} in {path}; only networks "
                "with 'lrelu' can be read."
            )


def _mapping_rate(parts: dict[str, Module]) -> object:
    """The factor on the mapping network's learning rate, None where the file does not tell."""
    return parts["mapping.fc0"].attributes.get("bias_gain") if "mapping.fc0" in parts else None


def _unknown(parts: dict[str, Module], synthesis: str) -> list[str]:
    """Sentences on the settings that no released tool writes.

    Args:
        parts: the network's modules.
        synthesis: names of the known settings of its synthesis.
    """
    found = []
    for part, known in (("synthesis", synthesis), ("mapping", _MAPPING)):
        settings = parts[part].settings if part in parts else {}
        found += left_aside(f"{part}.{key}" for key in settings.keys() - set(known.split()))
    versions = {module.persistence for module in parts.values()} - {None, 6}
    if versions:
        found.append(f"It was pickled by an unknown version of NVIDIA's tools ({versions.pop()}).")
    return found


def _training(parts: dict[Any, Any]) -> dict[str, Any]:
    """What the file tells of its training, without anybody's folders."""
    settings = parts.get("training_set_kwargs")
    settings = settings if isinstance(settings, dict) else {}
    training: dict[str, Any] = {}
    names = {"pictures": "max_size", "resolution": "resolution", "labels": "use_labels"}
    for ours, theirs in {**names, "mirror": "xflip"}.items():
        if isinstance(settings.get(theirs), (bool, int)):
            training[ours] = settings[theirs]
    if isinstance(parts.get("cur_nimg"), int):
        training["kimg"] = parts["cur_nimg"] / 1000
    if as_module(parts.get("augment_pipe")) is not None:
        training["augment"] = "ADA"
    info: dict[str, Any] = {"training": training} if training else {}
    if isinstance(settings.get("path"), str):
        info["data"] = shown(re.split(r"[\\/]", settings["path"].rstrip("\\/"))[-1])
    return info
