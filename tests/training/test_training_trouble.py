"""What goes wrong around a run loses no work: full disks, little memory, files made elsewhere."""

import json
import shutil
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from runs import CONFIG, after, digest, never, save_squares
from safetensors.torch import load_file, save_file

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.gan import checkpoint
from comfy_genart_nodes.training import showing, trainer
from comfy_genart_nodes.training.beginning import prepare
from comfy_genart_nodes.training.picture_sets import open_folder
from comfy_genart_nodes.training.run_folder import RunFolder
from comfy_genart_nodes.training.step import Training

resource = pytest.importorskip("resource", reason="limits of what a process may write")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, pictures):
    """What a run without trouble ends with."""
    run = prepare(tmp_path_factory.mktemp("runs"), "whole", pictures, CONFIG, "cpu", threads=1)
    trainer.train(run.path, never)
    return digest(run)


@pytest.fixture
def run(tmp_path, pictures):
    """A run that was stopped after two steps."""
    run = prepare(tmp_path / "genart", "a", pictures, CONFIG, "cpu", threads=1)
    trainer.train(run.path, after(2))
    return run


def names(run):
    return sorted(path.name for path in (run.path / "checkpoints").iterdir())


def fails(run, match):
    """The run fails with a sentence that is recorded too, and keeps its checkpoints."""
    before = names(run)
    with pytest.raises(GenartError, match=match):
        trainer.train(run.path, never)
    event = run.events()[-1]
    assert event["event"] == "failed"
    assert names(run) == before
    return event["reason"]


def goes_on(run, whole):
    assert trainer.train(run.path, never) == "finished"
    assert digest(run) == whole


