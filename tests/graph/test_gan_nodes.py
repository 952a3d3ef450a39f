"""The GAN nodes in a real ComfyUI: what they make, and how they refuse."""

import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from prompts import Graph, NodeError, forget
from small_gans import latents, pictures, refusal, sampled, write_gan

from comfy_genart_nodes.gan.checkpoint import load_gan


def test_a_seed_is_one_picture(server, gans):
    first = pictures(server, seed=5)
    assert first.shape == (4, 32, 32, 3)
    forget(server)
    assert np.array_equal(pictures(server, seed=5), first)
    assert np.array_equal(pictures(server, seed=7, count=2), first[2:])
    assert len({picture.tobytes() for picture in first}) == 4


def test_a_long_batch_is_its_parts(server, gans):
    whole = pictures(server, count=70, noise_mode="random")
    assert whole.shape == (70, 32, 32, 3)
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name="test_a.safetensors")
    few = sampled(graph, gan, latents(graph, gan, 0, 33), noise_mode="random")
    part = graph.pictures(server, few)
    difference = np.abs(part.astype(int) - whole[:33].astype(int))
    assert difference.max() <= 1  # another size of batch may round another way


def short_of_memory(server: Any, most: int) -> np.ndarray:
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name="test_short.safetensors")
    drawn = latents(graph, gan, 0, 10)
    short = graph.node("GenartTestShortMemory", gan=gan, most=most)
    return graph.pictures(server, sampled(graph, short, drawn))


def test_batches_shrink_until_they_fit(server, gans):
    (gans / "test_short.safetensors").write_bytes((gans / "test_a.safetensors").read_bytes())
    made = short_of_memory(server, most=3)
    difference = np.abs(made.astype(int) - pictures(server, count=10).astype(int))
    assert made.shape[0] == 10 and difference.max() <= 1
    with pytest.raises(NodeError):  # where not even one picture fits, nothing is made up
        short_of_memory(server, most=0)


def test_seeds_wrap_at_the_end(server, gans):
    last = 2**32 - 1
    assert np.array_equal(pictures(server, seed=last, count=2)[1:], pictures(server, 0, 1))


def test_psi_0_is_the_average_picture(server, gans):
    flat = pictures(server, psi=0.0, noise_mode="none")
    assert all(np.array_equal(picture, flat[0]) for picture in flat)
    assert not np.array_equal(flat[0], pictures(server, noise_mode="none")[0])


def test_cutoff_bounds_truncation(server, gans):
    untruncated, fully = pictures(server), pictures(server, psi=0.5)
    assert np.array_equal(pictures(server, psi=0.5, cutoff=0), untruncated)
    assert np.array_equal(pictures(server, psi=0.5, cutoff=64), fully)
    between = pictures(server, psi=0.5, cutoff=3)
    assert not np.array_equal(between, untruncated) and not np.array_equal(between, fully)


def test_noise_modes(server, gans):
    const, none = pictures(server), pictures(server, noise_mode="none")
    fresh = [pictures(server, noise_mode="random", noise_seed=seed) for seed in (0, 1, 0)]
    assert np.array_equal(fresh[0], fresh[2])
    assert not np.array_equal(fresh[0], fresh[1])
    assert not np.array_equal(const, none) and not np.array_equal(const, fresh[0])


def walked(server: Any, **more: Any) -> np.ndarray:
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name="test_a.safetensors")
    keys = latents(graph, gan, 0, 3)
    values = {"frames": 12, "mode": "slerp z", "loop": True} | more
    if values["mode"] == "lerp w":
        values["gan"] = gan
    frames = graph.node("GenartWalkGANLatents", keys=keys, **values)
    return graph.pictures(server, sampled(graph, gan, frames, psi=0.7))


@pytest.mark.parametrize("mode", ["slerp z", "lerp w"])
def test_a_path_visits_its_keys(server, gans, mode):
    keys = pictures(server, count=3, psi=0.7).astype(int)
    loop = walked(server, mode=mode).astype(int)
    assert len(loop) == 12
    assert np.abs(loop[[0, 4, 8]] - keys).max() <= 1
    straight = walked(server, mode=mode, loop=False, frames=5).astype(int)
    assert np.abs(straight[[0, 2, 4]] - keys).max() <= 1
    steps = np.abs(np.roll(loop, -1, axis=0) - loop).mean(axis=(1, 2, 3))
    assert steps[-1] < 3 * steps.mean()  # the end leads back to the beginning


