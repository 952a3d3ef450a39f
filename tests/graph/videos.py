"""Videos that a real ComfyUI makes: their names, their frames, and what Cancel leaves of them."""

import time
import uuid
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest
from prompts import Graph, wait

PARTS = "genart/unfinished_videos"
"""Where parts lie, below the output folder."""


def fresh(stem: str) -> str:
    """A prefix that no other test has."""
    return f"videos/{stem}_{uuid.uuid4().hex[:8]}"


def files(folder: Path) -> set[Path]:
    """All files below a folder, but for locks, which hold nothing."""
    return {path for path in folder.rglob("*") if path.is_file() and path.name != "lock"}


def decode(path: Path) -> np.ndarray:
    """All frames, uint8 [n, h, w, 3]."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def packets(path: Path) -> list[tuple[int, bytes]]:
    """When each packet is shown, and its bytes."""
    with av.open(str(path)) as container:
        return [(each.pts, bytes(each)) for each in container.demux(video=0) if each.size]


def made(server: Any, graph: Graph, node: list[Any]) -> Path:
    """Run a graph; the file of its video."""
    file = graph.run(server)[node[0]]["images"][0]
    return server.base / "output" / file["subfolder"] / file["filename"]


def cancelled(server: Any, graph: Graph, parts: int) -> list[Path]:
    """Run a graph and cancel it when its video has so many parts; those that it leaves."""
    prompt = graph.queue(server)
    folder = server.base / "output" / PARTS
    deadline = time.monotonic() + 60
    while len(list(folder.glob("*/*.mp4"))) < parts:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    server.interrupt(prompt)
    with pytest.raises(InterruptedError):
        wait(server, prompt)
    return sorted(files(folder))


def held(server: Any) -> int:
    """Bytes that the server holds now."""
    listening = next(
        each.pid
        for each in psutil.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN and each.laddr.port == server.port
    )
    return psutil.Process(listening).memory_info().rss
