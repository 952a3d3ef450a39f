"""Build a prompt node by node, run it on a real ComfyUI and look at what came out."""

import io
import json
import time
import urllib.error
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


def request(server: Any, path: str, data: object = None) -> bytes:
    body = None if data is None else json.dumps(data).encode()
    headers = {"Content-Type": "application/json"}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(server.url + path, body, headers), timeout=60) as reply:
        return reply.read()


def forget(server: Any) -> None:
    """Have the server drop every cached result and unload every model before its next prompt."""
    request(server, "/free", {"unload_models": True, "free_memory": True})
    time.sleep(0.5)


class Graph:
    """A prompt in the making. `node` returns the link to a node's first output."""

    def __init__(self) -> None:
        self.nodes: dict[str, dict[str, Any]] = {}

    def node(self, kind: str, **inputs: Any) -> list[Any]:
        name = str(len(self.nodes) + 1)
        self.nodes[name] = {"class_type": kind, "inputs": inputs}
        return [name, 0]

    def queue(self, server: Any) -> str:
        try:
            reply = json.loads(request(server, "/prompt", {"prompt": self.nodes}))
        except urllib.error.HTTPError as error:
            raise NodeError("server", error.read().decode()) from None
        return reply["prompt_id"]

    def run(self, server: Any, seconds: float = 120) -> dict[str, Any]:
        """Queue, wait, and return what every node reported, by its id."""
        return wait(server, self.queue(server), seconds)

    def pictures(self, server: Any, images: list[Any]) -> np.ndarray:
        """Save an IMAGE output and return it as uint8 [n, h, w, 3]."""
        saved = self.node("SaveImage", images=images, filename_prefix="test")
        return fetch(server, self.run(server)[saved[0]]["images"])


def wait(server: Any, prompt: str, seconds: float) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        entry = json.loads(request(server, f"/history/{prompt}")).get(prompt)
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
    raw = [request(server, "/view?" + urllib.parse.urlencode(file)) for file in files]
    return np.stack([np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for data in raw])