def test_a_path_keeps_times_and_rests_where_it_is_told(server, gans):
    keys = pictures(server, count=3, psi=0.7).astype(int)
    timed = walked(server, loop=False, frames=9, times="0, 1, 4", smooth=True).astype(int)
    assert np.abs(timed[[0, 2, 8]] - keys).max() <= 1
    held = walked(server, loop=False, frames=9, times="0, 1, 4", easing="hold").astype(int)
    assert np.abs(held - keys[[0, 0, 1, 1, 1, 1, 1, 1, 2]]).max() <= 1


def test_pick_join_and_repeat_follow_the_batch(server, gans):
    whole = pictures(server, count=6)
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name="test_a.safetensors")
    batch = latents(graph, gan, 0, 6)
    picked = graph.node("GenartPickGANLatents", latents=batch, indices="4, 0-2, -1")
    joined = graph.node("GenartJoinGANLatents", first=picked, second=latents(graph, gan, 3, 1))
    twice = graph.node("GenartRepeatGANLatents", latents=joined, times=2)
    made = graph.pictures(server, sampled(graph, gan, twice))
    order = [4, 0, 1, 2, 5, 3]
    assert np.array_equal(made, whole[order * 2])


def test_classes_make_different_pictures(server, gans):
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name="test_classes.safetensors")
    first, second = (latents(graph, gan, 0, 1, class_index=i) for i in (0, 2))
    both = graph.node("GenartJoinGANLatents", first=first, second=second)
    made = graph.pictures(server, sampled(graph, gan, both))
    assert not np.array_equal(made[0], made[1])


def test_save_then_load_is_the_same_gan(server, gans):
    name = f"kept {uuid.uuid4().hex[:8]}"

    def save(source: str) -> Path:
        graph = Graph()
        gan = graph.node("GenartLoadGAN", gan_name=source)
        kept = graph.node("GenartSaveGAN", gan=gan, name=name)
        text = graph.run(server)[kept[0]]["text"][0]
        return Path(text.removeprefix("Saved "))

    first = save("test_a.safetensors")
    assert first == gans / f"{name}.safetensors"
    original = load_gan(gans / "test_a.safetensors")
    assert (load_gan(first).hash, load_gan(first).info) == (original.hash, original.info)
    forget(server)
    assert save("test_a.safetensors") == first  # the same network twice is one file
    second = save("test_b.safetensors")
    assert second == gans / f"{name}_2.safetensors"  # nothing is overwritten
    assert load_gan(first).hash == original.hash != load_gan(second).hash

    listed = server.get("/object_info/GenartLoadGAN")["GenartLoadGAN"]
    assert second.name in listed["input"]["required"]["gan_name"][1]["options"]


def test_a_newer_file_of_the_same_name_is_read_again(server, gans):
    path = gans / "test_changing.safetensors"

    def first_picture() -> bytes:
        graph = Graph()
        gan = graph.node("GenartLoadGAN", gan_name=path.name)
        return graph.pictures(server, sampled(graph, gan, latents(graph, gan, 0, 1))).tobytes()

    write_gan(path, 8)
    before = first_picture()
    write_gan(path, 9)
    assert first_picture() != before


@pytest.mark.parametrize(
    "name", ["../escaped", "a/b", "a\\b", "", " ", ".hidden", "nul", "x" * 300]
)
def test_a_name_cannot_leave_its_folder(server, gans, name):
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name="test_a.safetensors")
    before = set(server.base.rglob("*"))
    error = refusal(server, graph, graph.node("GenartSaveGAN", gan=gan, name=name))
    assert error.node == "GenartSaveGAN"
    assert {p for p in set(server.base.rglob("*")) - before if p.suffix != ".log"} == set()


