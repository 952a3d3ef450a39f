"""Build a prompt node by node, run it on the session's ComfyUI and look at what came out."""

import io
import time
import urllib.parse
import urllib.request
from typing import Any

import numpy as np
from PIL import Image


class NodeError(Exception):
    """A node refused: its class and the sentence that the person sees."""

    def __init__(self, node: str, message: str) -> None:
        super().__init__(f"{node}: {message}")
        self.node, self.message = node, message


def forget(server: Any) -> None:
    """Have the server drop every cached result and unload every model before its next prompt."""
    server.post("/free", {"unload_models": True, "free_memory": True})
    time.sleep(0.5)


class Graph:
    """A prompt in the making. `node` returns the link to a node's first output."""

    def __init__(self, nodes: dict[str, dict[str, Any]] | None = None) -> None:
        self.nodes = nodes or {}

    def node(self, kind: str, **inputs: Any) -> list[Any]:
        name = str(len(self.nodes) + 1)
        self.nodes[name] = {"class_type": kind, "inputs": inputs}
        return [name, 0]

    def queue(self, server: Any) -> str:
        """Queue the prompt and return its id."""
        status, answer = server.queue(self.nodes)
        if status != 200:
            raise NodeError("server", str(answer))
        return answer["prompt_id"]

    def run(self, server: Any, seconds: float = 120) -> dict[str, Any]:
        """Queue, wait, and return what every node reported, by its id."""
        return wait(server, self.queue(server), seconds)

    def pictures(self, server: Any, images: list[Any]) -> np.ndarray:
        """Save an IMAGE output and return it as uint8 [n, h, w, 3]."""
        saved = self.node("SaveImage", images=images, filename_prefix="test")
        return fetch(server, self.run(server)[saved[0]]["images"])


def wait(server: Any, prompt: str, seconds: float = 120) -> dict[str, Any]:
    """Wait for a queued prompt and return what every node reported, by its id.

    Raises:
        NodeError: when a node failed.
        InterruptedError: when the prompt was cancelled.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        entry = server.get(f"/history/{prompt}").get(prompt)
        if entry is not None:
            for kind, event in entry["status"]["messages"]:
                if kind == "execution_error":
                    raise NodeError(event["node_type"], event["exception_message"].strip())
                if kind == "execution_interrupted":
                    raise InterruptedError(event["node_type"])
            return entry["outputs"]
        time.sleep(0.05)
    raise TimeoutError(f"prompt {prompt} took more than {seconds} s")


def fetch(server: Any, files: list[dict[str, str]]) -> np.ndarray:
    """Pictures that the server made, as uint8 [n, h, w, 3]."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    pictures = []
    for file in files:
        with opener.open(f"{server.url}/view?{urllib.parse.urlencode(file)}", timeout=60) as reply:
            pictures.append(np.asarray(Image.open(io.BytesIO(reply.read())).convert("RGB")))
    return np.stack(pictures)
