"""The real ComfyUI that graph and page tests share, started once for the session."""

import comfy_genart_nodes  # noqa: F401, I001 - first, so that the inner package wins over the root door

import json
import os
import shutil
import signal
import sys
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from comfy_genart_nodes.headless.client import Server
from comfy_genart_nodes.headless.comfyui import running
from comfy_genart_nodes.headless.provision import ComfyUI, prepare_base, provision

collect_ignore = ["graph/test_nodes"]
ROOT = Path(__file__).resolve().parents[1]
NETWORKS = {"stylegan3-t-ffhqu-256x256.pkl": "sg3t_64", "cifar10.pkl": "sg2_64_cond"}
"""Files that shared workflows ask a person for, and the small ones that stand in for them."""

# Threads that wait for work soon sleep, here and in children: cores are shared with the server and
# the browser. (At once asleep, trainings took a third longer.) Torch's import reads it.
os.environ["GOMP_SPINCOUNT"] = "20000"

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A suite that a shell started in the background ignores Ctrl-C; its children must not.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The clone's root folder."""
    return ROOT


class TestServer(Server):
    """The real ComfyUI of this test session.

    Besides `url`, `get(path)` and `post(path, data)`: its base folder, and what tests ask of it.
    """

    __test__ = False

    def __init__(self, url: str, base: Path) -> None:
        super().__init__(url)
        self.base = base

    def object_info(self) -> dict[str, Any]:
        """What the server knows about every node."""
        return self.get("/object_info")

    def queue(self, prompt: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """POST a prompt as it is; the status, and the answer (prompt_id, or error, node_errors)."""
        body = json.dumps({"prompt": prompt}).encode()
        try:
            with urlopen(Request(f"{self.url}/prompt", body)) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """One real ComfyUI 0.3.75 for the whole session, with the pack and the test nodes linked in."""
    base = tmp_path_factory.mktemp("comfyui")
    prepare_base(base)
    (base / "custom_nodes" / "genart_test_nodes").symlink_to(
        ROOT / "tests" / "graph" / "test_nodes"
    )
    gans = base / "models" / "genart" / "gan"
    gans.mkdir(parents=True)
    for asked, small in NETWORKS.items():
        shutil.copy(ROOT / "tests" / "fixtures" / "networks" / f"{small}.pkl", gans / asked)
    yield from started(base)


@pytest.fixture(scope="session")
def bare_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """The same ComfyUI without the pack: that of somebody who is given a file."""
    base = tmp_path_factory.mktemp("bare")
    prepare_base(base)
    for link in (base / "custom_nodes").iterdir():
        link.unlink()
    yield from started(base)


def started(base: Path) -> Iterator[TestServer]:
    """A ComfyUI on a base folder, for as long as it is wanted."""
    with running(ComfyUI(provision(), (sys.executable,), base)) as server:
        yield TestServer(server.url, base)
