"""LATENTs in files come back to the bit, whole and in parts; what was tampered with is refused."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from comfy_genart_nodes import tensor_files
from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.gan.latent_files import load_latents, save_latents
from comfy_genart_nodes.gan.latents import GANLatent
from comfy_genart_nodes.latent.files import in_order, left_out, load, save, shape_of

MASKED = ("samples", "noise_mask", "batch_index")


def numbers(*shape, seed=0):
    """Awkward ones: no digits, tiny, huge, signed zeros, and random bits."""
    made = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    made.view(-1)[:5] = torch.tensor([0.0, -0.0, 1e-45, 3.4e38, 1 / 3])
    return made


def latent(count=5, *, seed=0, **more):
    return {"samples": numbers(count, 4, 6, 8, seed=seed)} | more


def masks(count):
    return torch.arange(count * 6 * 8).reshape(count, 1, 6, 8) / 240


def same(a, b):
    return a.shape == b.shape and a.view(torch.int32).equal(b.view(torch.int32))


def kept(path, latents, about=None):
    save(path, latents, about or {})
    return path


@pytest.mark.parametrize(
    "samples", [numbers(5, 4, 6, 8), numbers(2, 16, 3, 4, 4), numbers(3, 64, 50)]
)
def test_all_that_a_latent_holds_comes_back_to_the_bit(tmp_path, samples):
    given = {
        "samples": samples,
        "noise_mask": masks(5),
        "batch_index": [7] * len(samples),
        "ours.samples": numbers(7, seed=3),
        "downscale": 8,
        "kind": "none",
        "steps": [1, 0.1, [True, None, "x"]],
    }
    before = samples.clone()
    path = kept(tmp_path / "a.safetensors", given)
    path.rename(tmp_path / "b.safetensors")  # nothing of it is mapped
    found = load([tmp_path / "b.safetensors"])
    assert set(found) == set(given)
    assert same(found["samples"], samples) and same(samples, before)
    assert same(found["noise_mask"], given["noise_mask"])
    assert same(found["ours.samples"], given["ours.samples"])
    assert {k: found[k] for k in ("batch_index", "downscale", "kind", "steps")} == {
        k: given[k] for k in ("batch_index", "downscale", "kind", "steps")
    }
    assert left_out(given) == []


def test_what_a_file_cannot_hold_is_named(tmp_path):
    given = latent(mapped={"a": 1}, call=print, ours=[1, {}], shape=(1, 2)) | {5: 1}
    assert left_out(given) == ["mapped", "call", "ours", "5"]
    found = load([kept(tmp_path / "a.safetensors", given)])
    assert set(found) == {"samples", "shape"} and found["shape"] == [1, 2]


def test_one_tensor_under_two_names_and_views_of_others_are_written(tmp_path):
    whole = numbers(9, 4, 6, 8)
    given = {"samples": whole[2:4], "before": whole, "noise_mask": masks(1).expand(2, -1, -1, -1)}
    found = load([kept(tmp_path / "a.safetensors", given | {"again": given["samples"]})])
    assert same(found["samples"], whole[2:4]) and same(found["again"], whole[2:4])
    assert same(found["before"], whole) and found["noise_mask"].shape == (2, 1, 6, 8)


def test_equal_latents_are_equal_bytes_in_one_key(tmp_path):
    about = {"workflow": {"prompt": "{}"}}
    one, two = (kept(tmp_path / f"{n}.safetensors", latent(b=1, a="x"), about) for n in (1, 2))
    assert one.read_bytes() == two.read_bytes()
    with safe_open(one, "pt") as file:
        assert list(file.metadata()) == ["genart"]
        header = json.loads(file.metadata()["genart"])
    assert header["kind"] == "latents" and header["about"]["workflow"] == about["workflow"]
    assert "4 channels" in header["about"]["family"] and list(header) == sorted(header)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_are_kept_as_they_are_and_read_as_float32(tmp_path, dtype):
    samples = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(1)).to(dtype)
    path = kept(tmp_path / "a.safetensors", {"samples": samples})
    assert load_file(path)["latent_tensor"].dtype == dtype
    assert same(load([path])["samples"], samples.float())


def core_file(path: Path, samples, plain=True) -> Path:
    """As ComfyUI's Save Latent writes it, and as it did at first."""
    more = {"latent_format_version_0": torch.tensor([])} if plain else {}
    save_file({"latent_tensor": samples} | more, path, metadata={"prompt": "{}"})
    return path


