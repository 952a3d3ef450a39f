"""Small training runs of Train GAN, and what their folders hold."""

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from prompts import Graph, NodeError, wait


def new_name() -> str:
    """A run that nobody else has."""
    return f"run {uuid.uuid4().hex[:8]}"


def write_pictures(folder: Path, count: int = 8) -> None:
    """Small pictures of soft colours."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.RandomState(0).randint(0, 256, (count, 5, 4, 3), dtype=np.uint8)
    for i, small in enumerate(pixels):
        Image.fromarray(small).resize((48, 40), Image.Resampling.BICUBIC).save(folder / f"{i}.png")


def train(graph: Graph, folder: str, name: str, **more: Any) -> list[Any]:
    """A training of 16 steps unless `more` says otherwise."""
    dataset = graph.node("GenartOpenPictureFolder", folder=folder)
    values = {
        "recipe": "stylegan2",
        "resolution": 32,
        "kimg": 0.064,
        "batch_size": 4,
        "seed": 0,
        "channel_base": 512,
        "precision": "fp32",
    } | more
    return graph.node("GenartTrainGAN", dataset=dataset, run_name=name, **values)


def run(server: Any, folder: str, name: str, **more: Any) -> dict[str, Any]:
    """Train; what the node reported."""
    graph = Graph()
    node = train(graph, folder, name, **more)
    return graph.run(server)[node[0]]


def sample(graph: Graph, gan: list[Any]) -> str:
    """Three pictures of a GAN, saved; the id of the node that saves them."""
    latents = graph.node("GenartMakeGANLatent", gan=gan, seed=0, batch_size=3, class_index=-1)
    made = graph.node(
        "GenartSampleGAN",
        gan=gan,
        latents=latents,
        psi=1.0,
        cutoff=-1,
        noise_mode="const",
        noise_seed=0,
    )
    return graph.node("SaveImage", images=made, filename_prefix="made")[0]


def place(server: Any, name: str) -> Path:
    """A run's folder."""
    return server.base / "output" / "genart" / name


def events(server: Any, name: str) -> list[dict[str, Any]]:
    """What a run recorded so far."""
    path = place(server, name) / "events.jsonl"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.split("\n")[:-1]]


def kinds(server: Any, name: str) -> list[str]:
    return [event["event"] for event in events(server, name)]


def checkpoints(server: Any, name: str) -> dict[str, bytes]:
    """A run's checkpoints, by their files' names."""
    folder = place(server, name) / "checkpoints"
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def wait_for(server: Any, name: str, kind: str, seconds: float = 90) -> None:
    """Wait until a run has recorded an event of a kind."""
    deadline = time.monotonic() + seconds
    while kind not in kinds(server, name):
        assert time.monotonic() < deadline, f"no {kind} within {seconds} s"
        time.sleep(0.1)


@contextmanager
def stopped_in_the_end(server: Any, name: str) -> Iterator[None]:
    """No run in the background outlives its test."""
    try:
        yield
    finally:
        graph = Graph()
        graph.node("GenartStopRun", run_name=name, seconds=60.0)
        try:
            graph.run(server)
        except NodeError as error:  # it never began
            assert "There is no run" in error.message


def cancelled(server: Any, prompt: str) -> None:
    """Cancel a prompt that is running, and wait for its end."""
    server.post("/interrupt", {"prompt_id": prompt})
    with pytest.raises(InterruptedError):
        wait(server, prompt)


def refused(server: Any, graph: Graph) -> NodeError:
    """The one sentence with which a graph fails."""
    with pytest.raises(NodeError) as caught:
        graph.run(server)
    message = caught.value.message
    assert "\n" not in message and "Traceback" not in message
    assert message.endswith(".")
    return caught.value
