"""The R3GAN generator: recorded figures, and the laws of its parts."""

from pathlib import Path

import numpy as np
import pytest
import torch

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.gan.checkpoint import assemble, load_gan, save_gan
from comfy_genart_nodes.gan.formats import nvidia
from comfy_genart_nodes.gan.formats.torch_files import open_pickle
from comfy_genart_nodes.gan.latents import GANLatent, from_seeds
from comfy_genart_nodes.gan.networks.generator import Look
from comfy_genart_nodes.gan.networks.layers import initialise
from comfy_genart_nodes.gan.networks.r3gan import R3GAN, R3GANSpec, ResidualBlock
from comfy_genart_nodes.gan.sampling import Settings, sample

SMALL = R3GANSpec((8, 8, 4), (4, 4, 2), (1, 2, 1), z_dim=6, c_dim=5, embed_dim=3)


def close(a, b):
    torch.testing.assert_close(a, b, atol=1e-4, rtol=0)


@pytest.fixture
def small() -> R3GAN:
    """A small network with classes, as training would begin it."""
    network = R3GAN(SMALL).eval().requires_grad_(False)
    initialise(network, 0)
    return network


@pytest.mark.parametrize("name", ["r3gan_64", "r3gan_64_cond"])
def test_pictures_as_recorded(repository: Path, name):
    folder = repository / "tests" / "fixtures" / "networks"
    file = nvidia.read(open_pickle(folder / f"{name}.pkl"), name)
    gan = assemble(file.family, file.spec, file.tensors, file.info, name)
    recorded = {
        key: torch.from_numpy(a).float() for key, a in np.load(folder / f"{name}.npz").items()
    }
    classes = recorded["c"] if gan.spec.c_dim else None
    latent = GANLatent("z", recorded["z"], classes, (0,) * len(recorded["z"]), gan.hash)
    close(sample(gan.generator, latent), recorded["img_fp32"])


def test_w_is_z_and_the_class(small):
    latent = from_seeds(SMALL, 0, 2, class_index=1)
    w = small.map(latent.tensor, latent.classes)
    assert w.shape == (2, SMALL.w_dim) and w[:, :6].equal(latent.tensor)
    assert w[0, 6:].equal(w[1, 6:])
    other = small.map(latent.tensor, torch.eye(5)[[4, 4]])
    blend = small.map(latent.tensor, torch.eye(5)[[1, 1]] * 0.25 + torch.eye(5)[[4, 4]] * 0.75)
    close(blend, w * 0.25 + other * 0.75)
    with pytest.raises(GenartError):
        small.map(latent.tensor)


def test_truncation_shortens_w(small):
    latent = from_seeds(SMALL, 0, 2, class_index=1)
    w = small.map(latent.tensor, latent.classes)
    close(
        sample(small, latent, Settings(psi=0.5)),
        small.synthesize(w[:, None] * 0.5, Look()),
    )


def test_training_begins_with_blocks_that_do_nothing(small):
    """Pictures are then linear in w; a block that did something would bend them."""
    a, b = torch.randn(2, 3, 1, SMALL.w_dim, generator=torch.Generator().manual_seed(0)).unbind()
    look = Look()
    both = small.synthesize(a + b, look)
    close(both, small.synthesize(a, look) + small.synthesize(b, look))
    assert both.std() > 0.1
    torch.nn.init.constant_(small.MainLayers[1].Layers[1].LinearLayer3.Layer.weight, 0.5)
    bent = small.synthesize(a + b, look) - small.synthesize(a, look) - small.synthesize(b, look)
    assert bent.abs().max() > 0.01


def test_strips_make_the_same_pictures_as_the_whole():
    spec = R3GANSpec((4,) * 6, (2,) * 6, (1,) * 6, kernel=5, z_dim=6)
    network = R3GAN(spec).eval()
    initialise(network, 0)
    for block in (each for each in network.modules() if isinstance(each, ResidualBlock)):
        torch.nn.init.normal_(block.LinearLayer3.Layer.weight, generator=torch.Generator())
    w = torch.randn(2, 1, 6, generator=torch.Generator().manual_seed(0))
    whole = network.synthesize(w, Look())
    with torch.no_grad():
        close(network.synthesize(w, Look()), whole)


def test_everything_learns():
    network = R3GAN(SMALL)
    initialise(network, 0)
    for name, weight in network.named_parameters():
        if "LinearLayer3" in name:
            torch.nn.init.normal_(weight, generator=torch.Generator().manual_seed(0))
    w = network.map(torch.ones(2, 6), torch.eye(5)[:2])
    network.synthesize(w[:, None], Look()).square().mean().backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


def test_it_is_kept_in_our_own_files(small, tmp_path):
    save_gan(tmp_path / "net.safetensors", small, {})
    again = load_gan(tmp_path / "net.safetensors")
    assert again.spec == SMALL and again.spec.resolution == 16
    latent = from_seeds(SMALL, 0, 1, class_index=2)
    assert sample(again.generator, latent).equal(sample(small, latent))


@pytest.mark.parametrize(
    "wrong",
    [
        {"widths": (8, 8)},
        {"widths": (), "cardinalities": (), "blocks": ()},
        {"blocks": (1, 0, 1)},
        {"blocks": (200, 200, 200)},
        {"cardinalities": (4, 4, 3)},
        {"cardinalities": (4, 0, 4)},
        {"kernel": 2},
        {"expansion": 0},
        {"z_dim": 0},
        {"c_dim": 0},
        {"embed_dim": 0},
    ],
)
def test_absurd_sizes_are_refused(wrong):
    fields = {name: getattr(SMALL, name) for name in SMALL.__dataclass_fields__}
    with pytest.raises(GenartError):
        R3GANSpec(**{**fields, **wrong})
