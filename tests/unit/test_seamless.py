"""VAEs of diffusers in strips: the numbers of the class, wherever pictures are cut."""

import logging
from typing import Any

import pytest
import torch
from small_vaes import KINDS, small
from tiny_vaes import PICTURES, autoencoder, decoded, encoded
from torch import nn

from comfy_genart_nodes.vae.adapter import Layout, OwnVAE, PictureVAE
from comfy_genart_nodes.vae.latent_spaces import Patches, Scaled
from comfy_genart_nodes.vae.layers import UnknownError
from comfy_genart_nodes.vae.seamless import Coder, decoder_of, encoder_of
from comfy_genart_nodes.vae.strips import Workshop

FOLDING = ("AutoencoderDC", "AutoencoderKLFlux2", "AutoencoderKLHunyuanImage")
ENCODERS_ALONE = ("AutoencoderKLTemporalDecoder", "ConsistencyDecoderVAE")
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("AutoencoderKL", {"use_quant_conv": False, "use_post_quant_conv": False}),
    ("AutoencoderKL", {"mid_block_add_attention": False}),
    (
        "AutoencoderKL",
        {
            "down_block_types": ["DownEncoderBlock2D", "AttnDownEncoderBlock2D"],
            "up_block_types": ["AttnUpDecoderBlock2D", "UpDecoderBlock2D"],
        },
    ),
    ("AutoencoderTiny", {"latent_channels": 16, "upsampling_scaling_factor": 2}),
    ("VQModel", {"vq_embed_dim": 5}),
    ("AutoencoderDC", {"upsample_block_type": "interpolate", "downsample_block_type": "conv"}),
    ("AutoencoderDC", {"encoder_out_shortcut": False, "decoder_in_shortcut": False}),
    ("AutoencoderDC", {"decoder_norm_types": "batch_norm", "decoder_act_fns": "relu"}),
    (
        "AutoencoderDC",
        {"encoder_layers_per_block": [0, 1], "decoder_layers_per_block": [0, 1]},
    ),
]


