"""Measures of autoencoders: torchmetrics' figures, and closed forms of latents that are known."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.training.vae_measures import measure_vae
from comfy_genart_nodes.vae.networks.autoencoder import Autoencoder, Coded
from comfy_genart_nodes.vae.networks.tiny import TinySpec, TinyVAE


class Means(Autoencoder):
    """Means over squares of 4 x 4 as latents, and known variances for each channel."""

    family = "means"
    factor, channels, numbers = 4, 3, 3

    def __init__(self, logvar: Tensor | None = None, code_count: int | None = None):
        super().__init__()
        self.logvar, self.code_count = logvar, code_count

    def initialise(self, generator):
        pass

    def code(self, pictures, noise):
        assert noise is None  # measures are functions of the pictures
        mean = self.encode(pictures)
        return Coded(mean, mean, self.logvar)

    def encode(self, pictures):
        return F.avg_pool2d(pictures, 4)

    def decode(self, latents):
        return F.interpolate(latents, scale_factor=4, mode="bilinear")

    def decoder_parameters(self):
        return []

    def indices(self, latents):
        return (latents[:, :1] > 0).long() + 2 * (latents[:, 1:2] > 2).long()


LOGVAR = torch.tensor([-2.0, 0.0, 1.0]).view(1, 3, 1, 1)


def pictures(count: int = 10, side: int = 24) -> Tensor:
    """Smooth pictures of eight bits."""
    chance = torch.Generator().manual_seed(0)
    coarse = torch.randn(count, 3, 6, 6, generator=chance)
    smooth = F.interpolate(coarse, (side, side), mode="bicubic").clamp(-1, 1)
    return (smooth * 127.5 + 127.5).round() / 127.5 - 1


def rebuilt(x: Tensor) -> tuple[Tensor, Tensor]:
    """What `Means` makes of pictures, and these, as whole numbers of eight bits."""
    made = F.interpolate(F.avg_pool2d(x, 4), scale_factor=4, mode="bilinear")
    return tuple(((y + 1) * 127.5).round().clamp(0, 255) for y in (made, x))


def test_likeness_is_that_of_the_reference():
    x = pictures()
    made, real = rebuilt(x)
    found = measure_vae(Means(LOGVAR), x.split(4))
    wanted = peak_signal_noise_ratio(made, real, data_range=255.0)
    assert found["psnr"] == pytest.approx(float(wanted), abs=1e-3)
    assert found["psnr"] == pytest.approx(-10 * math.log10(found["mse"]))
    _, places = structural_similarity_index_measure(
        made, real, data_range=255.0, return_full_image=True
    )
    inside = places[..., 5:-5, 5:-5]  # where windows see nothing that was reflected at an edge
    assert found["ssim"] == pytest.approx(float(inside.mean()), abs=2e-5)
    assert 0.2 < found["ssim"] < 0.98  # where it could be wrong


def test_errors_are_pooled_over_pictures_not_ratios_averaged():
    flat, busy = torch.zeros(1, 3, 24, 24), torch.randn(1, 3, 24, 24).clamp(-1, 1)
    alone = measure_vae(Means(LOGVAR), [busy])
    both = measure_vae(Means(LOGVAR), [flat, busy])
    assert both["psnr"] == pytest.approx(alone["psnr"] + 10 * math.log10(2), abs=0.01)


def test_how_pictures_come_in_batches_changes_nothing():
    x = pictures()
    whole, parts = (measure_vae(Means(LOGVAR), x.split(size)) for size in (10, 3))
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        assert parts[name] == pytest.approx(value, rel=1e-5), name


def test_nats_are_those_of_normal_distributions():
    x = pictures()
    mean = F.avg_pool2d(x, 4)
    found = measure_vae(Means(LOGVAR), [x])
    posterior = torch.distributions.Normal(mean, (LOGVAR / 2).exp().expand_as(mean))
    prior = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    nats = torch.distributions.kl_divergence(posterior, prior).sum(dim=(2, 3)).mean(dim=0)
    assert found["kl_per_dim"] == pytest.approx(nats.tolist(), rel=1e-5)
    assert found["kl"] == pytest.approx(float(nats.sum()), rel=1e-5)


def test_units_are_active_that_vary_over_pictures():
    x = pictures()
    x[:, 1] = 0.5  # the same in every picture, however unusual
    x[:, 2] = x[:, 2] * 0.02  # a variance of less than .01
    x[:, 0, :4] = torch.linspace(-1, 1, 24)  # the same in every picture, different over places
    found = measure_vae(Means(LOGVAR), [x])
    assert found["units"] == 3 * 6 * 6
    assert found["active"] == 6 * 6 - 6


def test_codes_are_counted():
    """Of four codes two are taken, one by a quarter of the places."""
    x = torch.ones(4, 3, 24, 24)
    x[3] = -1
    found = measure_vae(Means(code_count=4), x.split(3))
    assert found["used"] == 2
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert found["perplexity"] == pytest.approx(math.exp(entropy))
    assert "kl" not in found


@pytest.mark.parametrize("bottleneck", ["gauss", "vq", "fsq"])
def test_real_networks_are_measured(bottleneck):
    network = TinyVAE(TinySpec(width=16, bottleneck=bottleneck))
    network.initialise(torch.Generator().manual_seed(0))
    x = pictures()
    before = {name: t.clone() for name, t in network.state_dict().items()}
    found = measure_vae(network, x.split(5), lambda made, real: (made - real).abs().amax((1, 2, 3)))
    assert 5 < found["psnr"] < 20 and 0 < found["perceptual"] <= 2
    assert found["units"] == 4 * 3 * 3
    assert ("kl" in found) == (bottleneck == "gauss") != ("used" in found)
    if "used" in found:
        assert 1 <= found["perplexity"] <= found["used"] <= min(network.code_count, 10 * 9)
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())


def test_without_pictures_nothing_is_measured():
    with pytest.raises(GenartError, match="no pictures"):
        measure_vae(Means(LOGVAR), [])


def test_what_is_not_a_number_is_told():
    broken = Means(LOGVAR)
    broken.decode = lambda latents: torch.full((len(latents), 3, 24, 24), math.nan)
    with pytest.raises(GenartError, match="not numbers any more"):
        measure_vae(broken, [pictures()])
