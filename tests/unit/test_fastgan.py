"""The FastGAN generator and its files: recorded figures, and the laws of its parts."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.gan.checkpoint import assemble, load_gan, save_gan
from comfy_genart_nodes.gan.formats import fastgan as files
from comfy_genart_nodes.gan.formats.torch_files import open_pickle
from comfy_genart_nodes.gan.latents import from_seeds
from comfy_genart_nodes.gan.networks.fastgan import FastGAN, FastGANSpec, convolve_doubled
from comfy_genart_nodes.gan.networks.generator import Look, Noise
from comfy_genart_nodes.gan.networks.layers import initialise
from comfy_genart_nodes.gan.sampling import Settings, sample

SMALL = FastGANSpec(widths=(16, 8, 8, 4, 4), z_dim=8)


class Pattern(Noise):
    """Noise that the recorded figures were made with."""

    def draw(self, count, height, width, device):
        counted = torch.arange(height * width, device=device) % 7 - 3.0
        return (counted / 2).view(1, 1, height, width)


def generator_of(tree):
    file = files.read(tree, "file")
    return assemble(file.family, file.spec, file.tensors, file.info, "file").generator


def close(a, b):
    torch.testing.assert_close(a, b, atol=1e-4, rtol=0)


@pytest.fixture
def folder(repository: Path) -> Path:
    return repository / "tests" / "fixtures" / "fastgan"


@pytest.fixture
def small() -> FastGAN:
    """A small generator whose statistics and noise are not the ones it begins with."""
    network = FastGAN(SMALL)
    initialise(network, 0)
    draw = torch.Generator().manual_seed(0)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, generator=draw)
            nn.init.uniform_(layer.running_var, 0.1, 1, generator=draw)
    for weight in network.parameters():
        if weight.shape == (1,):
            nn.init.normal_(weight, generator=draw)
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize(("name", "weights"), [("all_256", "g_ema"), ("512", "g")])
def test_pictures_as_recorded(folder, name, weights):
    tree = open_pickle(folder / f"{name}.pth")
    assert files.matches(tree) and files.read(tree, name).info["weights"] == weights
    recorded = {key: torch.from_numpy(a) for key, a in np.load(folder / f"{name}.npz").items()}
    generator = generator_of(tree)
    step = generator.spec.resolution // 32
    for noise, key in ((Noise("none"), "img_none"), (Pattern("random"), "img_pattern")):
        made = generator.synthesize(recorded["z"][:, None], Look(noise))
        close(made[..., 1::step, 1::step], recorded[key])


def test_doubling_and_convolving_in_one_is_the_same_as_in_two():
    draw = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 4, 3, 3, generator=draw)
    for side in (5, 32, 45):
        x = torch.randn(2, 4, side, side, generator=draw)
        two = F.conv2d(F.interpolate(x, scale_factor=2, mode="nearest"), weight, padding=1)
        close(convolve_doubled(x, weight), two)


def spectrally_normal(network: FastGAN) -> FastGAN:
    """The network with PyTorch's newer spectral normalisation, its vectors found in one step."""
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.utils.parametrizations.spectral_norm(layer)
    return network.eval()


def test_spectral_normalisation_of_either_kind_is_folded_in(small):
    look, z = Look(Noise("none")), torch.randn(2, 1, 8, generator=torch.Generator().manual_seed(1))
    normal = spectrally_normal(small)
    expected = normal.synthesize(z, look)
    read = generator_of({"state_dict": normal.state_dict()})
    close(read.synthesize(z, look), expected)


@pytest.mark.parametrize(
    "nest",
    [
        lambda state: state,
        lambda state: {"model_state_dict": state, "im_size": 64, "nz": 8},
        lambda state: {"g": {f"module.{key}": value for key, value in state.items()}, "d": {}},
        lambda state: {"state_dict": {f"generator.{key}": value for key, value in state.items()}},
        lambda state: {"g": {key: value * 0 for key, value in state.items()}, "g_ema": state},
        lambda state: {"g": {**state, "to_128.weight": torch.zeros(3, 4, 1, 1)}},
    ],
)
def test_plain_weights_are_found_wherever_they_are_kept(small, nest):
    state = small.state_dict()
    tree = nest(state)
    if "state_dict" in tree:
        tree["state_dict"]["discriminator.rf_small.weight"] = torch.zeros(1, 4, 4, 4)
    file = files.read(tree, "file")
    assert file.spec == SMALL and not file.warnings
    assert file.tensors.keys() == state.keys()
    assert all(file.tensors[key].equal(state[key]) for key in state)