def drawn(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1


def held(network: Any) -> PictureVAE:
    space = Patches(network.bn) if hasattr(network, "bn") else Scaled()
    return PictureVAE(network, Layout(1, 1), space)


def made(coder: Coder, x: torch.Tensor, strip_bytes: int) -> torch.Tensor:
    """What a half makes of it, having gone through as many maps as it said."""
    shop = Workshop(torch.device("cpu"), strip_bytes)
    result = coder(x, shop)
    assert shop.passes == coder.passes
    return result


def check(network: Any, x: torch.Tensor, strip_bytes: int, exact: bool) -> None:
    """Both halves are those of the class."""
    near = {"atol": 1e-5 if exact else 1e-4, "rtol": 0}  # diffusers' RMS norms round to float32
    vae, latents = held(network), encoded(network, x)
    torch.testing.assert_close(made(encoder_of(vae), x, strip_bytes), latents, **near)
    pictures = decoded(network, latents)
    assert latents.std() > 0.01 and pictures.std() > 0.01
    torch.testing.assert_close(made(decoder_of(vae), latents, strip_bytes), pictures, **near)


@torch.no_grad()
@pytest.mark.parametrize("strip_bytes", [1, 20_000, 2**30])
@pytest.mark.parametrize("class_name", [name for name in PICTURES if name not in ENCODERS_ALONE])
def test_both_halves_are_those_of_the_class(class_name, strip_bytes):
    """Of a picture whose sides no factor divides, where the class takes it."""
    sides = (44, 28) if class_name in FOLDING else (45, 27)
    check(autoencoder(class_name).double(), drawn(1, 3, *sides), strip_bytes, exact=True)


@torch.no_grad()
@pytest.mark.parametrize("class_name", [name for name in PICTURES if name not in ENCODERS_ALONE])
def test_so_they_are_in_float32(class_name):
    x = drawn(1, 3, 32, 48).float()
    check(autoencoder(class_name), x, 20_000, exact=False)


@torch.no_grad()
@pytest.mark.parametrize(("class_name", "more"), VARIANTS)
def test_other_settings_of_a_class(class_name, more):
    check(autoencoder(class_name, **more).double(), drawn(1, 3, 20, 32), 20_000, exact=True)


@torch.no_grad()
@pytest.mark.parametrize(("family", "settings"), [kind for kind in KINDS if kind[0] != "vector"])
def test_autoencoders_of_this_pack_are_known(family, settings):
    vae, x = OwnVAE(small(family, **settings).double()), drawn(1, 3, 48, 24)
    latents = made(encoder_of(vae), x, 20_000)
    torch.testing.assert_close(latents, vae.encode(x))
    torch.testing.assert_close(made(decoder_of(vae), latents, 20_000), vae.decode(latents))


def test_one_that_decodes_a_vector_is_unknown():
    with pytest.raises(UnknownError, match="VectorVAE, has no decoder"):
        decoder_of(OwnVAE(small("vector")))


@torch.no_grad()
@pytest.mark.parametrize("class_name", ENCODERS_ALONE)
def test_some_have_an_encoder_that_is_known(class_name):
    vae, x = held(autoencoder(class_name).double()), drawn(1, 3, 32, 40)
    torch.testing.assert_close(made(encoder_of(vae), x, 20_000), encoded(vae.network, x))
    with pytest.raises(UnknownError, match=r"This VAE.* known here.*\.$"):
        decoder_of(vae)


@pytest.mark.parametrize("class_name", ["AutoencoderKLQwenImage", "AutoencoderKLWan"])
def test_films_are_unknown(class_name):
    vae = held(autoencoder(class_name))
    for find in (encoder_of, decoder_of):
        with pytest.raises(UnknownError, match="no plain convolution"):
            find(vae)


@pytest.mark.parametrize(
    ("class_name", "more"),
    [
        ("AutoencoderKL", {"act_fn": "mish"}),
        ("AutoencoderTiny", {"act_fn": "gelu"}),
        ("AutoencoderTiny", {"upsample_fn": "bilinear"}),
        ("VQModel", {"norm_type": "spatial", "norm_num_groups": 8, "block_out_channels": [32, 32]}),
    ],
)
def test_what_is_computed_otherwise_is_unknown(class_name, more):
    with pytest.raises(UnknownError, match="not known here"):
        decoder_of(held(autoencoder(class_name, **more)))


@pytest.mark.parametrize("change", ["heads", "scale", "part"])
def test_a_part_that_is_another_makes_a_vae_unknown(change):
    network = autoencoder("AutoencoderKL")
    decoder_of(held(network))
    if change == "heads":
        network.decoder.mid_block.attentions[0].heads = 2
    elif change == "scale":
        network.decoder.up_blocks[0].resnets[0].output_scale_factor = 2.0
    else:
        network.decoder.mid_block.more = nn.Conv2d(1, 1, 1)
    with pytest.raises(UnknownError):
        decoder_of(held(network))


@torch.no_grad()
@pytest.mark.parametrize("class_name", [name for name in PICTURES if name not in ENCODERS_ALONE])
def test_half_precision_is_near(class_name):
    network = autoencoder(class_name)
    x = drawn(1, 3, 32, 32).float()
    latents = encoded(network, x)
    vae = held(network.half())
    found = made(encoder_of(vae), x.half(), 20_000)
    pictures = made(decoder_of(vae), latents.half(), 20_000)
    assert found.dtype is pictures.dtype is torch.float16
    assert torch.allclose(found.float(), latents, atol=0.02)
    far = (pictures.float() - decoded(network.float(), latents)).abs()
    assert far.mean() < 0.01  # and not the greatest: VQModel may choose another code at a place


@torch.no_grad()
def test_what_runs_over_in_half_precision_is_done_again(caplog):
    network = autoencoder("AutoencoderKL")
    network.decoder.conv_in.weight.fill_(6e4)  # the norm after it makes the picture ordinary again
    latents = drawn(1, 16, 8, 8).abs().float()
    expected = decoded(network, latents)
    vae = held(network.half())
    with caplog.at_level(logging.WARNING):
        pictures = made(decoder_of(vae), latents.half(), 20_000)
    assert pictures.dtype is torch.float32 and torch.allclose(pictures, expected, atol=0.02)
    assert ["AutoencoderKL" in record.message for record in caplog.records] == [True]
