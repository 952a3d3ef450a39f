"""Picture Folder and Train GAN in a real ComfyUI."""

import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from prompts import Graph, NodeError, fetch, forget
from training_runs import (
    Heard,
    checkpoints,
    events,
    hear,
    kinds,
    new_name,
    place,
    record,
    run,
    sample,
    train,
    wait_for,
)

from comfy_genart_nodes.training import recipes


@pytest.fixture
def name() -> str:
    """A run that nobody else has."""
    return new_name()


def test_train_and_sample_in_one_graph(server, folder, name):
    graph = Graph()
    node = train(graph, folder, name)
    saved = sample(graph, node)
    sheet = graph.node("SaveImage", images=[node[0], 2], filename_prefix="sheet")
    outputs = graph.run(server)
    assert fetch(server, outputs[saved]["images"]).shape == (3, 32, 32, 3)
    # What the node shows is the run's newest sheet, and its IMAGE output is the same picture.
    shown = outputs[node[0]]["images"]
    assert shown[0]["subfolder"] == f"genart/{name}/samples"
    assert np.array_equal(fetch(server, shown), fetch(server, outputs[sheet[0]]["images"]))
    assert kinds(server, name)[-1] == "finished"


def test_a_finished_run_returns_at_once_and_a_longer_one_goes_on(server, folder, name):
    run(server, folder, name)
    before = (kinds(server, name), checkpoints(server, name))
    forget(server)
    run(server, folder, name)
    assert (kinds(server, name), checkpoints(server, name)) == before
    run(server, folder, name, kimg=0.096)
    assert kinds(server, name).count("started") == 1
    assert kinds(server, name).count("resumed") == 1
    assert events(server, name)[-1]["step"] == 24
    (told,) = run(server, folder, name, kimg=0.04)["text"]
    assert "has seen 0.096 kimg already, more than the 0.04 that are asked for" in told
    assert events(server, name)[-1]["step"] == 24


def test_only_the_stop_rule_may_change(server, folder, name):
    run(server, folder, name)
    before = checkpoints(server, name)
    with pytest.raises(NodeError, match="mirror"):
        run(server, folder, name, mirror=True)
    assert checkpoints(server, name) == before


def test_a_run_goes_on_without_its_pictures(server, folder, name):
    """A graph may make others by now, and folders move."""
    run(server, folder, name)
    graph = Graph()
    node = train(graph, folder, name, kimg=0.08)
    del graph.nodes[node[0]]["inputs"]["dataset"]
    graph.run(server)
    assert events(server, name)[-1]["step"] == 20


def test_a_run_whose_folder_was_removed_begins_anew(server, folder, name):
    graph = Graph()
    train(graph, folder, name)
    for _ in range(2):
        graph.run(server)
        assert kinds(server, name).count("started") == 1
        shutil.rmtree(place(server, name))
    graph.run(server)
    assert kinds(server, name).count("started") == 1


def test_auto_means_what_it_meant_when_the_run_began(server, folder, name, tmp_path):
    """Also where the pictures are looked at again, or not wired at all."""
    run(server, folder, name, recipe="stylegan2-ada")
    graph = Graph()
    node = train(graph, folder, name, recipe="auto", kimg=0.08)
    told = graph.run(server)[node[0]]["text"][0]
    assert "recipe: stylegan2-ada, as it began" in told
    assert events(server, name)[-1]["step"] == 20


def test_the_node_shows_progress_samples_and_losses(server, folder, name):
    graph = Graph()
    node = train(graph, folder, name)
    heard = hear(server, graph)
    assert heard.end == "execution_success"
    assert heard.steps[-1] == 16
    assert Image.open(io.BytesIO(heard.previews[0])).format == "JPEG"
    while_training = [text for node_id, text in heard.texts if "loss G" in text]
    assert {node_id for node_id, text in heard.texts if "loss G" in text} == {node[0]}
    assert all("pictures/s" in text for text in while_training)


