"""Talking to a server that is none, or that breaks off: one sentence, and no half of a file."""

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.headless import data
from comfy_genart_nodes.headless.cli import main
from comfy_genart_nodes.headless.client import Server

BANNER = b"SSH-2.0-OpenSSH_9.2\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n"
WHOLE, SHORT = HEAD + b"0123456789", HEAD + b"01234"
ITEM = {"filename": "a.png", "subfolder": "", "type": "output"}


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], str]]:
    """Start something that answers every connection with the same bytes; its address."""
    listeners = []

    def start(answer: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:  # closed
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for listener in listeners:
        listener.close()


@pytest.mark.parametrize("answer", [BANNER, SHORT, WHOLE, b""])
def test_what_is_no_comfyui_is_one_sentence(answering, answer, tmp_path, capsys):
    workflow = tmp_path / "w.json"
    workflow.write_text('{"1": {"class_type": "EmptyImage"}}')
    url = answering(answer)
    assert main(["run", str(workflow), "--server", url, "--out", str(tmp_path / "out")]) == 1
    (sentence,) = capsys.readouterr().err.splitlines()
    assert url in sentence
    with pytest.raises(GenartError) as caught:
        Server(url).get("/object_info")["Node"]
    assert url in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_a_file_arrives_whole_or_not_at_all(answering, tmp_path):
    target = tmp_path / "a.png"
    Server(answering(WHOLE)).file(ITEM, target)
    assert target.read_bytes() == b"0123456789"
    for answer in (SHORT, BANNER):
        with pytest.raises(GenartError, match=r"a\.png"):
            Server(answering(answer)).file(ITEM, target)
    assert target.read_bytes() == b"0123456789"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_that_cannot_be_written_is_named(answering, tmp_path):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(GenartError, match="write"):
        Server(answering(WHOLE)).file(ITEM, tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_without_an_id_nothing_is_said_to_the_server():
    """ComfyUI would take an empty one as the wish to stop whatever runs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        Server(f"http://127.0.0.1:{listener.getsockname()[1]}").interrupt("")
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize("answer", [BANNER, SHORT])
def test_a_registry_that_breaks_off_is_one_sentence(
    answering, answer, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("npm_config_registry", answering(answer))
    with pytest.raises(GenartError, match="check the network") as caught:
        data.fetch_emoji(tmp_path / "e")
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "e").exists()