def test_comfyuis_own_files_are_read_the_first_ones_too(tmp_path):
    samples = numbers(3, 4, 2, 2)
    found = load([core_file(tmp_path / "a.latent", samples)])
    assert set(found) == {"samples"} and same(found["samples"], samples)
    old = load([core_file(tmp_path / "b.latent", samples, plain=False)])
    assert same(old["samples"], samples * (1 / 0.18215))
    ours = load_file(kept(tmp_path / "c.safetensors", {"samples": samples}))
    assert same(ours["latent_tensor"], samples) and "latent_format_version_0" in ours


@pytest.mark.parametrize("count", [1, 2, 3, 9])
@pytest.mark.parametrize("first", [0, 1, 4])
def test_a_part_is_that_of_the_whole_with_its_noise(tmp_path, first, count):
    given = latent(noise_mask=masks(5), other=3)
    path, last = kept(tmp_path / "a.safetensors", given), min(first + count, 5)
    found = load([path], first, count)
    assert shape_of([path], first, count) == tuple(found["samples"].shape)
    assert same(found["samples"], given["samples"][first:last])
    assert same(found["noise_mask"], given["noise_mask"][first:last])
    if (first, last) != (0, 5):
        assert found["batch_index"] == list(range(first, last))
    assert found["other"] == 3


def test_parts_have_the_index_of_the_file_and_masks_go_round(tmp_path):
    given = latent(noise_mask=masks(2), batch_index=[4, 4, 9, 9, 9])
    found = load([kept(tmp_path / "a.safetensors", given)], 1, 3)
    assert found["batch_index"] == [4, 9, 9]
    assert same(found["noise_mask"], masks(2)[[1, 0, 1]])


def test_a_part_of_a_film_keeps_the_masks_of_its_frames(tmp_path):
    given = {"samples": numbers(3, 4, 5, 2, 2), "noise_mask": masks(5)}
    found = load([kept(tmp_path / "a.safetensors", given)], 1, 2)
    assert found["noise_mask"].shape == (2, 1, 5, 6, 8)
    assert same(found["noise_mask"][1, 0], masks(5)[:, 0])


def test_files_become_one_batch(tmp_path):
    one, two, three = latent(2), latent(3, seed=1, noise_mask=masks(3)), latent(1, seed=2)
    three["batch_index"] = [40]
    paths = [kept(tmp_path / f"{n}.safetensors", x) for n, x in enumerate((one, two, three))]
    read = []
    found = load(paths, done=read.append)
    assert same(found["samples"], torch.cat([x["samples"] for x in (one, two, three)]))
    ones = torch.ones(1, 1, 6, 8)
    assert same(found["noise_mask"], torch.cat([ones, ones, masks(3), ones]))
    assert found["batch_index"] == [0, 1, 2, 3, 4, 40] and read == [1, 2, 3]
    part = load(paths, 1, 3)
    assert all(same(part[k], found[k][1:4]) for k in MASKED[:2])
    assert part["batch_index"] == found["batch_index"][1:4]
    alone = load(paths, 5)
    assert same(alone["samples"], three["samples"]) and alone["batch_index"] == [40]


def test_a_whole_file_among_others_keeps_its_place(tmp_path):
    paths = [kept(tmp_path / f"{n}.safetensors", latent(n, seed=n)) for n in (2, 3)]
    assert load(paths, 2, 3)["batch_index"] == [2, 3, 4]


def test_what_is_saved_can_be_loaded(tmp_path):
    unusual = latent(2) | {"batch_index": torch.tensor([3, 9]), "noise_mask": masks(2) > 0.5}
    found = load([kept(tmp_path / "a.safetensors", unusual)])
    assert found["batch_index"] == [3, 9]
    assert same(found["noise_mask"], (masks(2) > 0.5).float())
    with pytest.raises(GenartError, match="2 latents and 1 numbers in their batch_index"):
        save(tmp_path / "b.safetensors", latent(2) | {"batch_index": [1]}, {})


