"""Files of networks: what is read is what was written, and nothing else is believed."""

import json
import pickle

import pytest
import torch
from safetensors.torch import save_file

from comfy_genart_nodes import tensor_files
from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.gan import checkpoint
from comfy_genart_nodes.gan.networks.layers import initialise
from comfy_genart_nodes.gan.networks.stylegan2 import StyleGAN2
from comfy_genart_nodes.gan.networks.stylegan2_spec import StyleGAN2Spec

SPEC = StyleGAN2Spec(
    resolution=32, z_dim=8, w_dim=8, channel_base=64, channel_max=8, mapping_layers=1
)


@pytest.fixture
def generator():
    made = StyleGAN2(SPEC)
    initialise(made, 0)
    return made


@pytest.fixture
def file(tmp_path, generator):
    path = tmp_path / "some.safetensors"
    checkpoint.save_gan(path, generator, {"name": "some"})
    return path


def test_round_trip(file, generator):
    loaded = checkpoint.load_gan(file)
    assert loaded.spec == SPEC and loaded.info == {"name": "some"}
    for name, tensor in generator.state_dict().items():
        assert torch.equal(loaded.generator.state_dict()[name], tensor)
    assert not any(p.requires_grad for p in loaded.generator.parameters())


def test_equal_networks_give_equal_bytes_and_hashes(file, generator, tmp_path):
    again = tmp_path / "again.safetensors"
    checkpoint.save_gan(again, generator, {"name": "some"})
    assert again.read_bytes() == file.read_bytes()
    checkpoint.save_gan(again, generator, {"name": "other"})
    assert checkpoint.load_gan(again).hash == checkpoint.load_gan(file).hash
    with torch.no_grad():
        generator.synthesis.b4.const[0, 0, 0] += 1
    checkpoint.save_gan(again, generator, {"name": "some"})
    assert checkpoint.load_gan(again).hash != checkpoint.load_gan(file).hash


def test_half_precision_files_load_as_float32(file):
    half = file.with_name("half.safetensors")
    header = checkpoint.read_header(file)
    rounded = {name: tensor.bfloat16() for name, tensor in checkpoint.read(file).items()}
    checkpoint.write(half, rounded, header)
    loaded = checkpoint.load_gan(half)
    assert all(tensor.dtype == torch.float32 for tensor in loaded.generator.state_dict().values())
    whole = file.with_name("whole.safetensors")
    checkpoint.write(whole, {name: tensor.float() for name, tensor in rounded.items()}, header)
    assert checkpoint.load_gan(whole).hash == loaded.hash


def test_a_loaded_network_lets_go_of_its_file(file):
    loaded = checkpoint.load_gan(file)
    before = loaded.generator.synthesis.b4.const.clone()
    with file.open("r+b") as opened:
        opened.seek(-10_000, 2)
        opened.write(bytes(10_000))
    for name, tensor in loaded.generator.state_dict().items():
        if name == "synthesis.b4.const":
            assert torch.equal(tensor, before)
    assert checkpoint.load_gan(file).hash != loaded.hash


def test_a_failed_write_keeps_the_old_file_and_leaves_no_other(file, generator, monkeypatch):
    before = file.read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tensor_files, "save_file", full)
    with pytest.raises(GenartError, match="free some space"):
        checkpoint.save_gan(file, generator, {})
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("keep", [0, 4, 8, 100, 0.5, 0.99])
def test_truncated_files_are_refused(file, keep):
    data = file.read_bytes()
    file.write_bytes(data[: keep if isinstance(keep, int) else int(len(data) * keep)])
    with pytest.raises(GenartError, match="not a whole safetensors file"):
        checkpoint.load_gan(file)


def test_missing_foreign_and_disguised_files_are_refused(tmp_path):
    path = tmp_path / "f.safetensors"
    with pytest.raises(GenartError, match="no file"):
        checkpoint.load_gan(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(GenartError, match="not of this pack"):
        checkpoint.load_gan(path)

    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(GenartError, match="not a whole safetensors file"):
        checkpoint.load_gan(path)
    assert not (tmp_path / "executed").exists()


def header(file, change):
    """Rewrite the file's header."""
    tensors = checkpoint.read(file)
    values = checkpoint.read_header(file)
    change(values)
    save_file(tensors, file, metadata={"genart": json.dumps(values)})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda h: h.update(format=99), "newer version"),
        (lambda h: h.update(family="other"), "family 'other'"),
        (lambda h: h["spec"].update(wings=2), "wings=2"),
        (lambda h: h["spec"].update(z_dim="8"), "z_dim=8"),
        (lambda h: h["spec"].update(resolution=33), "resolution 33"),
        (lambda h: h["spec"].update(resolution=64), "not hold the stylegan2 that it"),
        (lambda h: h["spec"].update(z_dim=1 << 20), "not hold the stylegan2 that it"),
        (lambda h: h["spec"].update(z_dim=1 << 40), "setting z_dim=1099511627776"),
        (lambda h: h.pop("spec"), "not known here"),
    ],
)
def test_headers_that_lie_are_refused(file, change, said):
    header(file, change)
    with pytest.raises(GenartError, match=said):
        checkpoint.load_gan(file)


@pytest.mark.skipif(not hasattr(torch, "float4_e2m1fn_x2"), reason="a newer PyTorch has it")
def test_numbers_that_nothing_computes_with_are_refused(file):
    tensors = checkpoint.read(file)
    name = "g_ema.mapping.fc0.weight"
    header_ = checkpoint.read_header(file)
    packed = torch.zeros(tensors[name].shape, dtype=torch.uint8)
    tensors[name] = packed.view(torch.float4_e2m1fn_x2)
    checkpoint.write(file, tensors, header_)
    with pytest.raises(GenartError, match="float4"):
        checkpoint.load_gan(file)
