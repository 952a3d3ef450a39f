"""The generator and discriminator against recorded figures and the papers' laws.

`fixtures/stylegan2/*` hold networks with random weights and what the original implementation
answers, computed in fp32 on a CPU; 1e-4 is a hundredth of one 8-bit step.
"""

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.gan import latents
from comfy_genart_nodes.gan.checkpoint import load_gan
from comfy_genart_nodes.gan.latents import GANLatent
from comfy_genart_nodes.gan.networks.discriminator import (
    Discriminator,
    DiscriminatorSpec,
    minibatch_deviation,
)
from comfy_genart_nodes.gan.networks.generator import Look, Noise
from comfy_genart_nodes.gan.networks.layers import initialise
from comfy_genart_nodes.gan.networks.stylegan2 import StyledConv, StyleGAN2
from comfy_genart_nodes.gan.networks.stylegan2_spec import StyleGAN2Spec
from comfy_genart_nodes.gan.sampling import Settings, sample
from comfy_genart_nodes.training import learners

SMALL = {"z_dim": 16, "w_dim": 16, "channel_base": 256, "channel_max": 16, "mapping_layers": 2}
BF16_MEAN, BF16_MOST = 0.005, 0.1  # a step of 8 bits is .008


@pytest.fixture(params=["plain", "classes"])
def reference(request, repository: Path):
    folder = repository / "tests" / "fixtures" / "stylegan2"
    arrays = dict(np.load(folder / f"{request.param}.npz"))
    gan = load_gan(folder / f"{request.param}.safetensors")
    recorded = {name: torch.from_numpy(array) for name, array in arrays.items()}
    classes = recorded["c"] if gan.spec.c_dim else None
    latent = GANLatent("z", recorded["z"], classes, (0, 0, 0), gan.hash)
    return gan.generator, latent, recorded


def close(a, b):
    torch.testing.assert_close(a, b, atol=1e-4, rtol=0)


def test_mapping_and_truncation_as_recorded(reference):
    generator, latent, recorded = reference
    w = latents.to_w(generator, latent).tensor
    ws = w[:, None].expand(-1, generator.spec.num_ws, -1)
    close(ws, recorded["w"])
    w_avg = generator.mapping.w_avg
    close(latents.truncate(ws, w_avg, 0.7), recorded["w_psi07"])
    close(latents.truncate(ws, w_avg, 0.5, 4), recorded["w_psi05_cut4"])


def test_pictures_as_recorded(reference):
    generator, latent, recorded = reference
    close(sample(generator, latent), recorded["img_psi1_const"])
    close(
        sample(generator, latent, Settings(psi=0.7, noise_mode="none")), recorded["img_psi07_none"]
    )


def test_pictures_of_w_plus_equal_those_of_z(reference):
    generator, latent, recorded = reference
    plus = GANLatent("w+", recorded["w"], None, (0, 0, 0), latent.model)
    close(sample(generator, plus), recorded["img_psi1_const"])


@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
@pytest.mark.parametrize("resolution", [32, 48, 64, 112, 256])
def test_every_resolution_and_architecture_makes_pictures(architecture, resolution):
    spec = StyleGAN2Spec(resolution=resolution, architecture=architecture, **SMALL)
    generator = StyleGAN2(spec).eval()
    initialise(generator, 0)
    made = sample(generator, latents.from_seeds(spec, 0, 2))
    assert made.shape == (2, 3, resolution, resolution)
    assert made.isfinite().all() and made[0].ne(made[1]).any()
    discriminator = Discriminator(DiscriminatorSpec.against(spec))
    initialise(discriminator, 0)
    assert discriminator(made).shape == (2, 1)


@pytest.mark.parametrize("resolution", [16, 31, 100, 1000, 2048])
def test_impossible_resolutions_name_possible_ones(resolution):
    with pytest.raises(GenartError, match=r"nearest are \d+ and \d+"):
        StyleGAN2Spec(resolution=resolution)


def test_features_keep_their_variance():
    """Demodulation and gains: features have unit second moment whatever the style."""
    spec = StyleGAN2Spec(resolution=64, z_dim=64, w_dim=64, channel_base=4096, channel_max=64)
    generator = StyleGAN2(spec)
    initialise(generator, 0)
    layer = generator.synthesis.b64.conv1
    random = torch.Generator().manual_seed(1)
    x = torch.randn(8, 64, 64, 64, generator=random)
    w = torch.randn(8, 64, generator=random) * 3
    moment = layer(x, w, Noise("none"))[:, :, 2:-2, 2:-2].square().mean()
    # lrelu halves the second moment of the negative side; its gain sqrt 2 makes up for all but
    # the slope's square: (1 + .2^2) / 2 * 2 = 1.04. One layer of 64 random channels: 5 %.
    assert abs(moment - 1.04) < 0.05


@pytest.fixture(scope="module")
def wide():
    """A network large and wide enough for all that makes a CPU faster, every weight drawn."""
    spec = StyleGAN2Spec(
        resolution=128, z_dim=16, w_dim=16, channel_base=12288, channel_max=96, mapping_layers=1
    )
    generator = StyleGAN2(spec)
    initialise(generator, 0)
    random = torch.Generator().manual_seed(1)
    for parameter in generator.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1, generator=random)
    return generator.eval()


def test_what_makes_sampling_faster_changes_no_picture(wide):
    """Memory used again, fewer products, pictures one by one: none of it where gradients flow."""
    ws = torch.randn(2, wide.spec.num_ws, 16, generator=torch.Generator().manual_seed(2))
    plain = wide.synthesize(ws, Look())
    assert plain.requires_grad
    with torch.no_grad():
        close(wide.synthesize(ws, Look()), plain.detach())
        close(wide.synthesize(ws[1:], Look()), plain.detach()[1:])


