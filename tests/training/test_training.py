"""A run: what it leaves, what goes on, what is refused; a killed one ends as if never killed.

The network is the real one at its smallest, on sixteen coloured squares.
"""

import os
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import runs
import torch
from PIL import Image
from runs import after, digest, never

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.gan.checkpoint import load_gan, read, read_header, write
from comfy_genart_nodes.training import child, trainer
from comfy_genart_nodes.training.beginning import prepare
from comfy_genart_nodes.training.job import TrainerJob
from comfy_genart_nodes.training.picture_sets import open_folder
from comfy_genart_nodes.training.reached import reached
from comfy_genart_nodes.training.run_folder import RunFolder
from comfy_genart_nodes.training.status import beyond, describe, headline, notable
from comfy_genart_nodes.training.step import Training

CONFIG = replace(
    runs.CONFIG,
    steps=18,  # R1 comes at the first and the seventeenth
    checkpoint_kimg=0.024,  # every 6 steps
    sample_kimg=0.048,
)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, pictures):
    run = prepare(tmp_path_factory.mktemp("runs"), "whole", pictures, CONFIG, "cpu", threads=1)
    assert trainer.train(run.path, never) == "finished"
    return run


def test_a_run_leaves_what_it_promises(unbroken):
    kinds = [event["event"] for event in unbroken.events()]
    assert kinds[0] == "started" and kinds[-1] == "finished"
    progress = [e for e in unbroken.events() if e["event"] == "progress"]
    assert progress[-1]["step"] == 18 and progress[-1]["kimg"] == pytest.approx(0.072)
    assert all(np.isfinite(e["loss_g"]) and np.isfinite(e["loss_d"]) for e in progress)
    with Image.open(unbroken.samples[-1]) as sheet:
        assert sheet.size == (8 * 32, 4 * 32)
    gan = load_gan(unbroken.checkpoints[-1])
    assert gan.spec == CONFIG.generator_spec() and gan.info["training"]["step"] == 18
    assert gan.generator.mapping.w_avg.abs().sum() > 0
    assert len(unbroken.checkpoints) == CONFIG.keep_last
    assert {p.name for p in unbroken.path.iterdir()} == {
        "run.json",
        "events.jsonl",
        "samples",
        "checkpoints",
        "pictures.npy",
        "lock",
    }


def test_training_changes_every_weight(unbroken):
    """What no gradient reaches would stay as it was drawn."""
    start = Training(CONFIG, np.zeros((16, 3, 32, 32), np.uint8), "cpu", "fp32").tensors()
    for name, tensor in read(unbroken.checkpoints[-1]).items():
        if name.startswith(("g.", "d.")) and not name.endswith("noise_const"):
            assert not tensor.equal(start[name]), name


def test_a_stopped_run_ends_as_one_never_stopped(begin, unbroken):
    run = begin()
    done = 0
    for step in (1, 6, 10, 17):  # the first, one with a checkpoint, one without, the last but one
        assert trainer.train(run.path, after(step - done)) == "stopped"
        assert run.checkpoints[-1] == run.checkpoint_path(step)
        done = step
    assert trainer.train(run.path, never) == "finished"
    assert digest(run) == digest(unbroken)


def test_a_killed_run_ends_as_one_never_killed(begin, unbroken):
    run = begin()
    step = np.random.default_rng().integers(1, 12)  # a random moment, whichever it is
    process = subprocess.Popen([sys.executable, child.__file__, run.path], stdin=subprocess.PIPE)
    # At a checkpoint, or while the next steps are taken.
    while max((e["step"] for e in run.events()), default=0) < step and process.poll() is None:
        time.sleep(0.001)
    assert process.poll() is None, "it ended before it could be killed"
    process.kill()
    process.wait()
    process.stdin.close()
    assert trainer.train(run.path, never) == "finished"
    assert digest(run) == digest(unbroken), f"killed after step {step}"


