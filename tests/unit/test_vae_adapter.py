"""Autoencoders of diffusers through the adapter: the numbers are diffusers' own."""

import logging

import pytest
import torch
from tiny_vaes import PICTURES, SETTINGS, autoencoder, decoded, encoded, save

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.latent.families import SCALES
from comfy_genart_nodes.vae.opening import open_vae
from comfy_genart_nodes.vae.stock import stock_weights

CHANNELS = {
    "AutoencoderKL": (16, 2),
    "AutoencoderTiny": (4, 8),
    "AsymmetricAutoencoderKL": (4, 2),
    "VQModel": (3, 2),
    "AutoencoderDC": (8, 2),
    "ConsistencyDecoderVAE": (4, 8),
    "AutoencoderKLTemporalDecoder": (4, 2),
    "AutoencoderKLFlux2": (16, 4),
    "AutoencoderKLHunyuanImage": (8, 2),
    "AutoencoderKLQwenImage": (4, 4),
    "AutoencoderKLWan": (4, 8),
}


def pictures(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A network of a class, and its folder."""
    folder, found = tmp_path_factory.mktemp("vaes"), {}

    def of(class_name: str):
        if class_name not in found:
            found[class_name] = save(folder / class_name, class_name), folder / class_name
        return found[class_name]

    return of


@torch.no_grad()
@pytest.mark.parametrize("class_name", SETTINGS)
def test_encode_and_decode_are_those_of_diffusers(saved, class_name):
    network, folder = saved(class_name)
    vae = open_vae(folder)
    x = pictures(2, 3, 32, 48)
    x = x if class_name in PICTURES else pictures(1, 3, 5, 32, 48)
    latents = vae.encode(x)
    channels, factor = CHANNELS[class_name]
    assert (vae.layout.channels, vae.layout.factor) == (channels, factor)
    assert latents.shape[1] == channels and latents.shape[-1] == 48 // factor
    assert torch.allclose(latents, encoded(network, x), atol=1e-4) and latents.std() > 0.01
    made = vae.decode(latents)
    assert made.shape == x.shape
    assert torch.allclose(made, decoded(network, latents), atol=1e-4) and made.std() > 0.01
    assert torch.equal(vae.decode(latents), made) and torch.equal(vae.encode(x), latents)


@torch.no_grad()
@pytest.mark.parametrize("class_name", ["AutoencoderKLWan", "AutoencoderKLQwenImage"])
def test_a_film_has_fewer_frames_in_its_latents(saved, class_name):
    vae = open_vae(saved(class_name)[1])
    frames = 2 * vae.layout.frames + 1
    latents = vae.encode(pictures(1, 3, frames, 32, 32))
    assert latents.shape[2] == 3 and vae.decode(latents).shape[2] == frames


@torch.no_grad()
def test_a_picture_does_not_depend_on_its_batch(saved):
    """Even where a decoder begins with noise."""
    vae = open_vae(saved("ConsistencyDecoderVAE")[1])
    latents = vae.encode(pictures(2, 3, 32, 32))
    both = vae.decode(latents)
    assert torch.allclose(vae.decode(latents[1:]), both[1:], atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("model", SCALES)
def test_latents_of_a_diffusion_model_are_those_before_its_scale(saved, model):
    network, folder = saved("AutoencoderTiny")
    vae, (scale, shift) = open_vae(folder, model), SCALES[model]
    x = pictures(1, 3, 32, 32)
    latents = vae.encode(x)
    assert torch.allclose((latents - shift) * scale, network.encode(x).latents, atol=1e-4)
    expected = decoded(network, network.encode(x).latents)
    assert torch.allclose(vae.decode(latents), expected, atol=1e-4)


def test_only_the_tiny_one_asks_whose_latents(saved):
    with pytest.raises(GenartError, match="AutoencoderKL, whose latents need no scale"):
        open_vae(saved("AutoencoderKL")[1], "SDXL")


@torch.no_grad()
@pytest.mark.parametrize("channels", [4, 12])
def test_latents_of_another_family_are_named(saved, channels):
    vae = open_vae(saved("AutoencoderKL")[1])
    with pytest.raises(GenartError, match=f"have {channels} channels.*16 channels.*SD 3") as caught:
        vae.decode(torch.zeros(1, channels, 4, 4))
    assert ("SD 1.5" in str(caught.value)) == (channels == 4)


@torch.no_grad()
def test_films_and_pictures_are_told_apart(saved):
    picture, film = (open_vae(saved(name)[1]) for name in ("AutoencoderTiny", "AutoencoderKLWan"))
    with pytest.raises(GenartError, match="latents of films"):
        picture.decode(torch.zeros(1, 4, 1, 4, 4))
    with pytest.raises(GenartError, match="latents of pictures"):
        film.decode(torch.zeros(1, 4, 4, 4))


@torch.inference_mode()
@pytest.mark.parametrize("class_name", SETTINGS)
def test_half_precision_is_near(saved, class_name):
    network, folder = saved(class_name)
    vae = open_vae(folder).half()
    x = pictures(1, 3, 32, 32) if class_name in PICTURES else pictures(1, 3, 1, 32, 32)
    expected = encoded(network, x)
    latents, made = vae.encode(x), vae.decode(expected)
    assert latents.dtype is made.dtype is torch.float16 and made.isfinite().all()
    assert torch.allclose(latents.float(), expected, atol=0.02)
    if class_name != "ConsistencyDecoderVAE":  # its noise is another one in half precision
        far = (made.float() - decoded(network, expected)).abs()
        assert far.mean() < 0.01  # and not the greatest: VQModel may choose another code at a place


@torch.no_grad()
def test_what_runs_over_in_half_precision_is_done_again(tmp_path, caplog):
    network = autoencoder("AutoencoderKL")
    network.decoder.conv_in.weight.fill_(6e4)  # the norm after it makes the picture ordinary again
    network.save_pretrained(tmp_path)
    half = open_vae(tmp_path).half()
    before = {name: value.clone() for name, value in half.state_dict().items()}
    latents = torch.rand(1, 16, 8, 8, generator=torch.Generator().manual_seed(3))
    with caplog.at_level(logging.WARNING):
        first, second = half.decode(latents), half.decode(latents)
    assert torch.allclose(first, decoded(network, latents), atol=0.02)
    assert torch.equal(first, second)
    assert [record.message.startswith("genart: AutoencoderKL") for record in caplog.records] == [
        True
    ]
    after = half.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


@torch.no_grad()
def test_a_config_may_ask_for_float32_from_the_start(tmp_path, caplog):
    network = autoencoder("AutoencoderKL", force_upcast=True)
    network.save_pretrained(tmp_path / "vae")
    vae = open_vae(tmp_path / "vae")
    assert vae.wide
    x = pictures(1, 3, 16, 16)
    with caplog.at_level(logging.WARNING):
        assert torch.allclose(vae.half().encode(x), encoded(network, x), atol=1e-2)
    assert not caplog.records


def test_a_tiny_one_is_saved_in_the_layout_of_taesd(saved):
    _, folder = saved("AutoencoderTiny")
    weights = stock_weights(open_vae(folder, "SDXL"))
    assert weights["taesd_encoder.0.weight"].shape == (64, 3, 3, 3)
    assert weights["taesd_decoder.1.weight"].shape == (64, 4, 3, 3)
    assert float(weights["vae_scale"]) == pytest.approx(0.13025)