def test_the_node_shows_measures_and_what_went_wrong(server, folder, name):
    """What the trainer records meanwhile; here it is recorded for it."""
    graph = Graph()
    train(graph, folder, name, kimg=1000.0)
    at = {"kimg": 0.4, "step": 100, "time": 0.0}
    told = {
        "kid 0.0123 (0.01 to 0.015), recall 0.5, by somebody": {
            "event": "measures",
            "kid": 0.0123,
            "kid_low": 0.01,
            "kid_high": 0.015,
            "recall": 0.5,
            "backbone": "somebody",
        },
        "memory was short; the batch is now worked on in parts at 0.4 kimg": {
            "event": "micro_batch",
            "pictures": 2,
        },
        "lowered the learning rate at 0.4 kimg: loss_g became nan": {
            "event": "rate_lowered",
            "reason": "loss_g became nan",
        },
        "the one before was taken at 0.4 kimg: step00000004.safetensors": {
            "event": "unreadable",
            "file": "step00000004.safetensors",
        },
    }

    def happen() -> None:
        wait_for(server, name, "progress")
        with (place(server, name) / "events.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(json.dumps({**at, **event}) + "\n" for event in told.values())

    def shown(heard: Heard) -> bool:
        return all(line in heard.texts[-1][1] for line in told)

    heard = hear(server, graph, meanwhile=happen, until=shown)
    assert heard.end == "execution_interrupted"
    graph = Graph()
    status = graph.node("GenartTrainingStatus", run_name=name)
    text = graph.run(server)[status[0]]["text"][0]
    assert all(line in text for line in list(told)[1:])


def test_auto_says_what_it_chose(server, folder, name):
    told = run(server, folder, name, recipe="auto", resolution=64, kimg=0.008, batch_size=0)
    assert "recipe: tiny, for 8 pictures" in told["text"][0].splitlines()
    config = record(server, name)["config"]
    assert config["recipe"] == "tiny"
    assert config["family"] == recipes.RECIPES["tiny"]["family"]
    for setting in ("batch", "rate", "loss", "ema_kimg"):
        assert config[setting] == recipes.RECIPES["tiny"][setting]


def test_every_widget_reaches_the_run(server, folder, name):
    widgets = {
        "batch_size": 2,
        "seed": 7,
        "learning_rate": 0.001,
        "loss": "hinge",
        "fit": "pad",
        "background": "#204060",
        "mirror": True,
        "channel_base": 256,
        "precision": "fp32",
        "preview_every": 0.25,
        "checkpoint_every": 0.5,
        "keep_last": 4,
        "keep_best": 3,
        "hours": 2.5,
    }
    run(server, folder, name, recipe="stylegan2-ada", kimg=0.004, **widgets)
    config = record(server, name)["config"]
    called = {"batch_size": "batch", "learning_rate": "rate"}
    called |= {"preview_every": "sample_kimg", "checkpoint_every": "checkpoint_kimg"}
    assert {key: config[called.get(key, key)] for key in widgets} == widgets
    assert [config[key] for key in ("kimg", "resolution", "ada_target")] == [0.004, 32, 0.6]
    # The others have tests of their own: bases, classes, measures, several cards, background.
    elsewhere = {"base", "classes", "freeze_d", "gpus", "held_out", "measure_every", "mode"}
    first = {"run_name", "recipe", "resolution", "kimg", "dataset"}
    node = server.object_info()["GenartTrainGAN"]["input"]
    assert {*node["required"], *node["optional"]} == {*widgets, *elsewhere, *first, "plateau"}
    sides = np.load(place(server, name) / "pictures.npy")[:, :, 0, 16]
    assert (sides == (0x20, 0x40, 0x60)).all()  # a picture wider than high has bars


def test_a_base_goes_on_with_other_pictures(server, folder, gans, name):
    """After a few slow steps it makes nearly the pictures that it made before."""
    graph = Graph()
    base = graph.node("GenartLoadGAN", gan_name="test_a.safetensors")
    before = sample(graph, base)
    more = {"recipe": "auto", "batch_size": 2, "kimg": 0.02, "learning_rate": 1e-4}
    node = train(graph, folder, name, base=base, **more)
    after = sample(graph, node)
    outputs = graph.run(server)
    assert "recipe: fine-tune, for 8 pictures and a base" in outputs[node[0]]["text"][0]
    old, new = (fetch(server, outputs[each]["images"]).astype(float) for each in (before, after))
    assert 0 < np.abs(new - old).mean() < 8 < old.std() / 4
    config = record(server, name)["config"]
    assert config["recipe"] == "fine-tune" and len(config["parent"]) == 64


def test_sub_folders_become_classes(server, name, tmp_path):
    for kind, colour in (("blue", (30, 30, 200)), ("red", (200, 30, 30))):
        (tmp_path / kind).mkdir()
        for i in range(2):
            Image.new("RGB", (20, 20), colour).save(tmp_path / kind / f"{i}.png")
    graph = Graph()
    node = train(graph, str(tmp_path), name, classes=True, kimg=0.004)
    latents = graph.node("GenartMakeGANLatent", gan=node, seed=0, batch_size=1, class_index=1)
    graph.node("PreviewAny", source=latents)
    graph.run(server)
    assert record(server, name)["data"]["classes"] == ["blue", "red"]


def test_a_corrupt_picture_among_good_ones_is_skipped(server, folder, name, tmp_path):
    for i in range(3):
        Image.new("RGB", (20, 20), (80 * i, 0, 0)).save(tmp_path / f"{i}.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "0.png").read_bytes()[:40])
    told = run(server, str(tmp_path), name, batch_size=2)["text"][0]
    assert "skipped, since unreadable: broken.png" in told
    assert record(server, name)["data"]["skipped"] == ["broken.png"]


def test_new_pictures_are_seen(server, name, tmp_path):
    """The folder's list is read again although the prompt is the same."""
    for i in range(2):
        Image.new("RGB", (20, 20)).save(tmp_path / f"{i}.png")

    def counted() -> str:
        graph = Graph()
        node = graph.node("GenartOpenPictureFolder", folder=str(tmp_path))
        graph.node("PreviewAny", source=node)
        return graph.run(server)[node[0]]["text"][0]

    assert counted().startswith("2 pictures")
    Image.new("RGB", (20, 20)).save(tmp_path / "more.png")
    assert counted().startswith("3 pictures")
