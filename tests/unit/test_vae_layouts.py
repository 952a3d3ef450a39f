"""Trained autoencoders on disk: every layout gives the same network back, bad files are refused."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_vaes import KINDS, SMALL, loaded, pictures, small
from tiny_vaes import autoencoder

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.gan.checkpoint import FORMAT, load_gan, read_header, write
from comfy_genart_nodes.vae import ldm_names, tiny_names
from comfy_genart_nodes.vae.adapter import OwnVAE
from comfy_genart_nodes.vae.files import PREFIX, from_weights, load_vae, save_vae
from comfy_genart_nodes.vae.layouts import stock_tensors
from comfy_genart_nodes.vae.networks.families import build
from comfy_genart_nodes.vae.networks.kl import KLSpec
from comfy_genart_nodes.vae.opening import open_vae
from comfy_genart_nodes.vae.stock import stock_weights

NARROW = [("tiny", settings) for family, settings in KINDS if family == "tiny"]


@torch.no_grad()
def agree(one, other, tolerance: float = 0.0) -> bool:
    """Whether two networks encode and decode alike."""
    x = pictures()
    z = one.encode(x).contiguous()  # in another order of memory CPUs round otherwise
    return torch.allclose(other.encode(x), z, atol=tolerance, rtol=0) and torch.allclose(
        other.decode(z), one.decode(z), atol=tolerance, rtol=0
    )


def refused(call, says: str) -> None:
    with pytest.raises(GenartError, match=says) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".") and len(message) < 400


@pytest.mark.parametrize(("family", "settings"), KINDS)
def test_a_file_of_our_own_keeps_everything(tmp_path, family, settings):
    vae = loaded(small(family, **settings), data="emoji")
    save_vae(tmp_path / "a.safetensors", vae, "own")
    found = load_vae(tmp_path / "a.safetensors")
    assert found.header == vae.header and found.network.spec == vae.network.spec
    assert agree(vae.network, found.network)
    assert not found.network.training
    assert not any(weight.requires_grad for weight in found.network.parameters())


def test_equal_networks_give_equal_files_and_hashes(tmp_path):
    paths = [tmp_path / "a", tmp_path / "b", tmp_path / "c"]
    for path, seed in zip(paths, (1, 1, 2), strict=True):
        save_vae(path, loaded(small("tiny", seed)), "own")
    assert paths[0].read_bytes() == paths[1].read_bytes()
    hashes = [load_vae(path).hash for path in paths]
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_checkpoint_of_training_is_read_for_its_average(tmp_path):
    vae, other = loaded(small("tiny", 1)), small("tiny", 2)
    tensors = {PREFIX + name: value for name, value in vae.network.state_dict().items()}
    tensors |= {f"vae.{name}": value for name, value in other.state_dict().items()}
    write(tmp_path / "step", tensors, vae.header | {"step": 7})
    found = load_vae(tmp_path / "step")
    assert agree(vae.network, found.network) and found.header == vae.header


@torch.no_grad()
@pytest.mark.parametrize("settings", [settings for _, settings in NARROW], ids=str)
@pytest.mark.parametrize("shape", [{"width": 8, "blocks": 1}, {"width": 24, "blocks": 2}], ids=str)
def test_the_stock_layout_is_taesd_whatever_the_width(tmp_path, settings, shape):
    vae = loaded(small("tiny", **settings, **shape, channels=4), data="emoji")
    save_vae(tmp_path / "a.safetensors", vae, "stock")
    tensors = load_file(tmp_path / "a.safetensors")
    named = {name: tuple(value.shape) for name, value in tensors.items() if "taesd" in name}
    wanted = autoencoder("AutoencoderTiny").state_dict()
    assert named == {
        name: tuple(value.shape) for name, value in tiny_names.from_diffusers(wanted).items()
    }
    assert tensors["vae_scale"] == 1 and tensors["vae_shift"] == 0
    found = load_vae(tmp_path / "a.safetensors")
    assert found.network.spec.width == 64 and found.network.spec.blocks == 3
    assert found.network.spec.bottleneck == vae.network.spec.bottleneck
    assert found.header["latents"] == vae.header["latents"]
    assert found.header["info"] == {"data": "emoji"}
    assert agree(vae.network, found.network, 2e-6)


@torch.no_grad()
def test_taesd_agrees_with_that_of_diffusers():
    theirs = autoencoder("AutoencoderTiny")
    state = tiny_names.from_diffusers(theirs.state_dict())
    state |= {"vae_scale": torch.tensor(0.18215), "vae_shift": torch.tensor(0.0)}
    ours = from_weights(state).network
    x = pictures()
    z = ours.encode(x)
    assert torch.allclose(z * 0.18215, theirs.encode(x).latents, atol=1e-5)
    assert torch.allclose(ours.decode(z), theirs.decode(z * 0.18215).sample, atol=1e-5)
    assert agree(from_weights(theirs.state_dict()).network, from_weights(state).network) is False


@pytest.mark.parametrize(
    ("family", "settings"), [each for each in KINDS if each[0] == "kl"] + NARROW[:1]
)
def test_the_layout_of_diffusers_opens_with_diffusers(tmp_path, family, settings):
    vae = loaded(small(family, **settings))
    save_vae(tmp_path / "vae", vae, "diffusers")
    assert agree(vae.network, open_vae(tmp_path / "vae"), 1e-6)
    assert agree(
        vae.network, load_vae(tmp_path / "vae" / "diffusion_pytorch_model.safetensors").network
    )
    config = json.loads((tmp_path / "vae" / "config.json").read_text())
    diffusers = pytest.importorskip("diffusers")
    made = getattr(diffusers, config["_class_name"]).from_pretrained(tmp_path / "vae")
    assert agree(vae.network, _Plain(made), 1e-6)


class _Plain:
    """A network of diffusers with methods named and answering as ours."""

    def __init__(self, network) -> None:
        self.network = network

    def encode(self, x):
        made = self.network.encode(x)
        return made.latent_dist.mode() if hasattr(made, "latent_dist") else made.latents

    def decode(self, z):
        return self.network.decode(z).sample


def test_attention_as_diffusers_once_named_it_is_known():
    network = small("kl", attention=True)
    state = network.network.state_dict()
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    for new, name in old.items():
        state = {key.replace(f".{new}.", f".{name}."): value for key, value in state.items()}
    assert any(".proj_attn." in key for key in state)
    assert agree(from_weights(state).network, network)


def test_weights_outlive_half_precision():
    """What is saved, or trained further, is what was learned: not what a card works with."""
    network = small("tiny")
    vae = OwnVAE(network)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    vae.keep_learned()
    vae.to(torch.bfloat16)
    for name, value in vae.learned.state_dict().items():
        assert value.equal(before[name]), name
    assert next(vae.network.parameters()).dtype is torch.bfloat16


@pytest.mark.parametrize("around", [True, False])
@pytest.mark.parametrize("attention", [True, False])
def test_names_of_latent_diffusion_and_of_diffusers_tell_the_same(around, attention):
    network = small("kl", widths=(32, 64, 32), layers=2, around=around, attention=attention)
    theirs = network.network.state_dict()
    named = ldm_names.to_ldm(theirs)
    assert len(named) == len(theirs)
    assert not any("blocks" in name or "resnets" in name or "to_q" in name for name in named)
    back = ldm_names.to_diffusers(named)
    assert set(back) == set(theirs) and all(torch.equal(back[k], theirs[k]) for k in theirs)
    again = ldm_names.to_ldm(back)
    assert set(again) == set(named) and all(torch.equal(again[k], named[k]) for k in named)
    for state in (named, theirs):
        found = from_weights(state)
        assert found.network.spec == network.spec and agree(network, found.network)


def test_ldms_names_are_those_of_its_files():
    """A few of them, as they stand in every SD checkpoint behind `first_stage_model.`."""
    spec = KLSpec(widths=(128, 256, 512, 512), around=True)
    with torch.device("meta"):
        named = {k: tuple(v.shape) for k, v in stock_tensors(build("kl", spec)).items()}
    assert len(named) == 248
    for name, shape in {
        "encoder.down.2.block.0.nin_shortcut.weight": (512, 256, 1, 1),
        "encoder.down.0.downsample.conv.bias": (128,),
        "encoder.mid.attn_1.q.weight": (512, 512, 1, 1),
        "encoder.norm_out.weight": (512,),
        "encoder.conv_out.weight": (8, 512, 3, 3),
        "decoder.conv_in.weight": (512, 4, 3, 3),
        "decoder.mid.block_2.norm1.weight": (512,),
        "decoder.up.0.block.0.conv1.weight": (128, 256, 3, 3),
        "decoder.up.1.block.2.norm2.bias": (256,),
        "decoder.up.3.upsample.conv.weight": (512, 512, 3, 3),
        "decoder.mid.attn_1.proj_out.weight": (512, 512, 1, 1),
        "post_quant_conv.weight": (4, 4, 1, 1),
        "quant_conv.bias": (8,),
    }.items():
        assert named[name] == shape, name


def test_what_old_training_code_left_in_a_file_is_passed_over():
    network = small("kl")
    state = ldm_names.to_ldm(network.network.state_dict())
    state |= {"loss.logvar": torch.zeros(()), "model_ema.decay": torch.ones(())}
    assert agree(network, from_weights(state).network)


def test_half_precision_is_read_and_the_callers_tensors_stay_theirs():
    network = small("tiny")
    state = {name: value.half() for name, value in stock_tensors(network).items()}
    kept = {name: value.clone() for name, value in state.items()}
    found = from_weights(state).network
    assert {value.dtype for value in found.state_dict().values()} == {torch.float32}
    with torch.no_grad():
        for weight in found.parameters():
            weight.add_(1)
    assert all(torch.equal(state[name], value) for name, value in kept.items())


@pytest.mark.parametrize(("family", "settings"), KINDS)
def test_what_comfyui_saves_is_known_again(family, settings):
    """Core's Save VAE writes what the VAE object gives it, without a header."""
    network = small(family, **settings)
    state = stock_weights(OwnVAE(network))
    found = from_weights(state).network
    assert found.family == family and agree(network, found, 2e-6)


