"""Checkpoints of lucidrains' lightweight-gan against what the original answers.

`fixtures/lightweight/*`: averaged generators (GE) of narrow networks with random weights under
their original names, and every third pixel of the original's pictures, in fp32 on a CPU: with the
noise that our mode "const" draws, and without any. A name that is a version is of that version.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.gan.checkpoint import assemble, load_gan, save_gan
from comfy_genart_nodes.gan.formats import lightweight
from comfy_genart_nodes.gan.formats.torch_files import open_pickle
from comfy_genart_nodes.gan.latents import GANLatent
from comfy_genart_nodes.gan.networks.lightweight import LightweightSpec
from comfy_genart_nodes.gan.sampling import Settings, sample

NAMES = ["plain", "attention", "v0.20.4", "v0.21.3", "v0.23.2"]


def fixture(repository: Path, name: str):
    folder = repository / "tests" / "fixtures" / "lightweight"
    arrays = np.load(folder / f"{name}.npz")
    recorded = {key: torch.from_numpy(array) for key, array in arrays.items()}
    version = name[1:] if name[0] == "v" else "1.2.1"
    return {"GAN": load_file(folder / f"{name}.safetensors"), "version": version}, recorded


def load(tree):
    file = lightweight.read(tree, "model_7.pt")
    return assemble(file.family, file.spec, file.tensors, file.info, "model_7.pt").generator


@pytest.fixture
def plain(repository: Path):
    return fixture(repository, "plain")


@pytest.mark.parametrize("name", NAMES)
def test_pictures_as_recorded(repository, name):
    tree, recorded = fixture(repository, name)
    generator = load(tree)
    latent = GANLatent("z", recorded["z"], None, (0, 1), "")
    for mode, key in (("const", "img"), ("none", "img_none")):
        if key in recorded:
            picture = sample(generator, latent, Settings(noise_mode=mode))[..., ::3, ::3]
            torch.testing.assert_close(picture, recorded[key] * 2 - 1, atol=1e-4, rtol=0)


def test_psi_scales_z_and_noise_is_each_pictures_own(plain):
    tree, recorded = plain
    generator = load(tree)
    latent, half = (GANLatent("z", z, None, (0, 1), "") for z in (recorded["z"], recorded["z"] / 2))
    halved = sample(generator, latent, Settings(psi=0.5))
    torch.testing.assert_close(halved, sample(generator, half), atol=1e-5, rtol=0)
    random = Settings(noise_mode="random", noise_seed=5)
    both = sample(generator, latent, random)
    second = GANLatent("z", recorded["z"][1:], None, (1,), "")
    alone = sample(generator, second, random, first=1)
    torch.testing.assert_close(both[1:], alone, atol=1e-5, rtol=0)
    assert (both - sample(generator, latent)).abs().max() > 0.01


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_goes_through_torch_save_and_our_own_file(plain, tmp_path, zipped):
    tree, recorded = plain
    tree["GAN"] = {**tree["GAN"], "G.out_conv.bias": torch.ones(3)}
    path = tmp_path / "model_7.pt"
    torch.save({**tree, "G_scaler": {}}, path, _use_new_zipfile_serialization=zipped)
    opened = open_pickle(path)
    assert lightweight.matches(opened)
    generator = load(opened)
    save_gan(tmp_path / "ours.safetensors", generator, {})
    again = load_gan(tmp_path / "ours.safetensors").generator
    assert again.spec == generator.spec == LightweightSpec(8, (8, 8, 8, 8, 8))
    latent = GANLatent("z", recorded["z"], None, (0, 1), "")
    assert torch.equal(sample(again, latent), sample(generator, latent))


def test_what_is_not_such_a_network_gets_a_sentence(plain, repository):
    tree, _ = plain

    def refused(tree, changes, match):
        gan = {key: t for key, t in {**tree["GAN"], **changes}.items() if t is not None}
        with pytest.raises(GenartError, match=match) as error:
            load({**tree, "GAN": gan})
        assert "model_7.pt" in str(error.value)

    refused(tree, {"GE.layers.3.0.2.1.weight": None}, "layers.3.0.2.1.weight")
    refused(tree, {"GE.layers.3.0.4.running_var": None}, "blocks.3.conv.running_var")
    refused(tree, {"GE.layers.3.0.4.weight": torch.ones(3)}, "blocks.3.conv")
    refused(tree, {"GE.layers.3.0.3.weight": torch.ones(3)}, "blocks.3.conv")
    refused(tree, {"GE.layers.3.0.0.net.0.bias": None}, "blocks.3.shuffle.bias")
    refused(tree, {"GE.out_conv.weight": torch.ones(3)}, "out_conv.weight")
    refused(tree, {"GE.layers.1.1.net.0.weight": torch.ones(())}, "excite.squeeze.weight")
    refused(tree, {"GE.surprise": torch.zeros(3)}, "surprise")
    refused({**tree, "version": "1.0.0"}, {}, "version 1.0.0")
    nearest, _ = fixture(repository, "v0.23.2")
    refused({**nearest, "version": "0.15.0"}, {}, "version 0.15.0")
    refused({"GAN": nearest["GAN"]}, {}, "unknown")
    attention, _ = fixture(repository, "v0.20.4")
    refused({**attention, "version": "0.21.1"}, {}, "version 0.21.1")


def test_trees_of_other_tools_are_not_taken():
    for tree in (None, [], {}, {"GAN": 3}, {"GAN": {"GE.blocks.0": torch.ones(1)}}):
        assert not lightweight.matches(tree)


@pytest.mark.parametrize(
    "values",
    [{"widths": ()}, {"z_dim": 0}, {"attention": (9,)}, {"growing": "fast"}, {"kernel": 5}],
)
def test_absurd_specs_are_refused(values):
    with pytest.raises(GenartError):
        LightweightSpec(**values)
