"""Autoencoders of this pack: shapes, what a code is, and what depends on what."""

import dataclasses
import json
import math

import pytest
import torch
import torch.nn.functional as F
from small_vaes import KINDS, SIDE, SMALL, pictures, small

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.gan.checkpoint import spec_settings
from comfy_genart_nodes.gan.networks.layers import initialise
from comfy_genart_nodes.vae.networks.autoencoder import Coded, drawn
from comfy_genart_nodes.vae.networks.families import FAMILIES, build, spec_from
from comfy_genart_nodes.vae.networks.kl import KLSpec
from comfy_genart_nodes.vae.networks.tiny import Doubling, TinySpec
from comfy_genart_nodes.vae.networks.vector import VectorSpec

FACTORS = {"tiny": 8, "vector": SIDE, "kl": 2}


def noise(network, count: int = 2) -> torch.Tensor:
    side = SIDE // network.factor
    shape = (count, network.channels, side, side)
    return torch.randn(shape, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize(("family", "settings"), KINDS)
def test_the_layer_that_makes_pictures_is_the_decoders_last(family, settings):
    """By its gradients a critic is weighed."""
    kernels = [p for p in small(family, **settings).decoder_parameters() if p.ndim == 4]
    assert kernels[-1].shape[0] == 3 or (family == "vector" and 3 in kernels[-1].shape[:2])


@torch.no_grad()
@pytest.mark.parametrize(("family", "settings"), KINDS)
def test_pictures_become_latents_and_pictures_again(family, settings):
    network = small(family, **settings)
    x = pictures()
    z, coded = network.encode(x), network.code(x, noise(network))
    assert network.factor == FACTORS[family]
    assert z.shape == coded.latents.shape == coded.mean.shape == noise(network).shape
    assert torch.equal(z, coded.mean) and torch.equal(z, network.encode(x))
    assert torch.equal(network.code(x, None).latents, z)
    made = network.decode(z)
    assert made.shape == x.shape and made.std() > 1e-3 and made.isfinite().all()
    assert not torch.equal(z[0], z[1]) and not torch.equal(made[0], made[1])


@torch.no_grad()
@pytest.mark.parametrize(("family", "settings"), KINDS)
def test_a_picture_does_not_depend_on_its_batch(family, settings):
    network = small(family, **settings)
    x = pictures()
    z = network.encode(x)
    assert torch.allclose(network.encode(x[1:]), z[1:], atol=1e-5)
    assert torch.allclose(network.decode(z[1:]), network.decode(z)[1:], atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("family", ["tiny", "kl"])
def test_pictures_of_other_sides_have_other_latents(family):
    network = small(family)
    x = torch.zeros(1, 3, 16, 40)
    z = network.encode(x)
    assert z.shape[2:] == (16 // network.factor, 40 // network.factor)
    assert network.decode(z).shape == x.shape


@torch.no_grad()
@pytest.mark.parametrize("family", SMALL)
def test_latents_are_drawn_around_the_mean(family):
    network = small(family)
    x = pictures()
    coded = network.code(x, noise(network))
    away = (coded.latents - coded.mean) / (coded.logvar / 2).exp()
    assert torch.allclose(away, noise(network), atol=1e-3)


@pytest.mark.parametrize(("family", "settings"), KINDS)
def test_weights_come_from_the_seed_alone(family, settings):
    spec = FAMILIES[family][0](**SMALL[family] | settings)

    def weights(seed: int) -> dict[str, torch.Tensor]:
        torch.rand(seed)  # the global state is another each time
        network = build(family, spec)
        initialise(network, seed)
        return network.state_dict()

    first, again, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)
    assert all(value.isfinite().all() for value in first.values())


@torch.no_grad()
@pytest.mark.parametrize("family", SMALL)
def test_a_new_network_says_little(family):
    """Pictures begin near grey, latents near the prior: no loss is large at the first step."""
    network = build(family, FAMILIES[family][0](**SMALL[family]))
    initialise(network, 0)
    coded = network.code(pictures(), None)
    made = network.decode(coded.latents)
    assert made.abs().mean() < 1 and coded.mean.abs().mean() < 2


@pytest.mark.parametrize(("family", "settings"), KINDS)
def test_everything_learns(family, settings):
    network = small(family, **settings).requires_grad_(True)
    coded = network.code(pictures(), noise(network))
    loss = network.decode(coded.latents).square().mean() + coded.kl().mean()
    (loss + (0 if coded.cost is None else coded.cost)).backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


@pytest.mark.parametrize(("family", "settings"), KINDS)
def test_a_decoder_that_learns_alone_leaves_latents_as_they_are(family, settings):
    network = small(family, **settings)
    x = pictures()
    before = network.encode(x), network.decode(network.encode(x))
    learning = network.decoder_parameters()
    named = {name for name, p in network.named_parameters() if any(p is q for q in learning)}
    assert named and not [name for name in named if "encoder" in name or "bottleneck" in name]
    with torch.no_grad():
        for weight in learning:
            weight.add_(0.01)
    assert torch.equal(network.encode(x), before[0])
    assert not torch.allclose(network.decode(before[0]), before[1], atol=1e-4)


def test_the_nats_of_a_normal_distribution():
    mean, deviation = torch.tensor([[0.0, 1.5, -2.0]]), torch.tensor([[1.0, 0.3, 2.0]])
    coded = drawn(mean[..., None, None], 2 * deviation.log()[..., None, None], None)
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(mean, deviation), normal(0.0, 1.0))
    assert torch.allclose(coded.kl()[..., 0, 0], expected)
    assert coded.kl()[0, 0] == 0
    assert math.isclose(float(coded.kl()[0, 2]), (4 + 4 - 1 - math.log(4)) / 2, rel_tol=1e-6)


def test_nats_lie_as_latents_do():
    one_a_channel = drawn(torch.zeros(2, 3, 4, 5), torch.zeros(3, 1, 1), None)
    finite = Coded(torch.ones(2, 3, 4, 5), torch.ones(2, 3, 4, 5))
    assert one_a_channel.kl().shape == finite.kl().shape == (2, 3, 4, 5)
    assert not one_a_channel.kl().any() and not finite.kl().any()


@torch.no_grad()
def test_latents_of_taesd_have_a_scale_and_a_shift():
    """What a diffusion model works on is (z - shift) * scale; that the network itself makes."""
    network = small("tiny")
    x = pictures()
    own = network.encode(x)
    network.vae_scale.fill_(0.3611)
    network.vae_shift.fill_(0.1159)
    z = network.encode(x)
    assert torch.allclose((z - 0.1159) * 0.3611, own, atol=1e-6)
    made = network.decode(z)
    network.vae_scale.fill_(1)
    network.vae_shift.fill_(0)
    assert torch.allclose(made, network.decode(own), atol=1e-5)


def test_a_doubling_is_a_convolution_of_what_is_repeated():
    doubling = Doubling(3)
    x = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(7)).requires_grad_()

    def gradients(made: torch.Tensor) -> list[torch.Tensor]:
        return [made, *torch.autograd.grad(made.sin().sum(), (x, doubling.weight))]

    repeated = F.interpolate(x, scale_factor=2.0)
    for ours, usual in zip(
        gradients(doubling(x)),
        gradients(F.conv2d(repeated, doubling.weight, padding=1)),
        strict=True,
    ):
        assert torch.allclose(ours, usual, atol=1e-5)


