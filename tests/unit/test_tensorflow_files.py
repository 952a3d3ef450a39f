"""NVIDIA's TensorFlow files: crafted as that tool pickled them, in its layout of weights."""

import pickle
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.gan.checkpoint import LoadedGAN
from comfy_genart_nodes.gan.formats import tensorflow
from comfy_genart_nodes.gan.formats.opening import open_gan
from comfy_genart_nodes.gan.formats.torch_files import open_pickle
from comfy_genart_nodes.gan.networks.families import build
from comfy_genart_nodes.gan.networks.layers import initialise
from comfy_genart_nodes.gan.networks.stylegan2_spec import StyleGAN2Spec

SMALL = StyleGAN2Spec(32, 12, 12, 3, 3, 256, 16, 2)
SOURCE = "raise RuntimeError('embedded source was executed')"


class Network:
    """Stands in for the tool's class while a file is written."""

    def __init__(self, **state: Any) -> None:
        self.__dict__.update(state)


@pytest.fixture
def save(monkeypatch, tmp_path):
    """Write networks to a file as the tool did."""
    module = types.ModuleType("dnnlib.tflib.network")
    module.Network = Network
    for name in ("dnnlib", "dnnlib.tflib"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "dnnlib.tflib.network", module)
    monkeypatch.setattr(Network, "__module__", "dnnlib.tflib.network")

    def write(tree: object) -> Path:
        (tmp_path / "network.pkl").write_bytes(pickle.dumps(tree, 4))
        return tmp_path / "network.pkl"

    return write


def weights(spec: StyleGAN2Spec) -> dict[str, Tensor]:
    """A network of ours, every tensor of it drawn."""
    network = build("stylegan2", spec)
    initialise(network, 0)
    generator = torch.Generator().manual_seed(1)
    return {
        key: torch.randn(tensor.shape, generator=generator) if tensor.dim() < 3 else tensor
        for key, tensor in network.state_dict().items()
    }


def in_tensorflow(key: str, value: Tensor) -> tuple[str, str, np.ndarray]:
    """Component, name and array of one of our tensors in the tool's layout."""
    array, words = value.numpy(), key.split(".")
    if key == "mapping.w_avg":
        return "", "dlatent_avg", array
    if words[0] == "mapping":
        layer = "LabelEmbed" if words[1] == "embed" else f"Dense{words[1][2:]}"
        return "mapping", f"{layer}/{words[2]}", array.T
    side = int(words[1][1:])
    place = f"{side}x{side}"
    if words[2] == "const":
        return "synthesis", f"{place}/Const/const", array[None]
    if words[3] == "noise_const":
        index = 2 * (side.bit_length() - 1) - (4 if words[2] == "conv1" else 5)
        return "synthesis", f"noise{index}", array[None, None]
    first = {"conv1": "Conv1" if side > 4 else "Conv", "conv0": "Conv0_up"}
    layer = {**first, "torgb": "ToRGB", "skip": "Skip"}[words[2]]
    if words[3] == "affine":
        turned = array.T if words[4] == "weight" else array - 1
        return "synthesis", f"{place}/{layer}/mod_{words[4]}", turned
    if array.ndim == 4:
        array = array.transpose(2, 3, 1, 0)  # [out, in, h, w] to [h, w, in, out]
        array = array[::-1, ::-1] if layer in ("Conv0_up", "Skip") else array
    return "synthesis", f"{place}/{layer}/{words[3]}", array


def network(state: dict[str, Tensor], **settings: Any) -> Network:
    """One of the tool's networks with our weights."""
    parts: dict[str, list[tuple[str, Any]]] = {"": [], "mapping": [], "synthesis": []}
    for key, value in state.items():
        part, name, array = in_tensorflow(key, value)
        parts[part].append((name, array[()].copy()))  # a number where there are no axes
    parts["synthesis"].append(("lod", np.float32(0)))
    common = {"version": 4, "static_kwargs": settings, "build_module_src": SOURCE}
    components = {
        name: Network(name=name, components={}, variables=parts[name], **common)
        for name in ("synthesis", "mapping")
    }
    return Network(name="Gs", components=components, variables=parts[""], **common)


def same(gan: LoadedGAN, state: dict[str, Tensor]) -> None:
    found = gan.generator.state_dict()
    assert found.keys() == state.keys()
    for key, value in state.items():
        torch.testing.assert_close(found[key], value, msg=key)


@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
def test_the_averaged_network_in_our_layout(save, architecture):
    spec = StyleGAN2Spec(32, 12, 12, 3, 3, 256, 16, 2, architecture)
    state = weights(spec)
    other = {key: torch.zeros_like(tensor) for key, tensor in state.items()}
    settings = {"resolution": 32, "fmap_base": 128, "truncation_psi": 0.5, "mapping_lrmul": 0.01}
    gan = open_gan(save((network(other), network(other), network(state, **settings))))
    same(gan, state)
    assert gan.spec == spec and "TensorFlow" in gan.info["format"]
    assert "licence" in gan.info and "warnings" not in gan.info


def test_a_network_alone_and_scaled_mapping(save):
    state = weights(SMALL)
    halved = {k: t / 2 if k.startswith("mapping.fc") else t for k, t in state.items()}
    same(open_gan(save(network(halved, mapping_lrmul=0.02))), state)


def test_unknown_settings_are_told_and_left_aside(save):
    state = weights(SMALL)
    gan = open_gan(save(network(state, sparkle=3, moon="full")))
    same(gan, state)
    assert [w.split()[2] for w in gan.info["warnings"]] == ["moon", "sparkle"]
    gan = open_gan(save(network(state, **{f"wing{i}": i for i in range(500)})))
    assert len(gan.info["warnings"]) == 11 and "490" in gan.info["warnings"][-1]


def refused(save, net: Network) -> str:
    with pytest.raises(GenartError) as caught:
        open_gan(save((net, net, net)))
    return str(caught.value)


def test_what_is_no_stylegan2_is_named(save):
    def with_variable(name: str) -> Network:
        net = network(weights(SMALL))
        net.components["synthesis"].variables.append((name, np.zeros((1, 1), np.float32)))
        return net

    assert "first generation" in refused(save, with_variable("4x4/Const/StyleMod/weight"))
    assert "A to D" in refused(save, with_variable("ToRGB_lod0/weight"))
    net = network(weights(SMALL))
    net.components["mapping"].variables.append(("LabelConcat/weight", np.zeros((3, 12))))
    assert "before ADA" in refused(save, net)
    net = network(weights(SMALL))
    del net.components["synthesis"]
    assert "no StyleGAN2" in refused(save, net)
    assert "resample_kernel" in refused(save, network(weights(SMALL), resample_kernel=[1, 2, 1]))
    assert "nonlinearity" in refused(save, network(weights(SMALL), nonlinearity="relu"))


def test_the_stand_ins_are_what_the_reader_looks_for(save):
    net = network(weights(SMALL))
    assert tensorflow.matches(open_pickle(save((net, net, net))))
    assert not tensorflow.matches(open_pickle(save((net, net))))
    assert not tensorflow.matches((1, 2, 3))
