"""A job of several processes: begun by the first, ended together, never waited for in vain."""

import time
from dataclasses import replace

import psutil
import pytest
import runs
import torch
from team_worker import CONFIGS, go_on

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.gan import checkpoint
from comfy_genart_nodes.training import crew
from comfy_genart_nodes.training.beginning import prepare
from comfy_genart_nodes.training.job import TrainerJob, start_in_background
from comfy_genart_nodes.training.picture_sets import open_folder
from comfy_genart_nodes.training.team import check_processes


@pytest.fixture
def begin(tmp_path):
    """Begins a run in float64."""
    runs.save_squares(tmp_path / "pictures")
    config = replace(CONFIGS["r3gan"], precision="fp32", checkpoint_kimg=0.032)

    def begin(name, processes, steps=100_000):
        pictures = open_folder(tmp_path / "pictures")
        settings = replace(config, steps=steps)
        folder = tmp_path / "genart"
        run = prepare(folder, name, pictures, settings, "cpu", threads=1, processes=processes)
        return runs.machine(run, precision="fp64")

    return begin


def wait_for(run, kind, job=None):
    """Until the run has recorded another event of a kind."""
    seen = len(run.events())
    for _ in job.events() if job else iter(lambda: time.sleep(0.05), 0):
        if any(event["event"] == kind for event in run.events()[seen:]):
            return


def companion(job):
    """The second process of a job."""
    first = psutil.Process(job._process.pid)
    while not (found := first.children()):
        time.sleep(0.02)
    return found[0]


def test_a_job_of_two_processes_is_stopped_by_leaving_it_and_reaches_what_one_does(begin):
    run = begin("two", 2)
    with TrainerJob(run) as job:
        wait_for(run, "checkpoint", job)
        second = companion(job)
    assert not second.is_running()
    stopped = run.events()[-1]
    assert stopped["event"] == "stopped"
    assert run.checkpoints[-1] == run.checkpoint_path(stopped["step"])
    one = begin("one", 1, stopped["step"])
    assert go_on(one.path) == "finished"
    tensors = checkpoint.read(one.checkpoints[-1])
    for name, tensor in checkpoint.read(run.checkpoints[-1]).items():
        torch.testing.assert_close(tensor, tensors[name], atol=1e-6, rtol=0, msg=name)


@pytest.mark.slow
def test_a_job_of_two_processes_finishes(begin):
    run = begin("a", 2, 3)
    with TrainerJob(run) as job:
        kinds = [event["event"] for event in job.events() if event]
    assert kinds[-1] == "finished" and run.finished


@pytest.mark.slow
def test_a_signal_to_one_process_stops_all_with_one_checkpoint(begin):
    run = begin("a", 2)
    with TrainerJob(run) as job, pytest.raises(GenartError, match="stopped from elsewhere"):
        wait_for(run, "checkpoint", job)
        companion(job).terminate()
        list(job.events())
    stopped = run.events()[-1]
    assert stopped["event"] == "stopped"
    assert run.checkpoints[-1] == run.checkpoint_path(stopped["step"])


@pytest.mark.slow
def test_when_one_process_is_killed_all_end_in_a_sentence_and_the_run_goes_on(begin):
    run = begin("a", 2)
    with TrainerJob(run) as job, pytest.raises(GenartError, match="start the run again"):
        wait_for(run, "checkpoint", job)
        companion(job).kill()
        began = time.monotonic()
        list(job.events())
    assert time.monotonic() - began < 30
    assert [event["event"] for event in run.events()].count("failed") == 1
    with TrainerJob(run) as job:
        wait_for(run, "resumed", job)
        second = companion(job)
        job._process.kill()  # the first one: nothing of it stays behind
        second.wait(30)


@pytest.mark.slow
def test_a_process_that_never_comes_is_not_waited_for(begin):
    """What graphics cards would wait for: nothing tells the first that the other is gone."""
    run = begin("a", 2)
    with TrainerJob(run) as job, pytest.raises(GenartError, match=r"Process 2 .* code -9"):
        companion(job).kill()
        began = time.monotonic()
        list(job.events())
    assert time.monotonic() - began < crew.GRACE_SECONDS + 30
    assert run.events()[-1]["event"] == "failed" and not run.training


@pytest.mark.slow
def test_a_background_job_of_two_processes_stops_when_asked(begin):
    run = begin("a", 2)
    start_in_background(run)
    wait_for(run, "checkpoint")
    run.stop_file.touch()
    wait_for(run, "stopped")


def test_processes_that_the_batch_has_no_room_for_are_refused_before_they_start(begin, tmp_path):
    """The batch is sixteen, in groups of four. More processes may come when a run goes on."""
    with pytest.raises(GenartError, match=r"16 cannot be divided among 3 .* a batch of 12 or 24,"):
        begin("a", 3)
    assert not (tmp_path / "genart").exists()
    begin("a", 1)
    with pytest.raises(GenartError, match="16 cannot be divided among 8"):
        begin("a", 8)
    assert begin("a", 4).machine["processes"] == 4


def test_a_graphics_card_for_every_process(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    check_processes("cuda", 2)
    check_processes("cpu", 5)
    with pytest.raises(GenartError, match=r"3 GPUs .* this machine has 2: lower"):
        check_processes("cuda", 3)
    with pytest.raises(GenartError, match=r"2 GPUs .* this machine has 1"):
        check_processes("mps", 2)
