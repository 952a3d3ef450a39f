"""Load Run, Training Status, Plot Run, Stop Run, and Train GAN in the background."""

import json
import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from prompts import Graph, fetch
from training_runs import (
    checkpoints,
    events,
    kinds,
    new_name,
    place,
    refused,
    sample,
    stopped_in_the_end,
    train,
    wait_for,
)

BAD_NAMES = ["../escaped", "a/b", "", "no such run"]
BY_NAME = {
    "GenartLoadRun": {"which": "newest", "step": 0},
    "GenartTrainingStatus": {},
    "GenartPlotRun": {},
    "GenartStopRun": {"seconds": 1.0},
}


@pytest.fixture(scope="module")
def done(server: Any, folder: str) -> str:
    """A finished run of 16 steps; the checkpoints of the last three times four are kept."""
    name, graph = new_name(), Graph()
    train(graph, folder, name, checkpoint_every=0.016, preview_every=0.016, keep_last=3)
    graph.run(server)
    return name


@pytest.fixture(scope="module")
def measured(server: Any, done: str) -> Iterator[str]:
    """The same run with measures, the best kept one of them at step 12."""
    name = f"{done} measured"
    shutil.copytree(place(server, done), place(server, name))
    lines = [
        {"event": "measures", "step": step, "kimg": step / 250, "time": 0.0, "kid": kid}
        for step, kid in ((4, 0.05), (8, 0.3), (12, 0.1), (16, 0.2))
    ]
    with (place(server, name) / "events.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    yield name
    shutil.rmtree(place(server, name))


def loaded(server: Any, name: str, which: str = "newest", step: int = 0) -> tuple[Any, Any]:
    """Pictures of the GAN that Load Run brings, and the sheet beside it."""
    graph = Graph()
    node = graph.node("GenartLoadRun", run_name=name, which=which, step=step)
    made = sample(graph, node)
    sheet = graph.node("SaveImage", images=[node[0], 2], filename_prefix="sheet")
    outputs = graph.run(server)
    return fetch(server, outputs[made]["images"]), fetch(server, outputs[sheet[0]]["images"])


def sheet_at(server: Any, name: str, step: int) -> np.ndarray:
    return np.asarray(Image.open(place(server, name) / "samples" / f"step{step:08d}.png"))[None]


def test_load_run_brings_the_newest_checkpoint(server, folder, done):
    graph = Graph()
    made = sample(graph, train(graph, folder, done, keep_last=3))
    trained = fetch(server, graph.run(server)[made]["images"])
    pictures, sheet = loaded(server, done)
    assert np.array_equal(pictures, trained)
    assert np.array_equal(sheet, sheet_at(server, done, 16))


def test_load_run_brings_the_one_at_a_step(server, done):
    pictures, sheet = loaded(server, done, "step", 8)
    assert np.array_equal(sheet, sheet_at(server, done, 8))
    assert not np.array_equal(pictures, loaded(server, done)[0])


def test_load_run_brings_the_best_one_that_is_kept(server, measured):
    pictures, sheet = loaded(server, measured, "best")
    assert np.array_equal(sheet, sheet_at(server, measured, 12))
    assert np.array_equal(pictures, loaded(server, measured, "step", 12)[0])


def test_the_latest_run_is_the_one_at_work_last(server, folder, done):
    name, graph = new_name(), Graph()
    train(graph, folder, name, kimg=0.004)
    graph.run(server)
    graph = Graph()
    status = graph.node("GenartTrainingStatus", run_name="(latest)")
    assert graph.run(server)[status[0]]["text"][0].startswith(f"{name}: finished")


def test_training_status_says_how_a_run_stands(server, measured):
    graph = Graph()
    node = graph.node("GenartTrainingStatus", run_name=measured)
    text = graph.node("PreviewAny", source=node)
    outputs = graph.run(server)
    told = outputs[node[0]]["text"][0]
    assert outputs[text[0]]["text"][0] == told
    assert told.startswith(f"{measured}: finished, 0.064 of 0.064 kimg (100 %)\nstep 16")
    for word in ("loss G", "loss D", "kid 0.2", "best kid 0.05 at 0.016 kimg", "started"):
        assert word in told
    assert np.array_equal(fetch(server, outputs[node[0]]["images"]), sheet_at(server, measured, 16))


def test_plot_run_draws_what_was_recorded(server, measured):
    """A run that measured has a field more, and another run beside it changes the picture."""

    def drawn(**inputs: Any) -> np.ndarray:
        graph = Graph()
        node = graph.node("GenartPlotRun", **inputs)
        saved = graph.node("SaveImage", images=node, filename_prefix="plot")
        outputs = graph.run(server)
        picture = fetch(server, outputs[saved[0]]["images"])
        assert np.array_equal(fetch(server, outputs[node[0]]["images"]), picture)
        return picture[0]

    plain = measured.removesuffix(" measured")
    one, other = drawn(run_name=measured), drawn(run_name=plain)
    height, width = (side // 2 for side in one.shape[:2])
    assert one.shape == other.shape
    assert (other[height + 100 :, width + 20 :] == other[-1, -1]).all()  # where one has its KID
    assert (one[height + 100 :, width + 20 :] != one[-1, -1]).any()
    both = drawn(run_name=measured, compare_with=f" {plain},, ")
    assert both.shape == one.shape and (both != one).any()
    assert len(np.unique(one.reshape(-1, 3), axis=0)) > 20


def test_comfyuis_own_plot_takes_the_losses(server, folder):
    """With two reports, since it cannot draw a level line."""
    name, graph = new_name(), Graph()
    train(graph, folder, name, kimg=0.016, checkpoint_every=0.004)
    node = graph.node("GenartPlotRun", run_name=name, run=["2", 1])
    shown = [
        graph.node("LossGraphNode", loss=[node[0], output], filename_prefix="loss")[0]
        for output in (1, 2)
    ]
    outputs = graph.run(server)
    pictures = [fetch(server, outputs[each]["images"]) for each in shown]
    assert not np.array_equal(*pictures)


def test_a_wired_run_comes_after_its_training(server, folder):
    name, graph = new_name(), Graph()
    run = [train(graph, folder, name)[0], 1]
    made = sample(graph, graph.node("GenartLoadRun", run_name="x", which="newest", step=0, run=run))
    status = graph.node("GenartTrainingStatus", run_name="no such run", run=run)
    outputs = graph.run(server)
    assert outputs[status[0]]["text"][0].startswith(f"{name}: finished")
    assert fetch(server, outputs[made]["images"]).shape == (3, 32, 32, 3)


def test_the_list_of_runs_follows_the_folder(server, done, measured):
    """The one at work last comes first, and so does what any machine has: the latest run."""
    for kind in BY_NAME:
        about = server.get(f"/object_info/{kind}")[kind]["input"]["required"]["run_name"]
        options = about[1]["options"]
        assert options[0] == about[1]["default"] == "(latest)"
        assert {done, measured} <= set(options)
        assert options[1:] == sorted(options[1:], key=lambda name: _worked(server, name))[::-1]


def _worked(server: Any, name: str) -> float:
    return (place(server, name) / "events.jsonl").stat().st_mtime


@pytest.mark.parametrize("kind", list(BY_NAME))
@pytest.mark.parametrize("bad", BAD_NAMES)
def test_a_name_without_a_run_is_refused(server, done, kind, bad):
    graph = Graph()
    node = graph.node(kind, run_name=bad, **BY_NAME[kind])
    graph.node("PreviewAny", source=node)
    error = refused(server, graph)
    assert error.node == kind and repr(bad) in error.message


@pytest.mark.parametrize(
    ("inputs", "word"),
    [
        ({"which": "step", "step": 5}, "8, 12, 16"),
        ({"which": "best"}, "newest"),
        ({"which": "oldest"}, "newest, best, step"),
    ],
)
def test_a_checkpoint_that_is_not_there_is_refused(server, done, inputs, word):
    graph = Graph()
    node = graph.node("GenartLoadRun", **({"run_name": done, "step": 0} | inputs))
    graph.node("PreviewAny", source=node)
    assert word in refused(server, graph).message


def test_plot_run_names_the_run_that_it_cannot_compare_with(server, done):
    graph = Graph()
    graph.node("GenartPlotRun", run_name=done, compare_with="no such run")
    assert "'no such run'" in refused(server, graph).message


def test_a_broken_newest_checkpoint_gives_way_to_the_one_before(server, done):
    name = f"{done} broken"
    shutil.copytree(place(server, done), place(server, name))
    newest = place(server, name) / "checkpoints" / "step00000016.safetensors"
    newest.write_bytes(newest.read_bytes()[:1000])
    pictures, sheet = loaded(server, name)
    assert np.array_equal(pictures, loaded(server, done, "step", 12)[0])
    assert np.array_equal(sheet, sheet_at(server, done, 12))
    shutil.rmtree(place(server, name))


def test_before_its_first_checkpoint_a_run_stops_nothing(server, done):
    """What hangs behind Load Run is passed over, and the rest of the graph runs."""
    name = f"{done} begun"
    shutil.copytree(place(server, done), place(server, name))
    for path in (place(server, name) / "checkpoints").iterdir():
        path.unlink()
    graph = Graph()
    load = graph.node("GenartLoadRun", run_name=name, which="newest", step=0)
    behind = sample(graph, load)
    sheet = graph.node("SaveImage", images=[load[0], 2], filename_prefix="sheet")
    outputs = graph.run(server)
    assert "no checkpoint yet" in outputs[load[0]]["text"][0]
    assert behind not in outputs and sheet[0] in outputs
    shutil.rmtree(place(server, name))


def in_background(folder: str, name: str, **more: Any) -> tuple[Graph, str, str]:
    """The graph of a training in the background, its node's id, and the id of what saves."""
    graph = Graph()
    node = train(graph, folder, name, kimg=1000.0, mode="background", **more)
    return graph, node[0], sample(graph, node)


def stop(server: Any, name: str) -> str:
    graph = Graph()
    node = graph.node("GenartStopRun", run_name=name, seconds=60.0)
    return graph.run(server)[node[0]]["text"][0]


def test_in_the_background_the_queue_goes_on_and_later_queueing_brings_the_result(server, folder):
    name = new_name()
    graph, node, saved = in_background(folder, name, checkpoint_every=0.4)
    with stopped_in_the_end(server, name):
        first = graph.run(server)
        told = first[node]["text"][0]
        assert told.startswith(f"{name}: training") and "no checkpoint yet" in told
        assert saved not in first
        # It is at work while another graph looks at it.
        wait_for(server, name, "progress")
        looking = Graph()
        status = looking.node("GenartTrainingStatus", run_name=name)
        assert "pictures/s" in looking.run(server)[status[0]]["text"][0]

        wait_for(server, name, "checkpoint")
        second = graph.run(server)
        assert fetch(server, second[saved]["images"]).shape == (3, 32, 32, 3)
        assert kinds(server, name).count("started") == 1
        assert "resumed" not in kinds(server, name)


def test_stop_run_ends_it_with_a_checkpoint_and_train_gan_goes_on(server, folder):
    name = new_name()
    graph, node, saved = in_background(folder, name)
    with stopped_in_the_end(server, name):
        graph.run(server)
        wait_for(server, name, "progress")
        told = stop(server, name)
        last = events(server, name)[-1]
        kept = f"step{last['step']:08d}.safetensors"
        assert last["event"] == "stopped" and kept in checkpoints(server, name)
        assert told.startswith(f"{name} stopped at") and kept in told
        assert "nothing to stop" in stop(server, name)

        again = graph.run(server)
        assert again[node]["text"][0].startswith(f"{name}: training")
        assert fetch(server, again[saved]["images"]).shape == (3, 32, 32, 3)
        wait_for(server, name, "resumed")


def test_a_run_at_work_is_not_trained_twice(server, folder):
    name = new_name()
    graph, _, _ = in_background(folder, name)
    with stopped_in_the_end(server, name):
        graph.run(server)
        second = Graph()
        train(second, folder, name, kimg=1000.0)
        assert "Stop Run" in refused(server, second).message
        assert kinds(server, name).count("started") == 1
