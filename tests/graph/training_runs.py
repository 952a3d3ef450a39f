"""Small training runs of Train GAN, and what their folders hold."""

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
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


def record(server: Any, name: str) -> dict[str, Any]:
    """A run's `run.json`."""
    return json.loads((place(server, name) / "run.json").read_text(encoding="utf-8"))


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


def wait_for(server: Any, name: str, kind: str, seconds: float = 300) -> None:
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


@dataclass
class Heard:
    """What the server tells a page that queued a prompt.

    Attributes:
        steps: of the progress.
        texts: lines under a node, each with the node's id.
        previews: pictures, as files.
        end: how the prompt ended.
    """

    steps: list[int] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    previews: list[bytes] = field(default_factory=list)
    end: str = ""

    def hear(self, message: aiohttp.WSMessage) -> None:
        """Take in what came over the socket."""
        if message.type == aiohttp.WSMsgType.BINARY:
            self._hear_binary(message.data)
            return
        event = json.loads(message.data)
        if event["type"] == "progress":
            self.steps.append(event["data"]["value"])
        elif event["type"] in ENDS:
            self.end = event["type"]

    def _hear_binary(self, data: bytes) -> None:
        kind = int.from_bytes(data[:4], "big")
        if kind == 1:
            self.previews.append(data[8:])
        elif kind == 3:
            length = int.from_bytes(data[4:8], "big")
            self.texts.append((data[8 : 8 + length].decode(), data[8 + length :].decode()))


ENDS = ("execution_success", "execution_error", "execution_interrupted")


def hear(
    server: Any,
    graph: Graph,
    meanwhile: Callable[[], None] = lambda: None,
    until: Callable[[Heard], bool] = lambda heard: False,
) -> Heard:
    """Queue as the page does; all that the server says until the prompt's end.

    Args:
        server: the session's.
        graph: what to queue.
        meanwhile: called in a thread of its own once it is queued.
        until: asked after every text; then the prompt is cancelled.
    """
    return asyncio.run(asyncio.wait_for(_hear(server, graph, meanwhile, until), 180))


async def _hear(
    server: Any, graph: Graph, meanwhile: Callable[[], None], until: Callable[[Heard], bool]
) -> Heard:
    heard, ask = Heard(), {"prompt": graph.nodes, "client_id": "listener"}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{server.url}/ws?clientId=listener") as socket,
    ):
        answer = await asyncio.to_thread(server.post, "/prompt", ask)
        other = asyncio.create_task(asyncio.to_thread(meanwhile))
        async for message in socket:
            texts = len(heard.texts)
            heard.hear(message)
            if heard.end:
                await other
                return heard
            if len(heard.texts) > texts and until(heard):
                await asyncio.to_thread(server.interrupt, answer["prompt_id"])
    raise AssertionError("the server hung up")