@torch.no_grad()
@pytest.mark.parametrize("family", SMALL)
def test_the_adapter_tells_latents_of_another_family_apart(family):
    vae = OwnVAE(small(family))
    with pytest.raises(GenartError, match="7 channels"):
        vae.decode(torch.zeros(1, 7, 1, 1))
    with pytest.raises(GenartError, match="latents of films"):
        vae.decode(torch.zeros(1, vae.layout.channels, 1, 1, 1))


@pytest.mark.parametrize(
    ("family", "settings", "layout", "says"),
    [
        ("tiny", {"width": 65}, "stock", "at most 64 channels and 3 blocks.*'own'"),
        ("tiny", {"blocks": 4}, "stock", "at most 64 channels and 3 blocks"),
        ("tiny", {"bottleneck": "vq", "codes": 4}, "diffusers", "no class for this VAE"),
        ("vector", {}, "stock", r"no network for this VAE \(vector\)"),
        ("vector", {}, "diffusers", "no class for this VAE"),
        ("kl", {}, "stock", "SD's widths"),
        ("tiny", {}, "onnx", "layout cannot be 'onnx'"),
    ],
)
def test_a_layout_without_room_for_a_network_is_refused(tmp_path, family, settings, layout, says):
    path = tmp_path / "a"
    refused(lambda: save_vae(path, loaded(small(family, **settings)), layout), says)
    assert not path.exists()