def test_only_what_is_wanted_is_read(tmp_path, monkeypatch):
    path = kept(tmp_path / "a.safetensors", {"samples": numbers(64, 4, 64, 64)})
    read = []
    to = torch.Tensor.to

    def noted(self, *args, **more):
        read.append(self.numel())
        return to(self, *args, **more)

    monkeypatch.setattr(torch.Tensor, "to", noted)
    load([path], 10, 2)
    assert max(read) == 2 * 4 * 64 * 64


def test_files_that_do_not_go_together_are_refused(tmp_path):
    one = kept(tmp_path / "a.safetensors", latent())
    wide = kept(tmp_path / "b.safetensors", {"samples": numbers(2, 16, 6, 8)})
    with pytest.raises(GenartError, match=r"a\..* 4x6x8 and b\..* 16x6x8"):
        load([one, wide])
    masked = [
        kept(tmp_path / f"m{side}.safetensors", latent(noise_mask=torch.ones(1, side, side)))
        for side in (8, 64)
    ]
    with pytest.raises(GenartError, match=r"8x8 and m64.* 64x64"):
        load(masked)
    with pytest.raises(GenartError, match="There are 5 latents"):
        load([one], 5)


@pytest.mark.parametrize(
    "samples", [None, "x", numbers(4, 4), torch.zeros(0, 4, 2, 2), torch.zeros(1, 4, 2, 2).long()]
)
def test_no_batch_of_numbers_is_refused(tmp_path, samples):
    with pytest.raises(GenartError, match="These latents are"):
        save(tmp_path / "a.safetensors", {"samples": samples}, {})
    assert not list(tmp_path.iterdir())


SAMPLES, MASK = torch.zeros(2, 4, 2, 2), torch.ones(2, 1, 2, 2)


@pytest.mark.parametrize(
    ("tensors", "values"),
    [
        ({"latent_tensor": SAMPLES.long()}, {}),
        ({"latent_tensor": SAMPLES[0, 0]}, {}),
        ({"latent_tensor": SAMPLES[:0]}, {}),
        ({}, {"batch_index": [0]}),
        ({}, {"batch_index": [0, "1"]}),
        ({}, {"batch_index": [0, -1]}),
        ({}, {"batch_index": 3}),
        ({}, {"noise_mask": "x"}),
        ({}, []),
        ({"other.noise_mask": MASK[:0]}, {}),
        ({"other.noise_mask": MASK[0, 0, 0]}, {}),
        ({"other.noise_mask": MASK.long()}, {}),
    ],
)
def test_what_was_tampered_with_is_one_sentence(tmp_path, tensors, values):
    path = tmp_path / "a.safetensors"
    header = {"kind": "latents", "values": values}
    tensor_files.write(path, {"latent_tensor": SAMPLES} | tensors, header)
    with pytest.raises(GenartError, match=r"The latents in a\.safetensors are damaged"):
        load([path])


def test_other_files_are_told(tmp_path):
    path = tmp_path / "a.safetensors"
    for text, says in (("{", "holds no"), ("[1]", "holds no"), ('{"format": 99}', "update")):
        save_file({"x": SAMPLES}, path, metadata={"genart": text})
        with pytest.raises(GenartError, match=says):
            load([path])
    save_latents(path, GANLatent("z", torch.zeros(1, 4), None, (0,), ""), {})
    with pytest.raises(GenartError, match="Load GAN Latents"):
        load([path])
    whole = kept(path, latent()).read_bytes()
    with pytest.raises(GenartError, match="holds something else"):
        load_latents(path)
    for damaged in (whole[:-3], whole[:40], b"", b"\x80\x04cos\nsystem\n(S'true'\ntR."):
        path.write_bytes(damaged)
        with pytest.raises(GenartError, match="not a whole safetensors"):
            load([path])
    with pytest.raises(GenartError, match="no file"):
        load([tmp_path / "none.latent"])


def test_numbers_in_names_are_compared_as_numbers():
    names = ["a_10.latent", "b.latent", "a_2.latent", "a.latent", "10.latent", "9.latent", "A_3.x"]
    ordered = [path.name for path in in_order([Path(name) for name in names])]
    assert ordered == ["9.latent", "10.latent", "a.latent", "a_2.latent", "A_3.x", *names[:2]]
