"""NVIDIA's PyTorch files and R3GAN's: recorded figures, and what files of their kind may hold."""

import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.gan.checkpoint import LoadedGAN, assemble, save_gan
from comfy_genart_nodes.gan.formats import nvidia, r3gan_tensors, stylegan2_tensors
from comfy_genart_nodes.gan.formats.modules import as_module, state_dict
from comfy_genart_nodes.gan.formats.opening import open_gan
from comfy_genart_nodes.gan.formats.torch_files import open_pickle
from comfy_genart_nodes.gan.latents import GANLatent
from comfy_genart_nodes.gan.networks.families import build
from comfy_genart_nodes.gan.networks.generator import Frame
from comfy_genart_nodes.gan.networks.r3gan import R3GANSpec
from comfy_genart_nodes.gan.networks.stylegan2_spec import StyleGAN2Spec
from comfy_genart_nodes.gan.sampling import Settings, sample, styles

NETWORKS = Path(__file__).parents[1] / "fixtures" / "networks"
STYLEGAN2 = ["sg2_64", "sg2_64_cond", "sg2_64_resnet", "sg2_64_orig", "sg2_64_flat"]
STYLEGAN3 = ["sg3t_64", "sg3t_64_cond", "sg3r_64"]
R3GANS = ["r3gan_64", "r3gan_64_cond"]


def close(a, b):
    torch.testing.assert_close(a, b, atol=1e-4, rtol=0)


def recorded(name: str) -> dict[str, torch.Tensor]:
    arrays = np.load(NETWORKS / f"{name}.npz")
    return {key: torch.from_numpy(array).float() for key, array in arrays.items()}


@cache
def opened(name: str) -> LoadedGAN:
    """A network of the folder, which nobody changes."""
    return open_gan(NETWORKS / f"{name}.pkl")


def given(gan: LoadedGAN, answers: dict[str, torch.Tensor]) -> GANLatent:
    """The latents whose answers were recorded."""
    classes = answers["c"] if gan.spec.c_dim else None
    return GANLatent("z", answers["z"], classes, (0,) * len(answers["z"]), gan.hash)


def tree_of(name: str) -> dict[str, Any]:
    return open_pickle(NETWORKS / f"{name}.pkl")


def attributes(tree: dict[str, Any], path: str = "") -> dict[str, Any]:
    """The attributes of a module in the tree's G_ema, to be changed."""
    found = as_module(tree["G_ema"])
    for word in path.split(".") if path else ():
        found = found.children[word]
    return found.attributes


def assembled(tree: object) -> LoadedGAN:
    file = nvidia.read(tree, "file.pkl")
    return assemble(file.family, file.spec, file.tensors, file.info, "file.pkl")


@pytest.mark.parametrize("name", [*STYLEGAN2, *STYLEGAN3])
def test_the_original_networks_answers(name):
    gan, answers = opened(name), recorded(name)
    latent, generator = given(gan, answers), gan.generator
    close(styles(generator, latent, Settings()), answers["w"])
    close(styles(generator, latent, Settings(psi=0.7)), answers["w_psi07"])
    close(styles(generator, latent, Settings(psi=0.5, cutoff=4)), answers["w_psi05_cut4"])
    close(sample(generator, latent), answers["img_psi1_const"])
    close(sample(generator, latent, Settings(psi=0.7)), answers["img_psi07_const"])
    mixed = GANLatent("w+", answers["w_mix"], None, latent.seeds, gan.hash)
    close(sample(generator, mixed), answers["img_mix"])
    if "img_psi07_none" in answers:
        quiet = Settings(psi=0.7, noise_mode="none")
        close(sample(generator, latent, quiet), answers["img_psi07_none"])
    if "transform_inv" in answers:
        frame = Frame(transform=torch.linalg.inv(answers["transform_inv"]))
        moved = sample(generator, latent, Settings(psi=0.7, frame=frame))
        close(moved, answers["img_psi07_transform"])


@pytest.mark.parametrize("name", R3GANS)
def test_the_answers_of_r3gan(name):
    gan, answers = opened(name), recorded(name)
    close(sample(gan.generator, given(gan, answers)), answers["img_fp32"])


@pytest.mark.parametrize("name", [*STYLEGAN2, *STYLEGAN3, *R3GANS])
def test_converted_it_is_the_same_network(name, tmp_path):
    gan = opened(name)
    save_gan(tmp_path / "same.safetensors", gan.generator, gan.info)
    again = open_gan(tmp_path / "same.safetensors")
    assert again.hash == gan.hash and again.spec == gan.spec and again.info == gan.info