def broken_file(folder: Path, kind: str) -> str:
    path = folder / f"test_{kind}.safetensors"
    whole = (folder / "test_a.safetensors").read_bytes()
    if kind == "truncated":
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "foreign":
        from safetensors.torch import save_file

        save_file({"weight": torch.zeros(4)}, path)
    elif kind == "text":
        path.write_text("not a network")
    return path.name


@pytest.mark.parametrize("kind", ["missing", "truncated", "foreign", "text"])
def test_a_bad_checkpoint_is_named(server, gans, kind):
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name=broken_file(gans, kind))
    graph.node("PreviewAny", source=gan)
    with pytest.raises(NodeError) as caught:
        graph.run(server)
    assert f"test_{kind}" in caught.value.message
    assert "Traceback" not in caught.value.message


@pytest.mark.parametrize("indices", ["", "x", "9", "-7", "3-1", "0,,1", "0-99999999", "1.5"])
def test_wrong_indices_are_refused(server, gans, indices):
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name="test_a.safetensors")
    batch = latents(graph, gan, 0, 6)
    picked = graph.node("GenartPickGANLatents", latents=batch, indices=indices)
    assert refusal(server, graph, picked).node == "GenartPickGANLatents"


def test_latents_of_two_networks_do_not_join(server, gans):
    graph = Graph()
    batches = [
        latents(graph, graph.node("GenartLoadGAN", gan_name=f"test_{name}.safetensors"), 0, 1)
        for name in "ab"
    ]
    joined = graph.node("GenartJoinGANLatents", first=batches[0], second=batches[1])
    assert "different GANs" in refusal(server, graph, joined).message


@pytest.mark.parametrize(
    ("gan_name", "index"), [("test_a", 1), ("test_classes", -1), ("test_classes", 3)]
)
def test_a_class_that_is_not_there_is_refused(server, gans, gan_name, index):
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name=f"{gan_name}.safetensors")
    made = latents(graph, gan, 0, 1, class_index=index)
    assert "classes" in refusal(server, graph, made).message


@pytest.mark.parametrize(("keys", "mode", "says"), [(1, "slerp z", "two"), (3, "lerp w", "GAN")])
def test_a_path_says_what_it_lacks(server, gans, keys, mode, says):
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name="test_a.safetensors")
    frames = graph.node(
        "GenartWalkGANLatents", keys=latents(graph, gan, 0, keys), frames=4, mode=mode, loop=True
    )
    assert says in refusal(server, graph, frames).message


@pytest.mark.parametrize("count", [0, -1, 10**9])
def test_a_wired_number_of_latents_stays_in_bounds(server, gans, count):
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name="test_a.safetensors")
    wired = graph.node("PrimitiveInt", value=count)
    drawn = latents(graph, gan, 0, wired)
    assert f"batch_size cannot be {count}" in refusal(server, graph, drawn).message
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name="test_a.safetensors")
    times = graph.node("PrimitiveInt", value=count)
    repeated = graph.node("GenartRepeatGANLatents", latents=latents(graph, gan, 0, 2), times=times)
    assert f"times cannot be {count}" in refusal(server, graph, repeated).message


def test_a_wired_long_seed_wraps(server, gans):
    """Samplers' seeds have 64 bits; one seed may be wired to both."""
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name="test_a.safetensors")
    seed = graph.node("PrimitiveInt", value=2**32 + 5)
    made = graph.pictures(server, sampled(graph, gan, latents(graph, gan, seed, 1)))
    assert np.array_equal(made, pictures(server, seed=5, count=1))


@pytest.mark.parametrize("field", ["psi", "noise_strength"])
def test_what_is_no_number_makes_no_picture(server, gans, field):
    with pytest.raises(NodeError, match=f"{field} cannot be nan"):
        pictures(server, **{field: float("nan")})


def test_a_mode_that_is_not_there_is_refused(server, gans):
    """The page cannot ask for it; a script that posts a prompt can."""
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name="test_a.safetensors")
    made = sampled(graph, gan, latents(graph, gan, 0, 1), noise_mode="loud")
    graph.node("PreviewImage", images=made)
    with pytest.raises(NodeError, match="loud"):
        graph.run(server)