@contextmanager
def no_file_beyond(size):
    """What the system says of a file that would grow larger is no pretence."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_fills_while_a_checkpoint_is_written(run, whole):
    with no_file_beyond(20_000):
        assert "free some space" in fails(run, r"Could not write .*step00000003")
    goes_on(run, whole)


def test_a_disk_that_fills_while_a_sheet_is_written(run, whole, monkeypatch):
    save = showing.sheet

    class Full:
        def save(self, *args, **kwargs):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(showing, "sheet", lambda training: Full())
    with pytest.raises(GenartError, match=r"step00000004\.png.*free some space"):
        trainer.train(run.path, never)
    assert run.checkpoints[-1] == run.checkpoint_path(4)  # before the sheet
    monkeypatch.setattr(showing, "sheet", save)
    goes_on(run, whole)


def test_a_disk_without_room_for_a_line_of_events(run, whole):
    with (
        no_file_beyond((run.path / "events.jsonl").stat().st_size + 10),
        pytest.raises(GenartError, match="free some space"),
    ):
        trainer.train(run.path, never)
    assert run.events()[-1]["event"] == "stopped"  # half a line is none
    goes_on(run, whole)


@pytest.mark.parametrize(
    ("kept", "said"),
    [("nothing of it", "not a whole safetensors file"), ("most of it", "damaged it")],
)
def test_no_checkpoint_goes_before_the_new_one_is_known_to_be_whole(run, monkeypatch, kept, said):
    """keep_last is two, and there are two."""
    write_whole = checkpoint.write

    def write(path, *args, **more):
        write_whole(path, *args, **more)
        data = path.read_bytes()
        path.write_bytes(
            data[:-9] + bytes(255 - byte for byte in data[-9:])
            if kept == "most of it"
            else b"what a broken disk keeps"
        )

    before = names(run)
    assert len(before) == 2
    monkeypatch.setattr(checkpoint, "write", write)
    with pytest.raises(GenartError, match=said):
        trainer.train(run.path, never)
    assert set(before) < set(names(run))


def without_memory(monkeypatch, *, at_most):
    """No memory for scoring more than so many pictures at a time."""
    init = Training.__init__

    def cramped(self, *args, **kwargs):
        init(self, *args, **kwargs)
        inner = self.players.score

        def score(seen, classes):
            if len(seen[0]) > at_most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
            return inner(seen, classes)

        self.players.score = score

    monkeypatch.setattr(Training, "__init__", cramped)


def test_memory_that_is_too_little_for_a_batch_is_told_and_the_run_goes_on(
    tmp_path, pictures, monkeypatch
):
    config = replace(CONFIG, batch=8, steps=2)
    run = prepare(tmp_path / "genart", "a", pictures, config, "cpu", threads=1)
    without_memory(monkeypatch, at_most=8)  # four real ones and four generated
    assert trainer.train(run.path, never) == "finished"
    (told,) = [event for event in run.events() if event["event"] == "micro_batch"]
    assert told["pictures"] == 4


def test_memory_that_is_too_little_for_one_picture(run, whole, monkeypatch):
    with monkeypatch.context() as patch:
        without_memory(patch, at_most=0)
        assert "lower the batch or resolution" in fails(run, "too little memory")
    goes_on(run, whole)


def test_memory_that_is_too_little_to_take_up_a_checkpoint_breaks_none(run, whole, monkeypatch):
    """Another program fills the card: the checkpoint is as good as before."""

    def restore(self, tensors, step):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")

    with monkeypatch.context() as patch:
        patch.setattr(Training, "restore", restore)
        fails(run, "too little memory")
    goes_on(run, whole)
    assert not any(event["event"] == "unreadable" for event in run.events())


def rewritten(path, **header):
    """A checkpoint with other words in its header."""
    kept = checkpoint.read_header(path)
    save_file(load_file(path), path, metadata={"genart": json.dumps(kept | header)})


def test_a_checkpoint_of_a_newer_version_is_left_as_it_is(run):
    newest = run.checkpoints[-1]
    rewritten(newest, format=99)
    assert newest.name in fails(run, "newer version of this pack .*: update the pack")


def test_a_run_of_a_newer_version_is_left_as_it_is(run):
    file = run.path / "run.json"
    kept = json.loads(file.read_text())
    for change in ({"format": 99}, {"config": kept["config"] | {"wings": 2}}):
        file.write_text(json.dumps(kept | change))
        with pytest.raises(GenartError, match="update the pack"):
            RunFolder(run.path)
        with pytest.raises(GenartError, match="update the pack"):
            trainer.train(run.path, never)
    assert len(names(run)) == 2


@pytest.mark.parametrize("harm", ["cut", "zeros", "empty", "foreign", "gone"])
def test_a_broken_newest_checkpoint_in_any_way(run, whole, harm):
    newest = run.checkpoints[-1]
    size = newest.stat().st_size
    match harm:
        case "cut":
            newest.write_bytes(newest.read_bytes()[: size // 2])
        case "zeros":  # what a power cut may leave
            newest.write_bytes(bytes(size))
        case "empty":
            newest.write_bytes(b"")
        case "foreign":
            save_file({"a": torch.zeros(3)}, newest)
        case "gone":
            newest.unlink()
    goes_on(run, whole)
    told = [event["file"] for event in run.events() if event["event"] == "unreadable"]
    assert told == ([] if harm == "gone" else [newest.name])
    assert [e["step"] for e in run.events() if e["event"] == "resumed"] == [1]


def test_a_run_needs_its_pictures_no_more_once_it_has_begun(tmp_path):
    save_squares(tmp_path / "pictures")
    pictures = open_folder(tmp_path / "pictures")
    run = prepare(tmp_path / "genart", "a", pictures, CONFIG, "cpu", threads=1)
    trainer.train(run.path, after(2))
    shutil.rmtree(tmp_path / "pictures")
    assert trainer.train(run.path, never) == "finished"


def test_a_run_whose_own_copy_of_the_pictures_is_gone_says_so(run):
    (run.path / "pictures.npy").unlink()
    assert "pictures.npy" in fails(run, "pictures.npy")