@pytest.mark.parametrize("name", [*STYLEGAN2, *STYLEGAN3])
def test_the_source_inside_would_raise_if_it_ran(name):
    assert b"embedded source was executed" in (NETWORKS / f"{name}.pkl").read_bytes()


@pytest.mark.parametrize("name", ["sg2_64", "sg3r_64", "r3gan_64_cond"])
def test_a_network_that_stands_alone(name):
    assert assembled(tree_of(name)["G_ema"]).hash == opened(name).hash


@pytest.mark.parametrize("name", ["sg2_64_orig", "r3gan_64_cond"])
def test_a_state_dict_is_enough_where_shapes_tell_all(name):
    state = state_dict(as_module(tree_of(name)["G_ema"]))
    assert assembled(state).hash == assembled({"G_ema": state}).hash == opened(name).hash


def test_without_the_averaged_network_the_other_stands_in():
    tree = tree_of("sg2_64_flat")
    averaged = tree.pop("G_ema")
    file = nvidia.read(tree, "file.pkl")
    assert len(file.warnings) == 1 and "G_ema" in file.warnings[0]
    del tree["G"]
    with pytest.raises(GenartError, match=r"file\.pkl holds no generator.*D, augment_pipe"):
        nvidia.read(tree, "file.pkl")
    assert nvidia.matches(tree)
    assert not nvidia.matches({"weights": averaged, "D": {"a": torch.ones(1)}})


def test_unknown_settings_and_versions_are_told_and_left_aside():
    tree = tree_of("sg2_64_resnet")
    attributes(tree, "synthesis")["_init_kwargs"]["sparkle"] = 3
    attributes(tree, "mapping")["_init_kwargs"]["moon"] = 1
    tree["G_ema"].args[0]["version"] = 7
    file = nvidia.read(tree, "file.pkl")
    assert [any(word in w for w in file.warnings) for word in ("sparkle", "moon", "7")] == [
        True
    ] * 3
    assert assembled(tree).hash == opened("sg2_64_resnet").hash
    tree = tree_of("sg3t_64_cond")
    attributes(tree, "synthesis")["_init_kwargs"]["sparkle"] = 3
    assert "sparkle" in nvidia.read(tree, "file.pkl").warnings[0]


@pytest.mark.parametrize("name", [*STYLEGAN2, *STYLEGAN3, *R3GANS])
def test_files_of_released_tools_give_no_warning(name):
    assert "warnings" not in opened(name).info


def test_what_cannot_be_read_faithfully_is_refused():
    def refused(reason: str, path: str, part: str, key: str, value: Any) -> None:
        tree = tree_of("sg2_64_resnet")
        found = attributes(tree, path)
        (found if part == "" else found[part])[key] = value
        with pytest.raises(GenartError, match=reason):
            nvidia.read(tree, "file.pkl")

    refused("another filter", "synthesis.b8.conv0", "_buffers", "resample_filter", torch.ones(4, 4))
    refused("another filter", "synthesis.b8", "_buffers", "resample_filter", torch.ones(12, 12))
    refused("activation 'relu'", "synthesis.b8.conv0", "", "activation", "relu")
    refused("activation 'linear'", "mapping.fc1", "", "activation", "linear")
    refused(
        "mapping network of width 48", "mapping.fc0", "_parameters", "weight", torch.ones(48, 32)
    )
    refused("conv1.weight is missing", "synthesis.b8.conv1", "_parameters", "weight", torch.ones(3))
    with pytest.raises(GenartError, match="kind 'TriPlaneGenerator', which is not known"):
        tree = tree_of("sg2_64_resnet")
        tree["G_ema"].args[0]["class_name"] = "TriPlaneGenerator"
        del attributes(tree)["_modules"]["mapping"]
        nvidia.read(tree, "file.pkl")


def test_made_without_noise_it_has_none():
    tree = tree_of("sg2_64_resnet")
    for side in (4, 8, 16, 32, 64):
        for conv in ("conv0", "conv1")[side == 4 :]:
            del attributes(tree, f"synthesis.b{side}.{conv}")["_parameters"]["noise_strength"]
            del attributes(tree, f"synthesis.b{side}.{conv}")["_buffers"]["noise_const"]
    gan, answers = assembled(tree), recorded("sg2_64_resnet")
    close(sample(gan.generator, given(gan, answers), Settings(psi=0.7)), answers["img_psi07_none"])


def test_a_name_alone_takes_no_memory():
    tensors = state_dict(as_module(tree_of("sg2_64")["G_ema"]))
    tensors["synthesis.b99999.conv0.weight"] = torch.zeros(1, 1, 3, 3)  # its noise: 40 GB
    with pytest.raises(GenartError, match="b99999"):
        assembled({"G_ema": tensors})