@pytest.mark.parametrize("resolution", [8, 28, 32, 40, 48, 64, 256])
def test_a_vector_stands_for_a_whole_picture(resolution):
    spec = VectorSpec(resolution, width=2)
    assert spec.side in (4, 5, 6, 7) and spec.side << spec.stages == resolution
    with torch.device("meta"):
        network = build("vector", spec)
        z = network.encode(torch.empty(1, 3, resolution, resolution))
        assert z.shape == (1, 32, 1, 1)
        assert network.decode(z).shape == (1, 3, resolution, resolution)


@torch.no_grad()
def test_a_vector_takes_pictures_of_its_own_side():
    network = small("vector")
    with pytest.raises(GenartError, match="takes pictures of 32x32 pixels, not 48x64"):
        network.encode(torch.zeros(1, 3, 64, 48))
    with pytest.raises(GenartError, match="one vector a picture, and these latents have 2x1"):
        network.decode(torch.zeros(1, 5, 2, 1))


@pytest.mark.parametrize(("family", "settings"), KINDS)
def test_a_spec_survives_json(family, settings):
    spec = FAMILIES[family][0](**SMALL[family] | settings)
    assert spec_from(family, json.loads(json.dumps(spec_settings(spec)))) == spec


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: TinySpec(channels=0), "cannot have channels 0"),
        (lambda: TinySpec(bottleneck="vqgan"), "gauss or vq or fsq"),
        (lambda: TinySpec(bottleneck="fsq", channels=6), "4 levels to 6 channels"),
        (lambda: TinySpec(bottleneck="fsq", levels=()), "0 levels"),
        (lambda: TinySpec(bottleneck="fsq", levels=(256, 256, 256, 256)), "at most 65536"),
        (lambda: VectorSpec(36), "4, 5, 6 or 7 times"),
        (lambda: VectorSpec(4), "cannot have resolution 4"),
        (lambda: VectorSpec(4096), "cannot have resolution 4096"),
        (lambda: KLSpec(widths=(64,)), "2 to 6 widths, not 1"),
        (lambda: KLSpec(widths=(64, 100)), "multiples of 32"),
        (lambda: spec_from("stylegan2", {}, "a.bin"), "a.bin holds a VAE of family 'stylegan2'"),
        (lambda: spec_from("tiny", {"width": "8"}, "a.bin"), "a.bin has the unknown .* width=8"),
        (lambda: spec_from("tiny", {"depth": 8}), "This file has the unknown .* depth=8"),
        (lambda: spec_from("tiny", 8), "family 'tiny'"),
        (lambda: spec_from(None, {}), "family None|family 'None'"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(make, says):
    with pytest.raises(GenartError, match=says) as caught:
        make()
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".")


def test_specs_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TinySpec().width = 8  # type: ignore[misc]


def test_where_codes_are_not_finite_none_can_be_counted():
    for family in SMALL:
        network = small(family)
        assert network.code_count is None
        with pytest.raises(TypeError):
            network.indices(torch.zeros(1, network.channels, 1, 1))
