"""What Train GAN refuses, in one sentence, and leaves nothing behind."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from prompts import Graph, NodeError
from small_gans import write_gan
from training_runs import new_name, place, refused, run, train


@pytest.fixture
def name() -> str:
    """A run that nobody else has."""
    return new_name()


def runs(server: Any) -> set[Path]:
    """Everything that lies among the runs, hidden files too."""
    return set((server.base / "output" / "genart").rglob("*"))


@pytest.fixture(autouse=True)
def nothing_half_written(server: Any, taken: str) -> Iterator[None]:
    """Whatever a test refuses, the folder of runs is as it was."""
    before = runs(server)
    yield
    assert runs(server) == before


def sentence(server: Any, folder: str, name: str, **more: Any) -> NodeError:
    """The one sentence with which a training is refused."""
    graph = Graph()
    train(graph, folder, name, **more)
    return refused(server, graph)


@pytest.mark.parametrize("bad", ["../escaped", "a/b", "", "con"])
def test_a_run_cannot_leave_its_folder(server, folder, bad):
    before = set(server.base.rglob("*"))
    assert sentence(server, folder, bad).node == "GenartTrainGAN"
    made = {p.name for p in set(server.base.rglob("*")) - before if p.suffix != ".log"}
    assert made <= {"genart"}


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_pictures_are_refused(server, name, tmp_path, count):
    for i in range(count):
        Image.new("RGB", (20, 20)).save(tmp_path / f"{i}.png")
    error = sentence(server, str(tmp_path), name)
    assert error.node == "GenartOpenPictureFolder" and str(tmp_path) in error.message


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("", "Say which folder"),
        ("no such folder", "no folder .*no such folder"),
        ("/no/such/folder", "no folder .*/no/such/folder"),
    ],
)
def test_a_missing_folder_is_named(server, name, bad, said):
    assert re.search(said, sentence(server, bad, name).message)


def test_a_run_that_has_not_begun_needs_pictures(server, folder, name):
    graph = Graph()
    node = train(graph, folder, name)
    del graph.nodes[node[0]]["inputs"]["dataset"]
    with pytest.raises(NodeError, match=r"no run .* yet that could go on without pictures"):
        graph.run(server)


def test_pictures_fewer_than_a_batch_are_refused(server, folder, name):
    told = sentence(server, folder, name, batch_size=9).message
    assert "8 pictures" in told and "batch of 9" in told


@pytest.mark.parametrize("kinds", [[], ["only"]])
def test_classes_need_two_folders(server, name, tmp_path, kinds):
    for folder in (tmp_path / kind for kind in kinds or [""]):
        folder.mkdir(exist_ok=True)
        for i in range(4):
            Image.new("RGB", (20, 20), (i, 0, 0)).save(folder / f"{i}.png")
    told = sentence(server, str(tmp_path), name, classes=True).message
    assert "training with classes needs two or more, each a sub-folder" in told


def test_a_family_without_classes_is_refused_them(server, name, tmp_path):
    for kind in "ab":
        (tmp_path / kind).mkdir()
        for i in range(4):
            Image.new("RGB", (20, 20), (i, 0, 0)).save(tmp_path / kind / f"{i}.png")
    more = {"recipe": "tiny", "resolution": 64, "classes": True}
    assert "classes" in sentence(server, str(tmp_path), name, **more).message


def from_base(server: Any, folder: str, name: str, gan: str, **more: Any) -> str:
    graph = Graph()
    base = graph.node("GenartLoadGAN", gan_name=gan)
    train(graph, folder, name, base=base, recipe="auto", **more)
    error = refused(server, graph)
    assert error.node == "GenartTrainGAN"
    return error.message


def test_a_base_of_another_side_is_refused(server, folder, gans, name):
    told = from_base(server, folder, name, "test_a.safetensors", resolution=64)
    assert "32" in told and "64" in told


def test_a_base_with_other_classes_is_refused(server, folder, gans, name):
    assert "3 classes" in from_base(server, folder, name, "test_classes.safetensors")


def test_a_base_of_other_channels_is_refused(server, folder, gans, name):
    write_gan(gans / "test_grey.safetensors", 4, img_channels=1)
    assert "1 channel" in from_base(server, folder, name, "test_grey.safetensors")


def test_the_recipe_that_goes_on_wants_a_base(server, folder, name):
    assert "network" in sentence(server, folder, name, recipe="fine-tune").message


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"resolution": 100}, "100"),
        ({"recipe": "tiny", "resolution": 96}, "96"),
        ({"background": "no colour"}, "no colour"),
        ({"plateau": 5.0}, "measure_every"),
        ({"measure_every": 0.01, "held_out": 3}, "8"),
        ({"measure_every": 0.01}, "16"),
        ({"kimg": float("nan")}, "kimg"),
        ({"hours": float("nan")}, "hours"),
        ({"recipe": "best"}, "stylegan2-ada"),
        ({"loss": "wasserstein"}, "hinge"),
        ({"fit": "stretch"}, "letterbox"),
        ({"precision": "fp8"}, "bf16"),
        ({"mode": "later"}, "background"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_settings_that_cannot_be_are_refused(server, folder, name, more, words):
    error = sentence(server, folder, name, **more)
    assert error.node == "GenartTrainGAN" and words in error.message


@pytest.mark.parametrize(
    "more",
    [
        {"resolution": 31},
        {"resolution": 10**9},
        {"resolution": "large"},
        {"kimg": -1.0},
        {"kimg": 1e30},
        {"batch_size": -1},
        {"batch_size": 10**6},
        {"seed": -1},
        {"learning_rate": 5.0},
        {"freeze_d": -2},
        {"keep_last": 0},
        {"hours": -1},
        {"gpus": 0},
        {"gpus": 10**6},
    ],
    ids=json.dumps,
)
def test_absurd_values_are_turned_down_before_anything_runs(server, folder, name, more):
    graph = Graph()
    train(graph, folder, name, **more)
    status, answer = server.queue(graph.nodes)
    assert status == 400
    (errors,) = answer["node_errors"].values()
    assert errors["class_type"] == "GenartTrainGAN"
    assert [each["extra_info"]["input_name"] for each in errors["errors"]] == list(more)


def test_absurd_values_that_are_wired_are_refused(server, folder, name):
    graph = Graph()
    batch = graph.node("PrimitiveInt", value=10**6)
    train(graph, folder, name, batch_size=batch)
    assert "batch_size" in refused(server, graph).message


@pytest.fixture(scope="module")
def taken(server: Any, folder: str) -> str:
    """The name of a run that was begun with other settings."""
    name = new_name()
    run(server, folder, name, kimg=0.004)
    return name


@pytest.mark.parametrize(
    ("more", "difference"),
    [
        ({"mirror": True}, "mirror False (now True)"),
        ({"batch_size": 8}, "batch_size 4 (now 8)"),
        ({"learning_rate": 0.001}, "rate 0.002 (now 0.001)"),
    ],
)
def test_a_taken_name_shows_the_difference_and_offers_a_free_one(
    server, taken, folder, more, difference
):
    told = sentence(server, folder, taken, **more).message
    assert difference in told
    offered = told.rsplit("'", 2)[1]
    assert offered != taken and not place(server, offered).exists()


def test_so_do_other_pictures(server, taken, tmp_path):
    for i in range(5):
        Image.new("RGB", (20, 20), (i, 0, 0)).save(tmp_path / f"{i}.png")
    told = sentence(server, str(tmp_path), taken).message
    assert "begun with 8 pictures, and these 5 are others: unwire dataset" in told
