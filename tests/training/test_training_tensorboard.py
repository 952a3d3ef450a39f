"""What is written for TensorBoard, and that nothing of it can end a training."""

import sys
import types

import pytest
from runs import never

from comfy_genart_nodes.training import tensorboard, trainer


@pytest.fixture
def run(begin):
    return begin()


def install(monkeypatch, writer):
    """A TensorBoard whose writer is this one."""
    monkeypatch.setattr(tensorboard, "find_spec", lambda name: object())
    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)


class Writer:
    """Keeps what it is given."""

    scalars: list
    images: list

    def __init__(self, folder, purge_step):
        Writer.scalars, Writer.images = [], []

    def add_scalar(self, name, value, seen, time):
        self.scalars.append((name, value, seen))

    def add_image(self, name, pixels, seen, time, dataformats):
        self.images.append((pixels.shape, seen))

    def flush(self):
        pass


def test_numbers_and_sheets_of_a_run_are_written(run, monkeypatch):
    install(monkeypatch, Writer)
    trainer.train(run.path, never, tensorboard.listener(run))
    losses = [seen for name, _, seen in Writer.scalars if name == "progress/loss_g"]
    assert losses[-1] == run.config.last_step * run.config.batch
    assert [seen for _, seen in Writer.images] == [0, 16, 20]


def test_a_broken_tensorboard_ends_no_training(run, monkeypatch, capfd):
    def broken(*args, **named):
        raise TypeError("Descriptors cannot be created directly")

    install(monkeypatch, broken)
    assert trainer.train(run.path, never, tensorboard.listener(run)) == "finished"
    said = capfd.readouterr().err
    assert said.count("TensorBoard is not written any more: Descriptors cannot") == 1


def test_without_tensorboard_nothing_is_written(run, monkeypatch):
    monkeypatch.setattr(tensorboard, "find_spec", lambda name: None)
    tensorboard.listener(run)({"event": "started", "kimg": 0.0})
    assert not (run.path / "tensorboard").exists()