def test_const_noise_is_the_networks_own_and_random_noise_the_seeds(small):
    latent = from_seeds(SMALL, 0, 2)

    def made(mode, seed=0, strength=1.0):
        return sample(small, latent, Settings(1.0, None, None, mode, strength, seed))

    assert made("const").equal(made("const", seed=1))
    close(made("const"), torch.cat([sample(small, from_seeds(SMALL, i, 1)) for i in (0, 1)]))
    assert made("random", 1).equal(made("random", 1)) and made("random", 1).ne(made("random")).any()
    assert made("const").ne(made("none")).any()
    close(made("const", strength=0.0), made("none"))


def test_truncation_shortens_z(small):
    latent = from_seeds(SMALL, 3, 2)
    close(
        sample(small, latent, Settings(psi=0.5)),
        small.synthesize(latent.tensor[:, None] * 0.5, Look()),
    )


def test_both_pictures_learn():
    spec = FastGANSpec(widths=(8, 8, 4, 4, 4, 2, 2), z_dim=8, tanh=True)
    network = FastGAN(spec)
    initialise(network, 0)
    noise = Noise("random", generators=[torch.Generator().manual_seed(0)])
    pictures = network(torch.randn(2, 8, generator=torch.Generator().manual_seed(0)), noise)
    assert [tuple(each.shape) for each in pictures] == [(2, 3, 256, 256), (2, 3, 128, 128)]
    assert all(each.abs().max() <= 1 for each in pictures)
    sum(each.square().mean() for each in pictures).backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


def test_it_is_kept_in_our_own_files(small, tmp_path):
    save_gan(tmp_path / "net.safetensors", small, {})
    again = load_gan(tmp_path / "net.safetensors")
    assert again.spec == SMALL
    latent = from_seeds(SMALL, 0, 1)
    assert sample(again.generator, latent).equal(sample(small, latent))


def without(state, key):
    return {name: tensor for name, tensor in state.items() if name != key}


@pytest.mark.parametrize(
    "change",
    [
        lambda state: without(state, "feat_16.2.running_var"),
        lambda state: {**state, "feat_16.2.weight": torch.zeros(7)},
        lambda state: {**state, "feat_16.1.weight": torch.zeros(6, 2)},
        lambda state: {**state, "init.init.0.weight": torch.zeros(8, 0, 4, 4)},
        lambda state: {**state, "init.init.0.weight": torch.zeros(8)},
        lambda state: {**state, "embedding.weight": torch.zeros(10, 8)},
        lambda state: without(
            {**state, "to_big.weight_orig": torch.zeros(3, 4, 3, 3)}, "to_big.weight"
        ),
        lambda state: {
            **state,
            "to_big.weight_orig": torch.zeros(3, 4, 3, 3),
            "to_big.weight_u": torch.zeros(3),
            "to_big.weight_v": torch.zeros(35),
        },
        lambda state: without(state, "feat_8.1.weight"),
    ],
)
def test_damaged_files_are_refused_in_a_sentence(small, change):
    with pytest.raises(GenartError):
        generator_of({"g": change(small.state_dict())})


def test_averages_that_do_not_fit_are_left_aside_and_said_so(small):
    file = files.read({"g": small.state_dict(), "g_ema": [torch.zeros(3)]}, "file")
    assert file.info["weights"] == "g" and len(file.warnings) == 1


@pytest.mark.parametrize(
    "tree", [None, [], {}, {"g": {"init.init.0.weight": 3}}, {"main.0.weight": torch.zeros(1)}]
)
def test_other_files_do_not_match(tree):
    assert not files.matches(tree)


@pytest.mark.parametrize("wrong", [{"widths": (8,) * 4}, {"widths": (8,) * 10}, {"z_dim": 0}])
def test_absurd_sizes_are_refused(wrong):
    with pytest.raises(GenartError):
        FastGANSpec(**wrong)
