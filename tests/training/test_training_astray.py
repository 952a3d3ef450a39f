"""Losses and weights that are no numbers, and memory that runs out: no run is lost to them."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from runs import CONFIG, after, digest, never

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.gan import checkpoint
from comfy_genart_nodes.training import losses, trainer
from comfy_genart_nodes.training.config import TrainConfig
from comfy_genart_nodes.training.players import AnyPlayers, parts
from comfy_genart_nodes.training.step import Training


def astray(monkeypatch, calls):
    """Generator losses that are no numbers at these calls, counted from now."""
    whole = losses.LOSSES["logistic"]
    count = itertools.count()

    def generator(real, fake):
        return whole.generator(real, fake) * (math.nan if next(count) in calls else 1.0)

    monkeypatch.setitem(losses.LOSSES, "logistic", replace(whole, generator=generator))


def test_losses_that_are_no_numbers_go_back_and_slow_down_once(begin, monkeypatch):
    run = begin()
    trainer.train(run.path, after(2))
    astray(monkeypatch, calls={1})
    assert trainer.train(run.path, never) == "finished"
    (lowered,) = [e for e in run.events() if e["event"] == "rate_lowered"]
    assert lowered["step"] == 3 and lowered["rate"] == CONFIG.rate / 2
    assert "became nan at step 4" in lowered["reason"]
    assert checkpoint.read_header(run.checkpoints[-1])["rate"] == 0.5


def test_losses_that_are_no_numbers_twice_end_the_run_before_they_are_kept(begin, monkeypatch):
    run = begin()
    trainer.train(run.path, after(2))
    whole = [path.name for path in run.checkpoints]
    astray(monkeypatch, calls=range(100))
    with pytest.raises(GenartError, match="became nan"):
        trainer.train(run.path, never)
    assert [path.name for path in run.checkpoints] == whole
    assert [e["event"] for e in run.events()].count("rate_lowered") == 1


# A batch of 10 is compared by twos, and so are pieces of it.
@pytest.mark.parametrize(("batch", "micro"), [(16, 4), (10, 5)])
def test_where_memory_runs_out_fewer_pictures_at_a_time_give_the_same_step(batch, micro):
    """In float64: only the order of sums differs."""
    config = TrainConfig(resolution=32, batch=batch, channel_base=256, channel_max=16, seed=3)
    array = np.random.default_rng(0).integers(0, 256, (20, 3, 32, 32), np.uint8)
    whole, tight = (Training(config, array, torch.device("cpu"), "fp64") for _ in range(2))
    score = tight.players.score

    def cramped(seen, classes):
        if len(seen[0]) > 8:  # of four real ones and four generated, but for R1
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        return score(seen, classes)

    tight.players.score = cramped
    for _ in range(2):
        whole.advance()
        tight.advance()
    assert (whole.micro, tight.micro) == (batch, micro)
    for name, tensor in whole.tensors().items():
        torch.testing.assert_close(tight.tensors()[name], tensor, atol=1e-9, rtol=1e-6)


def test_pieces_end_between_pictures_that_are_compared():
    for total, group in ((16, 4), (10, 2), (20, 8), (31, 8), (47, 8), (7, 1)):
        whole = np.array_split(range(total), max(total // group, 1))
        borders = {int(places[0]) for places in whole} | {total}
        for micro in range(1, total + 1):
            pieces = parts(range(total), micro, group)
            assert [i for piece in pieces for i in piece] == list(range(total))
            assert all(len(piece) <= micro for piece in pieces)
            if micro >= max(map(len, whole)):
                assert all({piece.start, piece.stop} <= borders for piece in pieces)
                for piece in pieces:  # and in a piece the same pictures are compared
                    inside = np.array_split(piece, max(len(piece) // group, 1))
                    assert {int(places[0]) for places in inside} <= borders


def test_a_shortage_of_memory_is_remembered_through_a_stop(begin, monkeypatch):
    """It is met at a step with R1, and R1 comes every sixteenth step: the whole run counts."""
    config = replace(CONFIG, batch=8, checkpoint_kimg=0.008)
    score = AnyPlayers.score

    def cramped(self, seen, classes):
        if len(seen[0]) > 4 and seen[0].requires_grad and seen[0].is_leaf:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        return score(self, seen, classes)

    monkeypatch.setattr(AnyPlayers, "score", cramped)
    whole, stopped = begin("whole", config), begin("stopped", config)
    trainer.train(whole.path, never)
    trainer.train(stopped.path, after(2))
    trainer.train(stopped.path, never)
    assert "micro_batch" in [event["event"] for event in whole.events()]
    assert digest(stopped) == digest(whole)


def test_weights_that_are_no_numbers_are_not_kept(begin, monkeypatch):
    run = begin()
    trainer.train(run.path, after(2))
    step = Training.advance
    spoiled = iter([True])

    def spoil(self):
        report = step(self)
        if next(spoiled, False):
            next(self.g.parameters()).data.fill_(math.inf)
        return report

    monkeypatch.setattr(Training, "advance", spoil)
    assert trainer.train(run.path, never) == "finished"
    (lowered,) = [e for e in run.events() if e["event"] == "rate_lowered"]
    assert "became not a number at step 3" in lowered["reason"]
    assert all(t.isfinite().all() for t in checkpoint.read(run.checkpoints[-1]).values())


def test_the_lower_rate_is_kept_at_once(begin, monkeypatch):
    run = begin()
    trainer.train(run.path, after(2))
    astray(monkeypatch, calls={0})
    trainer.train(run.path, after(1))
    assert checkpoint.read_header(run.checkpoints[-1])["rate"] == 0.5
