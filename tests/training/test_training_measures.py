"""A run that measures itself: pictures kept apart, the best kept, an end where nothing improves.

The pictures are seen by a plain function of their pixels in place of ImageNet's features: what a
run does with figures is the same.
"""

import itertools
from dataclasses import replace

import pytest
import runs
import torch
from PIL import Image
from runs import never

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.training import gan_run, measuring, trainer
from comfy_genart_nodes.training.beginning import prepare
from comfy_genart_nodes.training.measuring import held_out
from comfy_genart_nodes.training.picture_sets import open_folder
from comfy_genart_nodes.training.reached import reached
from comfy_genart_nodes.training.run_folder import RunFolder
from comfy_genart_nodes.training.status import headline

CONFIG = replace(
    runs.CONFIG,
    steps=12,
    checkpoint_kimg=0.008,  # every 2 steps
    sample_kimg=1.0,
    keep_last=1,
    measure_kimg=0.008,
)


class Means:
    """Mean colours of a picture's quarters."""

    name = "quarters"

    def __init__(self, device: torch.device) -> None:
        """Any device."""

    def __call__(self, pictures: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(pictures, 2).flatten(1)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(measuring, "Features", Means)
    monkeypatch.setattr(gan_run, "MADE", 32)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Enough of them to keep some apart."""
    folder = tmp_path_factory.mktemp("measured") / "pictures"
    runs.save_squares(folder, 24)
    return open_folder(folder)


@pytest.fixture
def begin(tmp_path, pictures):
    def begin(**given):
        return prepare(tmp_path / "runs", "a", pictures, replace(CONFIG, **given), "cpu", 1)

    return begin


def measures(run):
    return {e["step"]: e for e in run.events() if e["event"] == "measures"}


def kids(monkeypatch, *values):
    """Let the run measure these KIDs, one after the other."""
    count, measure = iter(values), measuring.measure

    def measured(*args, **more):
        return {**measure(*args, **more), "kid": next(count)}

    monkeypatch.setattr(measuring, "measure", measured)


def kept(run):
    return [int(path.stem.removeprefix("step")) for path in run.checkpoints]


def test_figures_of_pictures_kept_apart_are_recorded(begin):
    run = begin()
    assert run.config.held_out == measuring.LEAST
    assert trainer.train(run.path, never) == "finished"
    found = measures(run)
    assert list(found) == [2, 4, 6, 8, 10, 12]
    for figures in found.values():
        assert figures["kid_low"] <= figures["kid"] <= figures["kid_high"]
        assert {"precision", "recall", "density", "coverage", "copying"} <= set(figures)
        assert figures["backbone"] == "quarters"


def test_pictures_kept_apart_are_never_shown(begin):
    run = begin()
    session = trainer._Session(run, trainer.Team(), never, lambda event: None)
    order = session.training.order
    seen = {place for step in range(20) for place in order.batch(step, 4)}
    assert seen == set(range(24)) - set(held_out(24, run.config.held_out, run.config.seed))


def test_the_best_are_kept_beside_the_newest(begin, monkeypatch):
    kids(monkeypatch, 0.5, 0.2, 0.4, 0.1, 0.6, 0.3)
    run = begin(keep_best=2)
    trainer.train(run.path, never)
    assert kept(run) == [4, 8, 12]
    assert reached(run, "best").path == run.checkpoint_path(8)


def test_measuring_may_begin_later_where_pictures_were_kept_apart(begin):
    run = begin(measure_kimg=0.0, held_out=10, steps=4)
    trainer.train(run.path, never)
    assert begin(steps=4).config.held_out == 10  # nothing said: what the run has
    trainer.train(begin(steps=8).path, never)
    assert list(measures(run)) == [4, 6, 8]  # what it goes on from, too


def test_a_run_that_was_not_measured_yet_has_no_best_one_yet(begin):
    run = begin()
    assert reached(run, "best") is None


def test_measured_pictures_have_classes_as_often_as_the_set():
    places = measuring.classes_like([0] * 30 + [2] * 10, 40).tolist()
    assert (places.count(0), places.count(2)) == (30, 10)
    assert {0, 2} == set(places[:20])


def test_no_class_is_kept_apart_whole(tmp_path):
    for i in range(24):
        folder = tmp_path / "set" / ("rare" if i == 0 else "common")
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (10 * i, 0, 0)).save(folder / f"{i}.png")
    held = [seed for seed in range(50) if 23 in held_out(24, 12, seed)]  # "rare" comes last
    config = replace(CONFIG, classes=True, held_out=12, seed=held[0])
    with pytest.raises(GenartError, match="Every picture of the class 'rare' would be kept apart"):
        prepare(tmp_path / "runs", "a", open_folder(tmp_path / "set"), config, "cpu", 1)
    assert not (tmp_path / "runs" / "a").exists()


def test_a_run_that_ended_by_a_rule_says_so(begin, monkeypatch):
    kids(monkeypatch, 0.5, 0.3, 0.4, *itertools.repeat(0.35, 20))
    run = begin(steps=1000, plateau_kimg=0.016)
    trainer.train(run.path, never)
    assert "finished by plateau_kimg (0.016)" in headline(run)


def test_without_measures_only_the_newest_are_kept(begin):
    run = begin(measure_kimg=0.0, keep_last=3)
    trainer.train(run.path, never)
    assert kept(run) == [8, 10, 12] and not measures(run)
    with pytest.raises(GenartError, match="was measured"):
        reached(run, "best")


def test_a_run_ends_where_nothing_gets_better_and_stays_ended(begin, monkeypatch):
    kids(monkeypatch, 0.5, 0.3, 0.4, *itertools.repeat(0.35, 20))
    run = begin(steps=1000, plateau_kimg=0.016)  # four steps
    assert trainer.train(run.path, never) == "finished"
    (ended,) = [e for e in run.events() if e["event"] == "finished"]
    assert ended["rule"] == "plateau_kimg" and 8 < ended["step"] < 12
    again = begin(steps=1000, plateau_kimg=0.016)
    assert again.finished
    assert trainer.train(again.path, never) == "finished"  # as a shell may ask
    assert again.finished and again.events()[-1]["step"] == ended["step"]
    patient = begin(steps=14, plateau_kimg=1.0)
    assert not patient.finished
    assert trainer.train(patient.path, never) == "finished"
    assert RunFolder(run.path).events()[-1]["step"] == 14


def test_measuring_changes_nothing_in_the_training(begin, tmp_path, pictures):
    run = begin()
    trainer.train(run.path, never)
    quiet = prepare(
        tmp_path / "runs", "b", pictures, replace(run.config, measure_kimg=0.0), "cpu", 1
    )
    trainer.train(quiet.path, never)
    one, two = (trainer.checkpoint.read(r.checkpoints[-1]) for r in (run, quiet))
    assert all(tensor.equal(two[name]) for name, tensor in one.items())


def test_a_wish_to_stop_is_heard_while_measuring(begin, monkeypatch):
    run = begin()
    asked = []
    whole = measuring.Measuring._seen

    def seen(self, *args):
        asked.append(True)
        return whole(self, *args)

    monkeypatch.setattr(measuring.Measuring, "_seen", seen)
    assert trainer.train(run.path, lambda: bool(asked)) == "stopped"
    assert len(asked) == 1 and kept(run) == [2] and not measures(run)
    assert trainer.train(run.path, never) == "finished"
    assert list(measures(run)) == [2, 4, 6, 8, 10, 12]  # what was broken off comes first


def test_a_run_whose_end_was_not_measured_is_not_finished(begin, monkeypatch):
    run = begin(steps=2)
    with monkeypatch.context() as patched:
        patched.setattr(trainer._Session, "_measure", lambda self: None)
        assert trainer.train(run.path, never) == "stopped"
    assert kept(run) == [2] and not run.finished
    run.sample_path(2).unlink()  # as when it was killed before that
    assert trainer.train(run.path, never) == "finished"
    assert run.finished and len(measures(run)) == 1 and run.sample_path(2).exists()


def test_what_is_too_little_to_measure_or_to_train_on_is_refused(begin, tmp_path):
    with pytest.raises(GenartError, match="cannot be held out"):
        begin(held_out=20)
    with pytest.raises(GenartError, match="8 of them kept apart, are fewer than a batch of 20"):
        begin(batch=20)
    with pytest.raises(GenartError, match="lower the batch to 24 or less"):
        begin(batch=32, measure_kimg=0.0)
    assert not (tmp_path / "runs").exists()
