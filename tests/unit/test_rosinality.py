"""Checkpoints of rosinality's stylegan2-pytorch against what the original answers.

`fixtures/rosinality/small.*`: the averaged generator of a narrow network of random weights under
its original names, and the original's w and pictures, in fp32 on a CPU.
"""

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.gan.checkpoint import assemble
from comfy_genart_nodes.gan.formats import rosinality
from comfy_genart_nodes.gan.formats.torch_files import open_pickle
from comfy_genart_nodes.gan.latents import GANLatent
from comfy_genart_nodes.gan.sampling import Settings, sample


@pytest.fixture
def state(repository: Path):
    return load_file(repository / "tests" / "fixtures" / "rosinality" / "small.safetensors")


@pytest.fixture
def recorded(repository: Path):
    arrays = np.load(repository / "tests" / "fixtures" / "rosinality" / "small.npz")
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def close(a, b, atol=1e-4):
    torch.testing.assert_close(a, b, atol=atol, rtol=0)


def load(tree):
    file = rosinality.read(tree, "small.pt")
    return file, assemble(file.family, file.spec, file.tensors, file.info, "small.pt").generator


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_of_training_answers_as_recorded(state, recorded, tmp_path, zipped):
    args = argparse.Namespace(size=32, batch=16, r1=10.0, path="/home/ann/pictures", wandb=False)
    checkpoint = {"g": state, "d": {}, "g_ema": state, "args": args, "ada_aug_p": 0}
    path = tmp_path / "small.pt"
    torch.save(checkpoint, path, _use_new_zipfile_serialization=zipped)
    tree = open_pickle(path)
    assert rosinality.matches(tree)
    file, generator = load(tree)
    close(generator.map(recorded["z"]), recorded["w"])
    close(sample(generator, GANLatent("w", recorded["w"], None, (0, 1), "")), recorded["img"])
    assert file.info["training"] == {"size": 32, "batch": 16, "r1": 10.0, "wandb": False}
    assert "ann" not in str(file.info)


def test_the_mean_of_w_is_the_files_own_or_found(state, recorded):
    file, generator = load({"g_ema": state, "latent_avg": recorded["latent_avg"]})
    assert file.warnings == ()
    latent = GANLatent("z", recorded["z"], None, (0, 1), "")
    close(sample(generator, latent, Settings(psi=0.6)), recorded["img_psi06"])
    file, generator = load(state)  # a generator alone, without its mean
    close(generator.w_avg, recorded["mean"], atol=0.05)  # of 20000 other draws
    assert len(file.warnings) == 1 and "mean of w" in file.warnings[0]
    assert torch.equal(load(state)[1].w_avg, generator.w_avg)


def test_constant_noise_that_is_missing_is_drawn_and_said(state):
    early = {key: tensor for key, tensor in state.items() if not key.startswith("noises.")}
    file, generator = load({"g_ema": early})
    assert "constant noise" in file.warnings[0]
    assert generator.synthesis.b32.conv0.noise_const.std() == pytest.approx(1, abs=0.1)


def test_what_is_not_such_a_network_gets_a_sentence(state):
    def refused(changes, match):
        tree = {**state, **changes}
        with pytest.raises(GenartError, match=match) as error:
            load({key: tensor for key, tensor in tree.items() if tensor is not None})
        assert "small.pt" in str(error.value)

    refused({"convs.3.conv.weight": None}, "b16.conv1")
    refused({"convs.2.conv.weight": torch.zeros(1, 9, 16, 3, 3)}, "b16.conv0")
    refused({"style.2.weight": torch.zeros(16, 8)}, "fc1")
    refused({"conv1.conv.weight": torch.zeros(())}, "b4.conv1")
    refused({"convs.88.noise.weight": torch.ones(1)}, "noise_strength")  # of side 2**47
    refused({"to_rgbs.0.iwt.ll": torch.zeros(2, 2)}, "iwt")  # SWAGAN, of wavelets
    refused({"convs.0.conv.blur.kernel": torch.ones(4, 4)}, "filter")
    refused({"latent_avg": torch.zeros(7)}, "w_avg")


def test_trees_of_other_tools_are_not_taken(state):
    for tree in (None, [], {}, {"G_ema": state}, {"g_ema": 3}, {"g_ema": {"a": torch.ones(1)}}):
        assert not rosinality.matches(tree)
