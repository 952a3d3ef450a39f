"""Folders and files with autoencoders: whole, in parts, of older diffusers, damaged and hostile."""

import json
import pickle
import shutil
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_vaes import encoded, save

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.vae import opening
from comfy_genart_nodes.vae.config import KINDS
from comfy_genart_nodes.vae.opening import open_vae

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """An AutoencoderKL and its folder."""
    folder = tmp_path_factory.mktemp("original") / "kl"
    return save(folder, "AutoencoderKL"), folder


@pytest.fixture
def folder(original, tmp_path):
    """A copy of its folder, to be spoiled."""
    return shutil.copytree(original[1], tmp_path / "kl")


@torch.no_grad()
def agrees(vae, network) -> bool:
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    return torch.allclose(vae.encode(x), encoded(network, x), atol=1e-4)


def refused(path, says: str) -> None:
    with pytest.raises(GenartError, match=says) as caught:
        open_vae(path)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 500 and message.endswith(".")


def reconfigured(folder, **changes) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("how", [{}, {"safe_serialization": False}, {"variant": "fp16"}])
def test_every_way_of_saving_is_read(original, tmp_path, how):
    network, _ = original
    network.save_pretrained(tmp_path / "vae", **how)
    assert agrees(open_vae(tmp_path / "vae"), network)
    assert agrees(open_vae(tmp_path), network)  # a pipeline's folder


@pytest.mark.parametrize("safe", [True, False])
def test_parts_are_put_together(original, tmp_path, safe):
    network, _ = original
    network.save_pretrained(tmp_path, max_shard_size="50KB", safe_serialization=safe)
    assert len(list(tmp_path.glob("*-of-*"))) > 1
    assert agrees(open_vae(tmp_path), network)


@pytest.mark.parametrize("config", ["flux.json", "config.json"])
def test_one_file_has_its_config_beside_it(original, folder, tmp_path, config):
    shutil.copy(folder / WEIGHTS, tmp_path / "flux.safetensors")
    shutil.copy(folder / "config.json", tmp_path / config)
    assert agrees(open_vae(tmp_path / "flux.safetensors"), original[0])


def test_attention_as_older_files_name_it(original, folder):
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    state = load_file(folder / WEIGHTS)
    for new, name in old.items():
        state = {key.replace(f".{new}.", f".{name}."): value for key, value in state.items()}
    assert any(".proj_attn." in key for key in state)
    save_file(state, folder / WEIGHTS)
    assert agrees(open_vae(folder), original[0])


def test_a_file_may_change_while_its_network_is_used(original, folder):
    vae = open_vae(folder)
    with (folder / WEIGHTS).open("r+b") as file:
        file.seek(2**14)
        file.write(bytes(2**14))
    assert agrees(vae, original[0])


@pytest.mark.parametrize(
    "name",
    ["../../evil", "os.system", "UNet2DConditionModel", "AutoencoderKLLTXVideo", None, 7, "", []],
)
def test_only_classes_on_the_list_are_built(folder, name):
    reconfigured(folder, _class_name=name)
    refused(folder, "no autoencoder for pictures")


def test_a_config_cannot_bring_code(folder):
    (folder / "evil.py").write_text("raise SystemExit('it ran')")
    reconfigured(folder, auto_map={"AutoencoderKL": "evil.AutoencoderKL"}, _name_or_path="x/evil")
    open_vae(folder)
    assert "evil" not in sys.modules


@pytest.mark.parametrize(
    "changes",
    [
        {"layers_per_block": 10**9},
        {"layers_per_block": 1.5},
        {"block_out_channels": [8] * 1000},
        {"block_out_channels": []},
        {"block_out_channels": "8"},
        {"latent_channels": -4},
        {"latent_channels": 10**30},
        {"norm_num_groups": 0},
        {"in_channels": 4},
        {"out_channels": 1},
        {"act_fn": "eval"},
        {"down_block_types": ["../a", "b"]},
    ],
    ids=str,
)
def test_settings_that_make_no_network_are_refused(folder, changes):
    reconfigured(folder, **changes)
    refused(folder, "config.json")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", "[" * 10**5, "[" * 900 + "]" * 900, '{"a": NaN', "\x00"]
)
def test_a_config_that_is_none(folder, text):
    (folder / "config.json").write_text(text)
    refused(folder, "config.json is no config")


