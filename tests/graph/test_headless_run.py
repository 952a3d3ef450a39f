"""`genart run` on a real ComfyUI: what it brings home, and how it ends."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest

from comfy_genart_nodes.headless.client import Server

COMMAND = [sys.executable, "-m", "comfy_genart_nodes.headless.cli", "run"]
EMPTY = {"width": 8, "height": 8, "batch_size": 1, "color": 255}


def picture(node="GenartTestNoise", inputs=None, **more):
    return {
        "1": {"class_type": node, "inputs": inputs or {"seed": 1}, "_meta": {"title": "A picture"}},
        "2": {
            "class_type": "SaveImage",
            "inputs": {"images": ["1", 0], "filename_prefix": "noise"},
        },
        **more,
    }


ANIMATION = {
    "3": {
        "class_type": "SaveAnimatedWEBP",
        "inputs": {
            "images": ["1", 0],
            "filename_prefix": "walks/walk",
            "fps": 6.0,
            "lossless": True,
            "quality": 80,
            "method": "default",
        },
    },
    "4": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}


def slow(seconds=60.0, seed=1):
    inputs = {"image": ["1", 0], "seconds": seconds}
    return {
        **picture(
            inputs={"seed": seed}, **{"5": {"class_type": "GenartTestSilence", "inputs": inputs}}
        ),
        "2": {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "slow"}},
    }


@pytest.fixture
def genart(repository, tmp_path, server):
    def run(workflow, *options, out="out"):
        path = tmp_path / "workflow.json"
        path.write_text(json.dumps(workflow))
        command = [*COMMAND, str(path), "--server", server.url, "--out", str(tmp_path / out)]
        return subprocess.Popen(
            [*command, *options], cwd=repository, text=True, stdout=-1, stderr=-1
        )

    return run


def end(child):
    stdout, stderr = child.communicate(timeout=120)
    return child.returncode, stdout, stderr


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_two_runs_give_the_same_bytes_and_other_seeds_other_pictures(genart, tmp_path):
    for out in ("first", "second"):
        code, stdout, stderr = end(genart(picture(**ANIMATION), "--seeds", "1-3", out=out))
        assert code == 0, stderr
    first, second = contents(tmp_path / "first"), contents(tmp_path / "second")
    assert first == second
    assert {"noise_seed1_00001_.png", "walk_seed3_00001_.webp", "ComfyUI_seed2_00001_.png"} <= {
        *first
    }
    assert len(first) == len(set(first.values())) == 9  # three files, three seeds, all different
    assert {line.rpartition(os.sep)[2] for line in stdout.splitlines()} == {*second}


def test_overrides_reach_the_node_by_title_type_and_id(genart, tmp_path):
    for number, name in enumerate(("A picture", "GenartTestNoise", "1")):
        assert end(genart(picture(), "--set", f"{name}.seed=7", out=str(number)))[0] == 0
    assert contents(tmp_path / "0") == contents(tmp_path / "1") == contents(tmp_path / "2")
    assert {*contents(tmp_path / "0")} == {"noise_seed7_00001_.png"}


def test_the_pages_format_runs_without_its_muted_nodes(genart, tmp_path):
    ports = {"outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [1, 2]}], "inputs": []}
    noise = {"id": 1, "type": "GenartTestNoise", "mode": 0, "widgets_values": [5, "randomize"]}
    saves = [
        {"id": id_, "type": "SaveImage", "mode": mode, "widgets_values": [prefix], "outputs": []}
        | {"inputs": [{"name": "images", "type": "IMAGE", "link": id_ - 1}]}
        for id_, mode, prefix in ((2, 0, "kept"), (3, 2, "muted"))
    ]
    links = [[1, 1, 0, 2, 0, "IMAGE"], [2, 1, 0, 3, 0, "IMAGE"]]
    code, _, stderr = end(
        genart({"nodes": [noise | ports, *saves], "links": links, "version": 0.4})
    )
    assert code == 0, stderr
    assert {*contents(tmp_path / "out")} == {"kept_seed5_00001_.png"}


def test_files_of_nodes_that_expand_come_in_the_order_of_the_workflow(genart, tmp_path):
    def saved(node, inputs):
        return {"class_type": node, "inputs": {"images": ["1", 0]} | inputs}

    workflow = picture(**{"7": saved("GenartTestSaveTwice", {})})
    workflow["9"] = saved("SaveImage", {"filename_prefix": "last"})
    code, stdout, stderr = end(genart(workflow))
    assert code == 0, stderr
    names = [line.rpartition(os.sep)[2] for line in stdout.splitlines()]
    assert [name.partition("_")[0] for name in names] == ["noise", "twice", "twice", "last"]
    assert len(contents(tmp_path / "out")) == 4


def test_what_nodes_say_is_printed_under_their_names_and_kept(genart, server, tmp_path):
    def saying(**more):
        return {"class_type": "PreviewAny", "inputs": {"source": ["8", 0]}} | more

    text = {"class_type": "PrimitiveString", "inputs": {"value": "three sheep,\none lamb — 羊"}}
    code, stdout, stderr = end(
        genart(picture(**{"9": saying(_meta={"title": "Flock"}), "8": text, "7": saying()}))
    )
    own = server.get("/object_info")["PreviewAny"]["display_name"]
    said = "".join(f"{name}:\n  three sheep,\n  one lamb — 羊\n" for name in ("Flock", own))
    assert code == 0 and said in stderr
    names = [line.rpartition(os.sep)[2] for line in stdout.splitlines()]
    assert names == ["noise_seed1_00001_.png", "workflow_seed1_00001_.txt"]
    kept = contents(tmp_path / "out")
    assert {*kept} == {*names} and kept[names[1]].decode() == said


@pytest.mark.parametrize(
    ("workflow", "options", "named"),
    [
        (picture("NoSuchNode"), (), ["NoSuchNode", '1 "A picture"']),
        (picture("LoadImage", {"image": "gone.png"}), (), ["gone.png", '1 "A picture"']),
        (picture(inputs={"seed": -4}), (), ["seed", "-4", '1 "A picture"']),
        (picture("EmptyImage", EMPTY | {"width": 0}), (), ["width", '1 "A picture"']),
        (picture(), ("--set", "A picture.sed=3"), ["sed", "seed"]),
        (picture("EmptyImage", EMPTY), ("--seeds", "1"), ["seed"]),
        ({"some": "json"}, (), ["workflow"]),
    ],
)
def test_bad_input_is_one_sentence_that_names_it(genart, tmp_path, workflow, options, named):
    code, _, stderr = end(genart(workflow, *options))
    *progress, sentence = stderr.splitlines()
    assert (code, progress) == (1, [])
    assert all(word in sentence for word in named), sentence
    assert not list((tmp_path / "out").glob("*"))


def test_an_output_that_comfyui_drops_is_named_and_the_others_come(genart, tmp_path):
    absent = {"class_type": "LoadImageOutput", "inputs": {"image": "absent.png [output]"}}
    lame = {"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}}
    named = {"_meta": {"title": "Of nothing"}}
    code, _, stderr = end(genart(picture(**{"3": absent, "4": lame | named})))
    assert code == 1 and "left out Of nothing" in stderr.splitlines()[-1]
    assert len(contents(tmp_path / "out")) == 1


def test_a_failing_node_is_named_with_its_error(genart):
    code, _, stderr = end(genart(slow(seconds=-1.0)))
    assert code == 1
    assert "nobody waits a negative time" in stderr.splitlines()[-1]
    assert '5 "GenartTestSilence"' in stderr.splitlines()[-1]


def test_silence_stops_the_prompt_on_the_server(genart, server):
    code, _, stderr = end(genart(slow(seed=11), "--timeout", "2"))
    assert code == 1
    assert "2 s" in stderr.splitlines()[-1]
    wait_for(lambda: not server.get("/queue")["queue_running"])


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_takes_the_prompt_off_the_server_and_leaves_others_alone(genart, server, name):
    _, others = server.queue(slow(seconds=8.0, seed=21))
    child = genart(slow(seed=22))
    wait_for(lambda: len(server.get("/queue")["queue_pending"]) == 1)
    child.send_signal(getattr(signal, name))
    code, _, stderr = end(child)
    assert (code, stderr.splitlines()[-1]) == (130, "genart: interrupted")
    assert not server.get("/queue")["queue_pending"]
    assert [item[1] for item in server.get("/queue")["queue_running"]] == [others["prompt_id"]]
    server.interrupt(others["prompt_id"])
    wait_for(lambda: not server.get("/queue")["queue_running"])


def test_a_workflow_that_is_refused_leaves_others_alone(genart, server):
    def running():
        return [item[1] for item in server.get("/queue")["queue_running"]]

    _, others = server.queue(slow(seed=31))
    wait_for(running)
    assert end(genart(picture("LoadImage", {"image": "gone.png"})))[0] == 1
    time.sleep(0.5)  # an interrupted node ends within a twentieth of a second
    assert running() == [others["prompt_id"]]
    server.interrupt(others["prompt_id"])
    wait_for(lambda: not running())


@pytest.fixture
def alone(repository, tmp_path):
    """Start `genart run` with a ComfyUI of its own; the process, and that ComfyUI's address."""

    def run(workflow):
        path = tmp_path / "workflow.json"
        path.write_text(json.dumps(workflow))
        folders = ["--base", str(tmp_path / "base"), "--out", str(tmp_path / "out")]
        child = subprocess.Popen(
            [*COMMAND, str(path), *folders], cwd=repository, text=True, stdout=-1, stderr=-1
        )
        return child, Server(re.search(r"http://\S+", child.stderr.readline()).group())

    return run


def test_without_a_server_it_starts_one_and_stops_it(alone, tmp_path):
    child, server = alone(picture("EmptyImage", EMPTY))
    code, _, stderr = end(child)
    assert code == 0, stderr
    assert {*contents(tmp_path / "out")} == {"noise_00001_.png"}
    assert not server.answers()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_told_to_end_it_stops_the_server_it_is_still_starting(alone):
    child, server = alone(picture("EmptyImage", EMPTY))
    time.sleep(2)
    child.send_signal(signal.SIGTERM)
    assert end(child)[0] == 130
    lines = [" ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])]
    assert not [line for line in lines if f"main.py --port {server.port} " in line]
