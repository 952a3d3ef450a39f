"""Opening any GAN's file: what is in it decides, and nothing of it stays behind."""

import gc
import json
import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.gan.checkpoint import read, read_header
from comfy_genart_nodes.gan.formats.opening import describe, open_gan, summary

FIXTURES = Path(__file__).parents[1] / "fixtures"
NETWORKS = FIXTURES / "networks"


def refused(path: Path) -> str:
    with pytest.raises(GenartError) as caught:
        open_gan(path)
    assert "\n" not in str(caught.value) and path.name in str(caught.value)
    return str(caught.value)


def test_the_suffix_says_nothing(tmp_path):
    ours, theirs = tmp_path / "ours.pkl", tmp_path / "theirs.safetensors"
    shutil.copy(FIXTURES / "stylegan2" / "plain.safetensors", ours)
    shutil.copy(NETWORKS / "sg2_64.pkl", theirs)
    assert open_gan(ours).generator.family == "stylegan2"
    assert open_gan(theirs).hash == open_gan(NETWORKS / "sg2_64.pkl").hash


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("name", ["sg2_64.pkl", "sg3t_64_cond.pkl", "r3gan_64_cond.pkl"])
def test_the_file_is_free_afterwards(tmp_path, name):
    path = tmp_path / name
    shutil.copy(NETWORKS / name, path)
    gc.disable()  # without waiting for it to come by
    try:
        gan = open_gan(path)
        assert str(path) not in Path("/proc/self/maps").read_text()
    finally:
        gc.enable()
    assert sorted(tmp_path.iterdir()) == [path] and gan.spec.resolution == 64


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("decoder.up.0.block.0.conv1.weight", "a VAE.*Load VAE"),
        ("model.diffusion_model.input_blocks.0.0.weight", "a diffusion checkpoint"),
        ("double_blocks.0.img_attn.qkv.weight", "a diffusion model"),
        ("lora_unet_down_blocks_0.lora_up.weight", "a LoRA"),
        ("text_model.embeddings.token_embedding.weight", "a CLIP model"),
    ],
)
def test_what_is_no_gan_is_called_what_it_seems_to_be(tmp_path, name, kind):
    tensors = {name: torch.zeros(2), "else.weight": torch.zeros(1)}
    save_file(tensors, tmp_path / "a.safetensors")
    torch.save(tensors, tmp_path / "b.ckpt")
    torch.save({"state_dict": tensors}, tmp_path / "c.pt")
    for path in tmp_path.iterdir():
        said = refused(path)
        assert "not a GAN" in said
        assert re.search(kind, said)


def test_what_nobody_knows_is_one_sentence(tmp_path):
    save_file({"weight": torch.zeros(1)}, tmp_path / "a.safetensors")
    assert "genart" in refused(tmp_path / "a.safetensors")
    torch.save({"epoch": 3, "weights": {"a": torch.zeros(1)}}, tmp_path / "b.pt")
    assert "only epoch, weights" in refused(tmp_path / "b.pt")
    torch.save([torch.zeros(1)], tmp_path / "c.pt")
    assert "no GAN" in refused(tmp_path / "c.pt")
    assert "no file" in refused(tmp_path / "none.pkl")
    whole = (FIXTURES / "stylegan2" / "plain.safetensors").read_bytes()
    for size in (0, 4, 9, 100, len(whole) // 2):
        (tmp_path / "cut.safetensors").write_bytes(whole[:size])
        refused(tmp_path / "cut.safetensors")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="uses /proc")
@pytest.mark.parametrize("path", ["/proc/self/mem", "x" * 300], ids=["unreadable", "long"])
def test_what_the_system_refuses_is_one_sentence(path):
    assert "Cannot read" in refused(Path(path))


def test_a_file_cannot_tell_otherwise_what_a_network_is(tmp_path):
    ours = FIXTURES / "stylegan2" / "plain.safetensors"
    honest = summary(open_gan(ours))
    header = {**read_header(ours), "info": {**honest, "hash": "0", "resolution": 3, "layers": 1}}
    save_file(read(ours), tmp_path / "a.safetensors", {"genart": json.dumps(header)})
    assert summary(open_gan(tmp_path / "a.safetensors")) == honest


def test_a_description_says_what_people_ask():
    gan = open_gan(NETWORKS / "sg2_64_cond.pkl")
    found = summary(gan)
    assert json.loads(json.dumps(found)) == found
    assert found["resolution"] == 64 and found["classes"] == 10 and found["layers"] == 10
    assert found["million weights"] == pytest.approx(0.07, abs=0.01)
    text = describe(gan)
    for word in ("stylegan2", "StyleGAN2-ADA", "licence", "x.zip", "mirror: False", gan.hash):
        assert word in text
    gan.info["warnings"] = ["Something was guessed."]
    assert "warning: Something was guessed." in describe(gan)


@pytest.mark.parametrize(
    ("content", "called"),
    [
        (b"\r\n<!DOCTYPE html><html></html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "is a pointer of Git LFS"),
        (b"", "is empty"),
    ],
)
def test_what_a_download_went_wrong_with_is_called_by_its_name(tmp_path, content, called):
    path = tmp_path / "gan.pkl"
    path.write_bytes(content)
    with pytest.raises(GenartError, match=f"gan.pkl {called}"):
        open_gan(path)