def test_leaving_the_job_stops_the_process_with_a_checkpoint(begin):
    run = begin(config=replace(CONFIG, steps=100_000))
    with TrainerJob(run) as job:
        for event in job.events():
            if event and event["event"] == "progress":
                break
    stopped = run.events()[-1]
    assert stopped["event"] == "stopped"
    assert run.checkpoints[-1] == run.checkpoint_path(stopped["step"])


def test_a_broken_newest_checkpoint_falls_back_to_the_one_before(begin, unbroken):
    run = begin()
    broken = []
    for before, step in ((0, 12), (6, 15), (12, 18)):  # one that comes again, one between, the last
        trainer.train(run.path, after(step - before))
        newest = run.checkpoints[-1]
        assert newest == run.checkpoint_path(step)
        newest.write_bytes(newest.read_bytes()[:1000])
        broken.append(newest.name)
        assert not run.finished
    assert trainer.train(run.path, never) == "finished"
    assert [e["file"] for e in run.events() if e["event"] == "unreadable"] == broken
    assert [e["step"] for e in run.events() if e["event"] == "resumed"] == [6, 12, 12]
    assert digest(run) == digest(unbroken)


@pytest.mark.parametrize("byte", [0xFF, 0x3C])  # what is no number, and what is one
def test_a_checkpoint_that_the_disk_has_damaged_falls_back(begin, unbroken, byte):
    """Its header and its length tell nothing of it."""
    run = begin()
    trainer.train(run.path, after(12))
    newest = run.checkpoints[-1]
    data = bytearray(newest.read_bytes())
    place = len(data) * 3 // 4
    data[place : place + 64] = bytes([byte]) * 64
    newest.write_bytes(data)
    assert read_header(newest)["step"] == 12
    there = reached(run)
    assert there and there.path == run.checkpoints[-2] and "could not be read" in there.about
    assert trainer.train(run.path, never) == "finished"
    assert [e["file"] for e in run.events() if e["event"] == "unreadable"] == [newest.name]
    assert digest(run) == digest(unbroken)


def test_a_state_that_is_no_numbers_is_not_gone_on_with(begin, unbroken):
    """As older versions may have left one, whose files have no checksum."""
    run = begin()
    trainer.train(run.path, after(12))
    newest = run.checkpoints[-1]
    header = {name: value for name, value in read_header(newest).items() if name != "crc32"}
    tensors = {name: tensor.clone() for name, tensor in read(newest).items()}
    write(newest, tensors, header)
    assert trainer.train(run.path, after(0)) == "stopped"
    assert not [e for e in run.events() if e["event"] == "unreadable"]
    next(tensor for name, tensor in tensors.items() if name.startswith("d.")).fill_(torch.nan)
    write(newest, tensors, header)
    assert trainer.train(run.path, never) == "finished"
    assert digest(run) == digest(unbroken)


@pytest.mark.parametrize("step", ["abc", -5, 11, None])
def test_a_checkpoint_of_no_step_of_its_own_falls_back(begin, step):
    run = begin()
    trainer.train(run.path, after(12))
    newest = run.checkpoints[-1]
    tensors = {name: tensor.clone() for name, tensor in read(newest).items()}
    write(newest, tensors, read_header(newest) | {"step": step}, summed=True)
    assert not run.finished
    assert trainer.train(run.path, after(0)) == "stopped"
    (told,) = [e for e in run.events() if e["event"] == "unreadable"]
    assert (told["file"], told["step"]) == (newest.name, 6)  # where it goes on


def test_nothing_begins_anew_over_checkpoints_that_cannot_be_read(begin):
    run = begin(config=replace(CONFIG, checkpoint_kimg=0.004))
    trainer.train(run.path, after(2))
    for path in run.checkpoints:
        path.write_bytes(b"")
    for _ in range(2):
        with pytest.raises(GenartError, match="None of the checkpoints"):
            trainer.train(run.path, never)
    assert len(run.checkpoints) == 2


