"""The DCGAN generator and its files, against the layers of PyTorch that such files come from."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.gan.checkpoint import assemble, load_gan, save_gan
from comfy_genart_nodes.gan.formats import dcgan as files
from comfy_genart_nodes.gan.formats.torch_files import open_pickle
from comfy_genart_nodes.gan.latents import from_seeds
from comfy_genart_nodes.gan.networks.dcgan import DCGAN, DCGANSpec
from comfy_genart_nodes.gan.networks.generator import Look
from comfy_genart_nodes.gan.networks.layers import initialise
from comfy_genart_nodes.gan.sampling import Settings, sample

Z = torch.randn(3, 10, generator=torch.Generator().manual_seed(1))


def stage(c_in, c_out, first=False, bias=False, affine=True):
    return [
        nn.ConvTranspose2d(c_in, c_out, 4, 1 if first else 2, 0 if first else 1, bias=bias),
        nn.BatchNorm2d(c_out, affine=affine),
        nn.ReLU(),
    ]


def tutorial(bias=False, affine=True):
    """One row of layers, as in the tutorial: `main.0.weight`."""
    first = stage(10, 8, True, bias, affine)
    rest = [*stage(8, 6, False, bias, affine), *stage(6, 4, False, bias, affine)]
    last = nn.ConvTranspose2d(4, 3, 4, 2, 1, bias=bias)
    return nn.Sequential(OrderedDict(main=nn.Sequential(*first, *rest, last, nn.Tanh())))


def blocks():
    """Blocks inside blocks, with a bias at the end: `net.1.0.weight`."""
    parts = [nn.Sequential(*stage(10, 8, True)), nn.Sequential(*stage(8, 4))]
    last = nn.ConvTranspose2d(4, 1, 4, 2, 1)
    return nn.Sequential(OrderedDict(net=nn.Sequential(*parts, last, nn.Tanh())))


def settled(network, seed=0):
    """With random weights and statistics."""
    draw = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            low, high = (0.2, 2) if name.endswith("running_var") else (-0.5, 0.5)
            nn.init.uniform_(tensor, low, high, generator=draw)
    return network.eval().requires_grad_(False)


def discriminator():
    convolutions = [nn.Conv2d(a, b, 4, 2, 1, bias=False) for a, b in ((3, 4), (4, 6), (6, 8))]
    norms = [nn.BatchNorm2d(6), nn.BatchNorm2d(8)]
    mixed = [convolutions[0], convolutions[1], norms[0], convolutions[2], norms[1]]
    return nn.Sequential(*mixed, nn.Conv2d(8, 1, 4))


def generator_of(tree):
    file = files.read(tree, "file")
    return assemble(file.family, file.spec, file.tensors, file.info, "file").generator


def close(a, b):
    torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "network",
    [tutorial(), tutorial(bias=True), tutorial(affine=False), blocks()],
    ids=["tutorial", "bias", "no affine", "blocks"],
)
@pytest.mark.parametrize("zip_format", [True, False], ids=["new", "old"])
def test_files_make_the_pictures_of_their_own_networks(network, zip_format, tmp_path):
    settled(network)
    path = tmp_path / "net.pth"
    torch.save(network.state_dict(), path, _use_new_zipfile_serialization=zip_format)
    tree = open_pickle(path)
    assert files.matches(tree)
    close(generator_of(tree).synthesize(Z[:, None], Look()), network(Z[:, :, None, None]))


def test_the_spec_is_told_by_the_shapes():
    spec = files.read(settled(tutorial()).state_dict(), "file").spec
    assert spec == DCGANSpec(widths=(8, 6, 4), z_dim=10, img_channels=3) and spec.resolution == 32
    spec = files.read(settled(blocks()).state_dict(), "file").spec
    assert spec == DCGANSpec((8, 4), 10, 1, bias=True) and spec.resolution == 16


@pytest.mark.parametrize(
    "nest",
    [
        lambda g, d: {f"module.{key}": tensor for key, tensor in g.items()},
        lambda g, d: {"epoch": 3, "netD": d, "netG": g, "optimizerD": {"state": {0: d}}},
        lambda g, d: {"D_state_dict": d, "G_state_dict": g, "loss": [1.0, 2.0]},
        lambda g, d: {"model": {"discriminator": d, "generator": {"state_dict": g}}},
        lambda g, d: {
            "state_dict": {
                **{f"D.{key}": tensor for key, tensor in d.items()},
                **{f"G.{key}": tensor for key, tensor in g.items()},
            }
        },
        lambda g, d: {"netG": {key: tensor + 1 for key, tensor in g.items()}, "netG_ema": g},
    ],
)
def test_a_generator_is_found_wherever_it_is_kept(nest):
    state = settled(tutorial()).state_dict()
    tree = nest(state, settled(discriminator()).state_dict())
    assert files.matches(tree)
    found = files.read(tree, "file").tensors
    assert found.keys() == state.keys()
    assert all(found[key].equal(state[key]) for key in state)


def test_a_whole_network_that_was_pickled_is_found(tmp_path):
    network = settled(tutorial())
    torch.save(network, tmp_path / "net.pt")
    generator = generator_of(open_pickle(tmp_path / "net.pt"))
    close(generator.synthesize(Z[:, None], Look()), network(Z[:, :, None, None]))


def changed(key, tensor):
    state = settled(tutorial()).state_dict()
    if tensor is None:
        return {name: value for name, value in state.items() if name != key}
    return {**state, key: tensor}


@pytest.mark.parametrize(
    "tree",
    [
        None,
        [torch.zeros(3)],
        {},
        settled(discriminator()).state_dict(),
        changed("main.1.running_mean", None),
        changed("main.1.running_mean", torch.zeros(7)),
        changed("main.3.weight", torch.zeros(8, 6, 3, 3)),
        changed("main.3.weight", torch.zeros(5, 6, 4, 4)),
        changed("main.9.weight", None),
        changed("main.9.bias", torch.zeros(2)),
        changed("main.12.weight", torch.zeros(3, 3, 4, 4)),
        changed("main.0.weight", torch.zeros(10)),
    ],
)
def test_what_is_no_dcgan_does_not_match(tree):
    assert not files.matches(tree)


def test_empty_tensors_are_refused_in_a_sentence():
    with pytest.raises(GenartError):
        generator_of(changed("main.0.weight", torch.zeros(0, 8, 4, 4)))


@pytest.mark.parametrize(
    "wrong", [{"widths": ()}, {"widths": (4,) * 9}, {"widths": (4, 0)}, {"z_dim": 0}]
)
def test_absurd_sizes_are_refused(wrong):
    with pytest.raises(GenartError):
        DCGANSpec(**wrong)


def test_truncation_shortens_z_and_pictures_stay_within_bounds():
    spec = DCGANSpec(widths=(8, 4), z_dim=10)
    network = DCGAN(spec).eval()
    initialise(network, 0)
    latent = from_seeds(spec, 5, 2)
    half = sample(network, latent, Settings(psi=0.5))
    close(half, network.synthesize(latent.tensor[:, None] * 0.5, Look()).detach())
    assert half.shape == (2, 3, 16, 16) and half.abs().max() <= 1


def test_it_is_kept_in_our_own_files(tmp_path):
    generator = generator_of(settled(blocks()).state_dict())
    save_gan(tmp_path / "net.safetensors", generator, {})
    again = load_gan(tmp_path / "net.safetensors").generator
    assert again.spec == generator.spec
    look = Look()
    assert again.synthesize(Z[:, None], look).equal(generator.synthesize(Z[:, None], look))