def test_a_kl_vae_that_comfyui_would_take_for_another_is_refused():
    with torch.device("meta"):
        network = build("kl", KLSpec(channels=64, widths=(128, 256, 512, 512)))
    refused(lambda: stock_tensors(network), "SD's widths")


@pytest.fixture
def own(tmp_path):
    """A good file, to be spoiled."""
    path = tmp_path / "vae.safetensors"
    save_vae(path, loaded(small("tiny")), "own")
    return path


@pytest.mark.parametrize("length", [0, 7, 100, 20_000])
def test_half_a_file_is_refused(own, length):
    own.write_bytes(own.read_bytes()[:length])
    refused(lambda: load_vae(own), "download or save it again")


def test_no_file_and_a_newer_file(own):
    refused(lambda: load_vae(own.with_name("gone")), "There is no file")
    header = read_header(own)
    state = load_file(own)
    save_file(state, own, metadata={"genart": json.dumps(header | {"format": FORMAT + 1})})
    refused(lambda: load_vae(own), "newer version")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"family": "stylegan2"}, "family 'stylegan2'"),
        ({"family": None}, "not known here"),
        ({"spec": {"width": 16}}, "does not hold the tiny VAE"),
        ({"spec": {"width": 10**9}}, "cannot have width"),
        ({"spec": {"depth": 1}}, "unknown network setting"),
        ({"info": [1]}, "damaged header"),
        ({"latents": 7}, "damaged header"),
        ({"latents": {"mean": "low"}}, "damaged header"),
        ({"latents": {"mean": [None]}}, "damaged header"),
    ],
    ids=str,
)
def test_a_header_that_lies_is_refused(own, changes, says):
    state = load_file(own)
    write(own, state, read_header(own) | changes)
    refused(lambda: load_vae(own), says)


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({}, "holds no VAE"),
        ({"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(1)}, "holds no VAE"),
        ({"taesd_decoder.1.weight": torch.zeros(64, 4, 3, 3)}, "taesd_encoder.0.weight is missing"),
        ({"decoder.up.0.block.0.conv1.weight": torch.zeros(1)}, "half a VAE"),
        ({"decoder.up_blocks.0.resnets.0.conv1.weight": torch.zeros(1)}, "half a VAE"),
        ({"encoder.layers.0.weight": torch.zeros(64, 3, 3, 3)}, "half a VAE"),
        ({"vector_decoder.0.weight": torch.zeros(64, 3)}, "half a VAE"),
        (
            {f"vector_{half}.0.weight": torch.zeros(0) for half in ("encoder", "decoder")},
            "of shapes that no VAE has",
        ),
    ],
)
def test_tensors_of_something_else_are_refused(tmp_path, state, says):
    refused(lambda: from_weights(state), f"This VAE .*{says}|{says}")
    save_file(state, tmp_path / "other.safetensors")
    refused(lambda: load_vae(tmp_path / "other.safetensors"), "other.safetensors")


@pytest.mark.parametrize("cut", ["taesd_encoder.0.bias", "taesd_decoder.1.weight", "vae_scale"])
def test_a_tensor_that_is_missing(cut):
    state = stock_tensors(small("tiny"))
    del state[cut]
    if cut == "vae_scale":  # ComfyUI does without, too
        assert from_weights(state).network.vae_scale == 1
    else:
        refused(lambda: from_weights(state), "missing|holds no VAE")


def test_a_tensor_too_many_or_of_another_shape():
    state = stock_tensors(small("tiny"))
    refused(lambda: from_weights(state | {"more": torch.zeros(1)}), "tensor more is missing, unk")
    wrong = {"taesd_decoder.4.conv.0.weight": torch.zeros(64, 63, 3, 3)}
    refused(lambda: from_weights(state | wrong), "another shape")
    flat = {"taesd_encoder.0.weight": torch.zeros(()), "taesd_decoder.1.weight": torch.zeros(())}
    refused(lambda: from_weights(state | flat), "of shapes that no VAE has")


def test_a_vae_is_no_gan(own):
    refused(lambda: load_gan(own), "family 'tiny'")
