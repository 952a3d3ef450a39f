"""How a training ends: cancelled, failed or finished; nothing is lost, and the log stays clean."""

import re
from typing import Any

import pytest
from prompts import Graph, NodeError, wait
from training_runs import (
    cancelled,
    checkpoints,
    events,
    kinds,
    new_name,
    place,
    train,
    wait_for,
)


def log(server: Any) -> str:
    """All that the server has said so far."""
    path = server.base / "user" / f"genart-{server.port}.log"
    return path.read_text(encoding="utf-8", errors="replace")


def test_cancel_stops_soon_and_the_queue_and_the_run_go_on(server, folder):
    """The waiting prompt runs, and queueing the cancelled one again resumes it."""
    name, graph, behind = new_name(), Graph(), Graph()
    train(graph, folder, name, kimg=1000.0)
    other = behind.node("PreviewAny", source=behind.node("PrimitiveInt", value=5))
    prompt, waiting = graph.queue(server), behind.queue(server)
    wait_for(server, name, "progress")
    cancelled(server, prompt)
    stopped = events(server, name)[-1]
    assert stopped["event"] == "stopped"
    assert f"step{stopped['step']:08d}.safetensors" in checkpoints(server, name)
    assert wait(server, waiting)[other[0]]["text"] == ["5"]

    graph.nodes["2"]["inputs"]["kimg"] = (stopped["step"] + 2) * 4 / 1000
    graph.run(server)
    assert kinds(server, name).count("resumed") == 1
    assert events(server, name)[-1] | {"time": 0} == {
        "event": "finished",
        "kimg": (stopped["step"] + 2) * 4 / 1000,
        "step": stopped["step"] + 2,
        "time": 0,
    }


def test_the_log_stays_clean(server, folder):
    """ComfyUI itself reports a refusal, once; nothing else in the log is an error's trace."""
    name, before = new_name(), len(log(server))
    graph = Graph()
    train(graph, folder, name, kimg=1000.0)
    prompt = graph.queue(server)
    wait_for(server, name, "progress")
    cancelled(server, prompt)
    graph = Graph()
    train(graph, folder, name, kimg=events(server, name)[-1]["kimg"])
    graph.run(server)
    said = log(server)[before:]
    assert "Traceback" not in said and "Error" not in said and "WARNING" not in said

    before = len(log(server))
    graph = Graph()
    train(graph, "no such folder", name)
    with pytest.raises(NodeError):
        graph.run(server)
    said = log(server)[before:]
    assert said.count("Traceback") == 1  # ComfyUI's own, which it writes of every refusal
    assert re.search(r"^!!! Exception during processing !!! There is no folder", said, re.M)
    assert "During handling" not in said and "direct cause" not in said


def test_a_training_that_fails_says_why_in_one_sentence(server, folder):
    """What the trainer's process met with, not that some process ended."""
    name = new_name()
    graph = Graph()
    train(graph, folder, name, kimg=0.004)
    graph.run(server)
    for path in (place(server, name) / "checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    before = len(log(server))
    graph = Graph()
    train(graph, folder, name, kimg=0.008)
    with pytest.raises(NodeError) as caught:
        graph.run(server)
    assert "None of the checkpoints" in caught.value.message
    assert "\n" not in caught.value.message
    assert log(server)[before:].count("Traceback") == 1