def test_the_order_in_memory_that_trains_fast_changes_no_picture(reference):
    generator, latent, recorded = reference
    ordered = copy.deepcopy(generator)
    learners.place(ordered, torch.device("cpu"), torch.float32)
    for layer in ordered.modules():
        if isinstance(layer, StyledConv):
            taken = layer.weight.transpose(0, 1) if layer.up else layer.weight
            assert taken.is_contiguous(memory_format=torch.channels_last)
    close(sample(ordered, latent), recorded["img_psi1_const"])


def test_random_noise_is_a_picture_s_own_also_one_by_one(wide):
    latent = latents.from_seeds(wide.spec, 0, 2)
    settings = Settings(noise_mode="random", noise_seed=1)
    close(
        sample(wide, latents.pick(latent, [1]), settings, first=1),
        sample(wide, latent, settings)[1:],
    )


def test_noise_of_no_strength_is_no_noise_and_enters_linearly(reference):
    generator, latent, _ = reference
    silent = sample(generator, latent, Settings(noise_strength=0.0))
    close(silent, sample(generator, latent, Settings(noise_mode="none")))
    layer = copy.deepcopy(generator.synthesis.b64.conv1)
    layer.noise_strength.fill_(0.1)
    layer.bias.fill_(100.0)  # far on the linear side of the leaky ReLU
    x = torch.randn(1, layer.weight.shape[1], 64, 64, generator=torch.Generator().manual_seed(1))
    w = torch.randn(1, generator.spec.w_dim, generator=torch.Generator().manual_seed(2))
    zero, one, three = (layer(x, w, Noise("const", strength)) for strength in (0.0, 1.0, 3.0))
    torch.testing.assert_close(three - zero, 3 * (one - zero), atol=1e-3, rtol=0)
    assert (one - zero).abs().max() > 0.1


def test_features_stay_within_the_clamp():
    generators = []
    for clamp in (0.0, 1e6, 0.5):
        generators.append(StyleGAN2(StyleGAN2Spec(resolution=32, conv_clamp=clamp, **SMALL)))
        initialise(generators[-1], 0)
    latent = latents.from_seeds(generators[0].spec, 0, 2)
    free, far, near = (sample(generator, latent) for generator in generators)
    assert torch.equal(free, far) and not torch.equal(free, near)
    ws = torch.randn(2, 16, generator=torch.Generator().manual_seed(1))
    x = torch.randn(2, 8, 32, 32, generator=torch.Generator().manual_seed(2))
    features = generators[2].synthesis.b32.conv1(x, ws, Noise(), gain=math.sqrt(0.5))
    assert features.abs().max().item() == pytest.approx(0.5 * math.sqrt(0.5))


def test_bf16_differs_in_the_third_digit(repository):
    gan = load_gan(repository / "models" / "gan" / "emoji_people_64.safetensors")
    latent = latents.from_seeds(gan.spec, 0, 2)
    exact = sample(gan.generator, latent, Settings(psi=0.7))
    coarse = sample(gan.generator, latent, Settings(psi=0.7, precision="bf16"))
    assert coarse.dtype == torch.float32
    difference = (coarse - exact).abs()
    assert 0 < difference.mean() < BF16_MEAN and difference.max() < BF16_MOST


def test_random_noise_depends_on_seed_and_place_alone(reference):
    generator, latent, _ = reference
    whole = sample(generator, latent, Settings(noise_mode="random", noise_seed=3))
    tail = latents.pick(latent, [1, 2])
    close(sample(generator, tail, Settings(noise_mode="random", noise_seed=3), first=1), whole[1:])
    other = sample(generator, latent, Settings(noise_mode="random", noise_seed=4))
    assert not torch.allclose(whole, other, atol=1e-3)


def test_psi_zero_is_one_picture(reference):
    generator, latent, _ = reference
    made = sample(generator, latent, Settings(psi=0.0, noise_mode="none"))
    close(made[1:], made[:1].expand(2, -1, -1, -1))


def test_latents_of_another_network_are_refused(reference):
    generator, latent, _ = reference
    wrong = GANLatent("z", torch.zeros(1, 7), latent.classes, (0,), "")
    with pytest.raises(GenartError, match="another GAN"):
        sample(generator, wrong)


def test_minibatch_deviation_of_equal_pictures_is_zero_and_groups_are_neighbours():
    one = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    same = one.expand(4, -1, -1, -1)
    other = torch.randn(4, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    channel = minibatch_deviation(torch.cat([same, other]), group=4)[:, -1]
    assert channel[:4].abs().max() < 1e-3  # sqrt(1e-8)
    assert channel[4:].min() > 0.5


def test_discriminator_sees_the_order_of_nothing_but_groups():
    spec = DiscriminatorSpec(resolution=32, channel_base=256, channel_max=16, group=2)
    discriminator = Discriminator(spec)
    initialise(discriminator, 0)
    x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(discriminator(x)[[2, 3, 0, 1]], discriminator(x[[2, 3, 0, 1]]))


def test_equal_seeds_draw_equal_weights():
    spec = StyleGAN2Spec(resolution=32, **SMALL)
    a, b, c = StyleGAN2(spec), StyleGAN2(spec), StyleGAN2(spec)
    initialise(a, 5)
    initialise(b, 5)
    initialise(c, 6)
    for name, tensor in a.state_dict().items():
        assert torch.equal(tensor, b.state_dict()[name])
    assert not torch.equal(a.synthesis.b4.const, c.synthesis.b4.const)
