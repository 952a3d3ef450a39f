"""Two processes train as one does: the same pictures, draws and sums, however they are divided."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta

import pytest
import runs
import team_worker
import torch
import torch.distributed as dist
from team_worker import go_on, learn

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.gan import checkpoint
from comfy_genart_nodes.headless.comfyui import free_port
from comfy_genart_nodes.training import team as teams
from comfy_genart_nodes.training.beginning import prepare
from comfy_genart_nodes.training.picture_sets import open_folder
from comfy_genart_nodes.training.step import Training
from comfy_genart_nodes.training.team import Team


@pytest.fixture(scope="module", autouse=True)
def second(repository):
    """A second process, and the environment of the first, which is the test's own."""
    meeting = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    env = os.environ | {"PYTHONPATH": str(repository), "RANK": "1"} | meeting
    process = subprocess.Popen(
        [sys.executable, repository / "tests" / "training" / "team_worker.py"],
        stdin=subprocess.PIPE,
        env=env,
        text=True,
    )
    process.meeting = meeting | {"RANK": "0"}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield process
    torch.set_num_threads(threads)
    process.kill()
    process.wait()
    process.stdin.close()
    if dist.is_initialized():
        dist.destroy_process_group()


@pytest.fixture
def together(second, monkeypatch):
    """Does one thing in both processes, with these arguments or others there; its result here."""
    monkeypatch.setattr(teams, "PATIENCE", timedelta(minutes=1))

    def together(task, *arguments, there=None):
        second.stdin.write(json.dumps([task, *(there or arguments)]) + "\n")
        second.stdin.flush()
        with monkeypatch.context() as patch:
            for name, value in second.meeting.items():
                patch.setenv(name, value)
            return getattr(team_worker, task)(*arguments)

    return together


def assert_same(one, two):
    """float64: what is left is the order of sums, through some steps of Adam and Muon.

    Reports are float32: a hundred nats have a last digit of 8e-6.
    """
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        there = two[name].to(tensor)  # counts of steps come back as what they are counts of
        torch.testing.assert_close(there, tensor, atol=1e-6, rtol=2e-7, msg=name)


def test_two_processes_with_half_the_batch_each_reach_what_one_does(together):
    """With classes, mirror images, ADA, path lengths, R1 twice and minibatch statistics."""
    one = learn("stylegan2-ada", 20, Team())
    assert len({one[f"ada_p of step {step}"].item() for step in range(20)}) > 3
    assert {"r1 of step 0", "r1 of step 16", "path of step 16"} <= one.keys()
    assert_same(one, together("learn_together", "stylegan2-ada", 20))


@pytest.mark.parametrize("recipe", [r for r in team_worker.CONFIGS if r != "stylegan2-ada"])
def test_of_every_recipe(together, recipe):
    assert_same(learn(recipe, 3, Team()), together("learn_together", recipe, 3))


@pytest.mark.parametrize("recipe", team_worker.CONFIGS)
def test_fewer_pictures_at_a_time_reach_the_same(recipe):
    assert_same(learn(recipe, 2, Team()), learn(recipe, 2, Team(), micro=8))


@pytest.fixture
def begin(tmp_path):
    """Begins a run of seven steps, in float64."""
    runs.save_squares(tmp_path / "pictures")
    config = replace(
        team_worker.CONFIGS["stylegan2-ada"], precision="fp32", steps=7, checkpoint_kimg=0.032
    )

    def begin(name):
        pictures = open_folder(tmp_path / "pictures")
        run = prepare(tmp_path / "genart", name, pictures, config, "cpu", threads=1)
        return runs.machine(run, precision="fp64")

    return begin


def state(run):
    return checkpoint.read(run.checkpoint_path(7))


def test_a_run_goes_on_with_another_number_of_processes(begin, together):
    """The others hear of a wish to stop, and one checkpoint is written."""
    whole, run = begin("whole"), begin("parts")
    assert go_on(whole.path) == "finished"
    assert go_on(run.path, 1) == "stopped"
    assert together("go_on", str(run.path), there=[str(run.path), 2]) == "stopped"
    assert run.checkpoints[-1] == run.checkpoint_path(3)
    assert together("go_on", str(run.path), 1) == "stopped"
    assert go_on(run.path) == "finished"
    assert [e["step"] for e in run.events() if e["event"] == "stopped"] == [1, 3, 4]
    assert_same(state(whole), state(run))


def test_shares_are_neighbours_and_cover_the_batch():
    shares = [Team(rank, 4).share(32, 8) for rank in range(4)]
    assert [place for share in shares for place in share] == list(range(32))
    assert Team().share(30, 4) == range(30)


@pytest.mark.parametrize(
    ("total", "size", "group", "fitting"),
    [(30, 4, 4, "16 or 32"), (24, 2, 8, "16 or 32"), (8, 2, 8, "16"), (4, 3, 4, "12")],
)
def test_groups_are_not_divided(total, size, group, fitting):
    with pytest.raises(GenartError, match=f"batch of {total} cannot .* choose .* of {fitting},"):
        Team(0, size).share(total, group)


def test_when_another_process_is_gone_the_run_fails_in_a_sentence_and_goes_on(
    begin, together, second, monkeypatch
):
    """The last test of this file: it ends the second process."""
    run = begin("a")
    advance = Training.advance

    def end_the_second(self):
        if self.step == 3:
            second.kill()
            second.wait()
        return advance(self)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "advance", end_the_second)
        began = time.monotonic()
        with pytest.raises(GenartError, match=r"Another of the 2 processes .* has ended"):
            together("go_on", str(run.path))
        assert time.monotonic() - began < 30  # not after a timeout
    failed = run.events()[-1]
    assert failed["event"] == "failed" and "start the run again" in failed["reason"]
    assert go_on(run.path) == "finished"
    assert [e["step"] for e in run.events() if e["event"] == "resumed"] == [2]