def test_a_wish_to_stop_before_the_first_step_is_heard(begin):
    run = begin()
    assert trainer.train(run.path, after(0)) == "stopped"
    assert run.checkpoints == []


def test_a_stop_file_stops_whoever_trains(begin):
    run = begin()
    run.stop_file.touch()  # meant for a process that is gone
    events = []

    def listen(event):
        events.append(event["event"])
        if event["event"] == "samples":
            run.stop_file.touch()

    assert trainer.train(run.path, never, listen) == "stopped"
    assert events[-1] == "stopped"


def test_what_killed_processes_left_is_swept(begin, tmp_path):
    run = begin()
    left = run.path / "checkpoints" / ".step00000008.safetensors.1.tmp"
    left.write_bytes(b"half")
    trainer.train(run.path, after(1))
    assert not left.exists()
    old = tmp_path / "genart" / ".b.1.tmp"
    old.mkdir()
    os.utime(old, (0, 0))
    begin("b")
    assert not old.exists()


def test_a_batch_that_cannot_be_shared_leaves_nothing(tmp_path, pictures):
    """Processes that torchrun has started tell how many they are, not how many there are to be."""
    folder = tmp_path / "genart"
    with pytest.raises(GenartError, match="cannot be divided among 3 processes"):
        prepare(folder, "a", pictures, CONFIG, "cpu", threads=1, joined=3)
    assert not folder.exists()
    run = prepare(folder, "a", pictures, replace(CONFIG, batch=12), "cpu", threads=1, joined=3)
    assert run.machine["processes"] == 1


def test_a_beginning_that_was_killed_is_in_nobodys_way(begin, tmp_path):
    """In a container, processes have the same numbers again."""
    (tmp_path / "genart" / f".a.{os.getpid()}.tmp" / "samples").mkdir(parents=True)
    assert begin().path.name == "a"


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there_leaves_nothing(tmp_path, pictures, device):
    with pytest.raises(GenartError, match="Cannot train on the device"):
        prepare(tmp_path / "genart", "a", pictures, CONFIG, device)
    assert not (tmp_path / "genart").exists()


def test_stop_rules_may_change_and_nothing_else(begin, pictures):
    run = begin()
    trainer.train(run.path, after(3))
    assert begin(config=replace(CONFIG, steps=30)).config.last_step == 30
    with pytest.raises(GenartError, match=r"batch 4 \(now 8\), mirror True \(now False\)"):
        begin(config=replace(CONFIG, batch=8, mirror=False))
    with pytest.raises(GenartError, match=r"kept no pictures apart.*leave measure_kimg at 0"):
        begin(config=replace(CONFIG, measure_kimg=0.02))


def test_a_finished_run_goes_on_with_a_later_stop(begin):
    run = begin(config=replace(CONFIG, steps=4))
    trainer.train(run.path, never)
    longer = begin(config=replace(CONFIG, steps=6))
    assert not longer.finished
    assert trainer.train(longer.path, never) == "finished"
    assert longer.finished


def test_a_run_that_has_reached_more_than_is_asked_for_says_so(begin):
    run = begin(config=replace(CONFIG, steps=6))
    trainer.train(run.path, never)
    assert not beyond(run)
    less = begin(config=replace(CONFIG, steps=None, kimg=0.016))
    assert less.finished
    said = "a has seen 0.024 kimg already, more than the 0.016 that are asked for: it is finished"
    assert said in describe(less) and said in "\n".join(notable(less))


def test_a_run_goes_on_without_the_pictures_it_began_with(tmp_path, pictures, begin, unbroken):
    trainer.train(begin().path, after(7))
    run = prepare(tmp_path / "genart", "a", None, CONFIG, "cpu", threads=1)
    assert trainer.train(run.path, never) == "finished"
    assert digest(run) == digest(unbroken)
    with pytest.raises(GenartError, match="no run 'b' yet that could go on without pictures"):
        prepare(tmp_path / "genart", "b", None, CONFIG, "cpu", threads=1)