def test_settings_may_lie_deep(folder):
    deep = json.loads("[" * 900 + "]" * 900)
    reconfigured(folder, norm_num_groups=deep)
    refused(folder, "config.json")


def test_no_config(folder):
    (folder / "config.json").unlink()
    refused(folder, "kl has no config.json")
    refused(folder / WEIGHTS, "has no config.json")


def test_no_weights(folder):
    (folder / WEIGHTS).unlink()
    refused(folder, "no diffusion_pytorch_model.safetensors")


@pytest.mark.parametrize("length", [0, 7, 100, 20_000])
def test_half_a_file(folder, length):
    path = folder / WEIGHTS
    path.write_bytes(path.read_bytes()[:length])
    refused(folder, "download or save it again")


def test_weights_of_another_network(folder):
    reconfigured(folder, latent_channels=4)
    refused(folder, "are not those of the AutoencoderKL")
    reconfigured(folder, latent_channels=16, layers_per_block=2)
    refused(folder, "are not those of the AutoencoderKL")


def test_weights_in_the_layout_of_comfyui(folder):
    save_file({"encoder.down.0.block.0.conv1.weight": torch.zeros(1)}, folder / WEIGHTS)
    refused(folder, "ComfyUI's own Load VAE")


@pytest.mark.parametrize("name", ["../../secret.safetensors", "/etc/passwd", "a.bin", 3, "a\\b"])
def test_an_index_cannot_lead_elsewhere(folder, name):
    (folder / WEIGHTS).unlink()
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    refused(folder, "index.json")


def test_an_index_of_what_is_not_there(folder):
    (folder / WEIGHTS).unlink()
    content = json.dumps({"weight_map": {"a": "a.safetensors"}})
    (folder / f"{WEIGHTS}.index.json").write_text(content)
    refused(folder, "a.safetensors is missing")


class Code:
    """What runs where a pickle is read by Python."""

    def __reduce__(self):
        return exec, ("import sys; sys.modules['genart_was_run'] = sys",)


@pytest.mark.parametrize("torch_saves", [True, False])
def test_code_in_a_bin_is_refused(folder, torch_saves):
    (folder / WEIGHTS).unlink()
    path = folder / "diffusion_pytorch_model.bin"
    evil = {"weight": Code()}
    if torch_saves:
        torch.save(evil, path)
    else:
        path.write_bytes(pickle.dumps(evil))
    refused(folder, "exec, which no network needs")
    assert "genart_was_run" not in sys.modules


def test_a_bin_with_something_else(folder):
    (folder / WEIGHTS).unlink()
    torch.save([1, 2], folder / "diffusion_pytorch_model.bin")
    refused(folder, "something else than weights")


def test_without_diffusers_it_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    for name in [name for name in sys.modules if name.startswith("diffusers.")]:
        monkeypatch.delitem(sys.modules, name)
    refused(folder, "pip install")
    with pytest.raises(GenartError) as caught:
        open_vae(folder)
    assert f'"{sys.executable}" -m pip install' in str(caught.value)


def test_a_class_that_the_installed_diffusers_lacks(folder, monkeypatch):
    monkeypatch.setitem(KINDS, "AutoencoderOfTomorrow", KINDS["AutoencoderKL"])
    reconfigured(folder, _class_name="AutoencoderOfTomorrow")
    refused(folder, "does not know AutoencoderOfTomorrow yet")


def test_nothing_is_imported_before_it_is_needed():
    assert "diffusers" not in vars(opening)