@pytest.mark.parametrize("name", ["sg2_64_resnet", "sg3t_64_cond"])
def test_the_mapping_networks_learning_rate_scales_its_weights(name):
    tree = tree_of(name)
    for layer in ("mapping.fc0", "mapping.fc1"):
        found = attributes(tree, layer)
        found["bias_gain"] = 0.02
        found["_parameters"] = {k: each / 2 for k, each in found["_parameters"].items()}
    assert assembled(tree).hash == opened(name).hash


def test_without_a_mean_of_w_truncation_pulls_to_zero():
    tree = tree_of("sg2_64_resnet")
    del attributes(tree, "mapping")["_buffers"]["w_avg"]
    assert "mean of w" in nvidia.read(tree, "file.pkl").warnings[0]
    assert not assembled(tree).generator.w_avg.any()


@pytest.mark.parametrize("path", ["/home/someone/cats.zip", "C:\\Users\\someone\\cats.zip"])
def test_what_is_told_of_the_training_names_no_person(path):
    tree = tree_of("r3gan_64_cond")
    tree["training_set_kwargs"]["path"] = path
    info = nvidia.read(tree, "file.pkl").info
    assert info["data"] == "cats.zip" and "someone" not in str(info)
    assert info["training"]["kimg"] == 25600 and info["training"]["pictures"] == 500
    assert "R3GAN" in info["format"] and "licence" in info


def test_half_precisions_limit_on_features_is_kept():
    clamps = {name: opened(name).spec.conv_clamp for name in ("sg2_64", "sg2_64_orig", "sg3t_64")}
    assert clamps == {"sg2_64": 256, "sg2_64_orig": 0, "sg3t_64": 256}


def test_a_stylegan3s_settings_are_those_of_its_synthesis():
    tree = tree_of("sg3t_64_cond")
    found = attributes(tree, "synthesis")
    found["output_scale"] = 0.5
    found["_init_kwargs"]["conv_clamp"] = None
    gan, answers = assembled(tree), recorded("sg3t_64_cond")
    assert gan.spec.output_scale == 0.5 and gan.spec.conv_clamp == 0
    close(sample(gan.generator, given(gan, answers)), answers["img_psi1_const"] * 2)
    found["img_resolution"] = "64"
    with pytest.raises(GenartError, match="resolution 0"):
        nvidia.read(tree, "file.pkl")


def test_which_tool_wrote_it():
    formats = {name: opened(name).info["format"] for name in [*STYLEGAN2, *STYLEGAN3]}
    assert {formats["sg2_64"], formats["sg2_64_orig"]} == {"StyleGAN2-ADA (PyTorch)"}
    assert "StyleGAN3's tool" in formats["sg2_64_flat"]
    assert formats["sg3t_64_cond"].startswith("StyleGAN3-T")
    assert formats["sg3r_64"].startswith("StyleGAN3-R")
    assert opened("sg3t_64").info["training"]["augment"] == "ADA"


def shapes_of(family: str, spec: Any) -> dict[str, torch.Tensor]:
    """The tensors of a network without their numbers."""
    with torch.device("meta"):
        return build(family, spec).state_dict()


@pytest.mark.parametrize(
    "settings",
    [
        (1024,),
        (512, 64, 128, 7, 1, 16384, 256, 2, "resnet"),
        (96, 100, 32, 0, 4, 3000, 100, 4, "skip"),
        (64, 16, 16, 0, 3, 1 << 20, 20, 1, "orig"),
    ],
)
def test_shapes_tell_the_spec_of_a_stylegan2(settings):
    spec = StyleGAN2Spec(*settings)
    shapes = shapes_of("stylegan2", spec)
    found = stylegan2_tensors.spec_of(shapes, "file.pkl")
    assert found.channel_base <= spec.channel_base
    assert {k: t.shape for k, t in shapes_of("stylegan2", found).items()} == {
        k: t.shape for k, t in shapes.items()
    }
    if math.log2(spec.channel_base).is_integer() and spec.channel_base < 1 << 20:
        assert found == spec


@pytest.mark.parametrize(
    "spec",
    [
        R3GANSpec(),
        R3GANSpec((6, 4), (2, 4), (3, 1), 4, 5, 10, 9, 8, 1),
    ],
)
def test_shapes_tell_the_spec_of_an_r3gan(spec):
    assert r3gan_tensors.spec_of(shapes_of("r3gan", spec), "file.pkl") == spec
