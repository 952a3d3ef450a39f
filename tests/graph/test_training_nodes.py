"""Picture Folder and Train GAN in a real ComfyUI."""

import asyncio
import io
import json
from typing import Any

import aiohttp
import numpy as np
import pytest
from PIL import Image
from prompts import Graph, NodeError, fetch, forget
from training_runs import (
    cancelled,
    checkpoints,
    events,
    kinds,
    new_name,
    place,
    refused,
    run,
    train,
    wait_for,
)


@pytest.fixture
def name() -> str:
    """A run that nobody else has."""
    return new_name()


def test_train_and_sample_in_one_graph(server, folder, name):
    graph = Graph()
    node = train(graph, folder, name)
    latents = graph.node("GenartMakeGANLatent", gan=node, seed=0, batch_size=3, class_index=-1)
    made = graph.node(
        "GenartSampleGAN",
        gan=node,
        latents=latents,
        psi=1.0,
        cutoff=-1,
        noise_mode="const",
        noise_seed=0,
    )
    sheet = graph.node("SaveImage", images=[node[0], 2], filename_prefix="sheet")
    saved = graph.node("SaveImage", images=made, filename_prefix="made")
    outputs = graph.run(server)
    assert fetch(server, outputs[saved[0]]["images"]).shape == (3, 32, 32, 3)
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


def test_only_the_stop_rule_may_change(server, folder, name):
    run(server, folder, name)
    before = checkpoints(server, name)
    with pytest.raises(NodeError, match="mirror"):
        run(server, folder, name, mirror=True)
    assert checkpoints(server, name) == before


def test_cancel_keeps_what_was_reached(server, folder, name):
    graph = Graph()
    train(graph, folder, name, kimg=1000.0)
    prompt = graph.queue(server)
    wait_for(server, name, "progress")
    cancelled(server, prompt)
    stopped = events(server, name)[-1]
    assert stopped["event"] == "stopped"
    assert f"step{stopped['step']:08d}.safetensors" in checkpoints(server, name)

    run(server, folder, name, kimg=(stopped["step"] + 4) * 4 / 1000)
    assert kinds(server, name).count("resumed") == 1
    assert events(server, name)[-1]["step"] == stopped["step"] + 4


async def heard(server: Any, prompt: dict[str, Any]) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Queue as the page does; all that the server says until the prompt's end."""
    told: list[dict[str, Any]] = []
    binary: list[bytes] = []
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{server.url}/ws?clientId=listener") as socket,
    ):
        ask = {"prompt": prompt, "client_id": "listener"}
        await asyncio.to_thread(server.post, "/prompt", ask)
        async for message in socket:
            if message.type == aiohttp.WSMsgType.BINARY:
                binary.append(message.data)
                continue
            told.append(json.loads(message.data))
            if told[-1]["type"] in ("execution_success", "execution_error"):
                return told, binary
    raise AssertionError("the server hung up")


def test_the_node_shows_progress_samples_and_losses(server, folder, name):
    graph = Graph()
    node = train(graph, folder, name)
    told, binary = asyncio.run(asyncio.wait_for(heard(server, graph.nodes), 120))
    assert told[-1]["type"] == "execution_success"
    steps = [event["data"]["value"] for event in told if event["type"] == "progress"]
    assert steps[-1] == 16
    kinds = [int.from_bytes(data[:4], "big") for data in binary]
    preview = next(d for kind, d in zip(kinds, binary, strict=True) if kind == 1)
    assert Image.open(io.BytesIO(preview[8:])).format == "JPEG"
    texts = [d[8:].decode() for kind, d in zip(kinds, binary, strict=True) if kind == 3]
    assert texts[-1].startswith(node[0])
    assert "loss" in texts[-1] and "pictures/s" in texts[-1]


def test_a_corrupt_picture_among_good_ones_is_skipped(server, folder, name, tmp_path):
    for i in range(3):
        Image.new("RGB", (20, 20), (80 * i, 0, 0)).save(tmp_path / f"{i}.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "0.png").read_bytes()[:40])
    run(server, str(tmp_path), name)
    run_file = place(server, name) / "run.json"
    assert json.loads(run_file.read_text())["data"]["skipped"] == ["broken.png"]


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


@pytest.mark.parametrize("bad", ["", "no such folder", "/no/such/folder"])
def test_a_missing_folder_is_named(server, name, bad):
    assert bad in sentence(server, bad, name).message


def test_a_resolution_that_no_network_has_is_refused(server, folder, name):
    assert "100" in sentence(server, folder, name, resolution=100).message
    assert not place(server, name).exists()


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