def test_what_differs_is_told_in_the_persons_own_words(tmp_path, pictures, begin):
    begin()

    def said(config):
        with pytest.raises(GenartError) as error:
            names = {"rate": "learning_rate"}
            prepare(tmp_path / "genart", "a", pictures, config, "cpu", 1, called=names)
        return str(error.value)

    assert "begun with learning_rate 0.002 (now 0.1): go on" in said(replace(CONFIG, rate=0.1))
    # A recipe explains all that comes with it.
    other = replace(CONFIG, recipe="r3gan", loss="r3gan", z_dim=16)
    assert "begun with recipe stylegan2 (now r3gan): go on" in said(other)


def test_settings_of_a_run_at_work_wait_for_its_end(begin):
    run = begin()
    with run.locked(), pytest.raises(GenartError, match="is being trained now, with other"):
        begin(config=replace(CONFIG, steps=19))
    begin(config=replace(CONFIG, steps=19))


def test_no_checkpoint_is_older_than_half_an_hour(begin, monkeypatch):
    monkeypatch.setattr(trainer, "SAFE_SECONDS", 0.0)
    run = begin(config=replace(CONFIG, keep_last=100))
    trainer.train(run.path, after(5))
    assert [int(path.stem[4:]) for path in run.checkpoints] == [1, 2, 3, 4, 5]


def test_other_pictures_under_the_same_name_are_refused(begin, tmp_path):
    begin()
    for i in range(2):
        Image.new("RGB", (32, 32)).save(tmp_path / f"{i}.png")
    with pytest.raises(GenartError, match=r"begun with 16 pictures, and these 2 are others"):
        prepare(tmp_path / "genart", "a", open_folder(tmp_path), CONFIG, "cpu")


@pytest.mark.parametrize("name", ["../a", "a/b", "", ".", "..", "CON", "a\\b", "/tmp/a", "a\n"])
def test_names_cannot_leave_their_folder(begin, tmp_path, name):
    if name == "a\n":  # blanks around a name are dropped, newlines among them
        assert begin(name).path.name == "a"
        return
    with pytest.raises(GenartError, match="cannot name a run"):
        begin(name)
    assert not (tmp_path / "genart").exists()


def test_a_run_is_trained_once_at_a_time(begin):
    run = begin()
    with run.locked(), pytest.raises(GenartError, match="being trained already"):
        trainer.train(run.path, never)


def test_a_failed_beginning_leaves_nothing(tmp_path, pictures, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array_header_1_0", full)
    with pytest.raises(GenartError, match="free some space"):
        prepare(tmp_path / "genart", "a", pictures, CONFIG, "cpu")
    assert list((tmp_path / "genart").iterdir()) == []


def test_half_a_line_of_events_is_passed_over(begin):
    run = begin(config=replace(CONFIG, steps=3))
    trainer.train(run.path, after(2))
    with (run.path / "events.jsonl").open("a") as file:
        file.write('[1]\n{}\n{"event": 1, "time": 2}\n{"event": "prog')
    trainer.train(run.path, never)
    assert "finished" in headline(run)
    assert [e["event"] for e in run.events()][-1] == "finished"
    assert "resumed" in [e["event"] for e in run.events()]


def test_unreadable_runs_are_named(tmp_path):
    with pytest.raises(GenartError, match="no training run"):
        RunFolder(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(GenartError, match="cannot be read"):
        RunFolder(tmp_path)


@pytest.mark.parametrize(("precision", "threads"), [("bf16", 2), ("fp32", 2)])
def test_other_arithmetic_resumes_as_exactly(tmp_path, pictures, precision, threads):
    config = replace(CONFIG, precision=precision, steps=6)
    hashes = set()
    for name, stops in (("whole", ()), ("parts", (2, 2))):
        run = prepare(tmp_path / "genart", name, pictures, config, "cpu", threads)
        for step in stops:
            trainer.train(run.path, after(step))
        trainer.train(run.path, never)
        hashes.add(digest(run))
    assert len(hashes) == 1
