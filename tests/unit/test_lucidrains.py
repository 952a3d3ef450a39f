"""Checkpoints of lucidrains' stylegan2-pytorch against what the original answers.

`fixtures/lucidrains/*`: averaged mapping network (SE) and generator (GE) of narrow networks with
random weights under their original names, and the original's w and pictures for a given noise
picture, in fp32 on a CPU; "early" is of version 1.0.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.gan.checkpoint import assemble, load_gan, save_gan
from comfy_genart_nodes.gan.formats import lucidrains
from comfy_genart_nodes.gan.formats.torch_files import open_pickle
from comfy_genart_nodes.gan.latents import GANLatent
from comfy_genart_nodes.gan.networks.generator import Look, Noise
from comfy_genart_nodes.gan.networks.lucidrains import LucidrainsSpec
from comfy_genart_nodes.gan.sampling import Settings, sample

NAMES = ["plain", "transparent", "attention", "early"]


def fixture(repository: Path, name: str):
    folder = repository / "tests" / "fixtures" / "lucidrains"
    arrays = np.load(folder / f"{name}.npz")
    recorded = {key: torch.from_numpy(array) for key, array in arrays.items()}
    return load_file(folder / f"{name}.safetensors"), recorded


def load(tree):
    file = lucidrains.read(tree, "model_7.pt")
    return assemble(file.family, file.spec, file.tensors, file.info, "model_7.pt").generator


@pytest.fixture(params=NAMES)
def network(request, repository: Path):
    state, recorded = fixture(repository, request.param)
    return load({"GAN": state, "version": "1.8.9"}), recorded


@pytest.fixture
def plain(repository: Path):
    return fixture(repository, "plain")


def close(a, b, atol=1e-4):
    torch.testing.assert_close(a, b, atol=atol, rtol=0)


def test_w_and_pictures_as_recorded(network):
    generator, recorded = network
    w = generator.map(recorded["z"])
    close(w, recorded["w"])
    ws = w[:, None].repeat(1, generator.spec.num_ws, 1)
    noise = recorded["noise"].permute(0, 3, 2, 1)  # the original turns its noise
    close(generator.paint(ws, noise), recorded["img"] * 2 - 1)
    ws[0, 2:] = w[1]
    close(generator.paint(ws, noise), recorded["img_mixed"] * 2 - 1)
    half = generator.synthesize(w[:, None].expand_as(ws), Look(Noise("none")))
    close(half, recorded["img_half"] * 2 - 1)
    close(generator.w_avg, recorded["mean"], atol=0.06)  # of 20000 other draws


def test_noise_is_a_uniform_picture(plain):
    state, recorded = plain
    generator = load({"GAN": state})
    ws = recorded["w"][:, None].expand(-1, generator.spec.num_ws, -1)
    seen = []
    generator.paint = lambda ws, noise: seen.append(noise)

    def noise(*args):
        generator.synthesize(ws, Look(Noise(*args)))
        return seen.pop()

    const = noise("const", 1.0)
    assert torch.equal(const, noise("const", 1.0))
    assert (const.min() >= 0) and (const.max() <= 1)
    close(const.var(), torch.tensor(1 / 12), atol=0.01)
    close(noise("const", 0.5), 0.5 + (const - 0.5) / 2, atol=1e-6)
    both = noise("random", 1.0, [torch.Generator().manual_seed(s) for s in (3, 4)])
    second = noise("random", 1.0, [torch.Generator().manual_seed(s) for s in (4, 5)])
    assert torch.equal(both[1], second[0]) and not torch.equal(both[0], both[1])


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_goes_through_torch_save_and_our_own_file(plain, tmp_path, zipped):
    state, recorded = plain
    gan = {**state, "G.initial_conv.bias": torch.ones(3), "D.to_logit.bias": torch.ones(1)}
    path = tmp_path / "model_7.pt"
    torch.save({"GAN": gan, "version": "1.8.9"}, path, _use_new_zipfile_serialization=zipped)
    tree = open_pickle(path)
    assert lucidrains.matches(tree)
    generator = load(tree)
    save_gan(tmp_path / "ours.safetensors", generator, {})
    again = load_gan(tmp_path / "ours.safetensors").generator
    assert again.spec == generator.spec == LucidrainsSpec(16, 3, (16, 8, 4, 2))
    latent = GANLatent("z", recorded["z"], None, (0, 1), "")
    settings = Settings(psi=0.75)
    assert torch.equal(sample(again, latent, settings), sample(generator, latent, settings))


def test_what_is_not_such_a_network_gets_a_sentence(plain, repository):
    state, _ = plain

    def refused(state, changes, match):
        gan = {key: t for key, t in {**state, **changes}.items() if t is not None}
        with pytest.raises(GenartError, match=match) as error:
            load({"GAN": gan})
        assert "model_7.pt" in str(error.value)

    refused(state, {"GE.initial_conv.weight": None}, "old version")
    refused(state, {"GE.blocks.2.conv2.weight": None}, "blocks.2.conv2.weight")
    refused(state, {"GE.blocks.1.to_noise1.bias": None}, "blocks.1.conv1.noise_bias")
    refused(state, {"SE.net.2.weight": torch.zeros(16, 9)}, "mapping.2.weight")
    refused(state, {"SE.net.0.weight": torch.zeros(16)}, "SE.net.0.weight")
    refused(state, {"GE.initial_block": torch.zeros(())}, "const")
    refused(state, {"GE.surprise": torch.zeros(3)}, "GE.surprise")
    attention, _ = fixture(repository, "attention")
    refused(attention, {"GE.attns.2.0.fn.scale": torch.ones(1)}, "old version")


def test_trees_of_other_tools_are_not_taken():
    for tree in (None, [], {}, {"GAN": 3}, {"GAN": {"GE.layers.0": torch.ones(1)}}):
        assert not lucidrains.matches(tree)


@pytest.mark.parametrize(
    "values", [{"widths": ()}, {"widths": (0, 8)}, {"z_dim": 1 << 40}, {"attention": (9,)}]
)
def test_absurd_specs_are_refused(values):
    with pytest.raises(GenartError):
        LucidrainsSpec(**values)
