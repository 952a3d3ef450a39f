"""`genart train gan`: the trainer in the shell's own process."""

import os
import re
import signal
import sys
import threading
from dataclasses import replace

import pytest
from runs import save_squares

from comfy_genart_nodes.gan.checkpoint import load_gan
from comfy_genart_nodes.headless.cli import main
from comfy_genart_nodes.training.recipes import settings
from comfy_genart_nodes.training.run_folder import RunFolder

SIGNALS = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]


@pytest.fixture
def signal_at_progress():
    """Sends this process a signal once a run has made progress."""
    numbers = tuple(SIGNALS)
    # Unheard by the command, a signal fails the test and does not end the suite.
    former = [signal.signal(number, signal.default_int_handler) for number in numbers]
    over = threading.Event()

    def wait(number, events):
        while not over.wait(0.01):
            if events.exists() and '"progress"' in events.read_text():
                os.kill(os.getpid(), number)
                break

    yield lambda *asked: threading.Thread(target=wait, args=asked, daemon=True).start()
    over.set()
    for number, handler in zip(numbers, former, strict=True):
        signal.signal(number, handler)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("number", SIGNALS)
def test_the_command_trains_and_stops_on_a_signal(
    tmp_path, pictures, capsys, signal_at_progress, number
):
    sizes = {"resolution": 32, "channel-base": 128, "channel-max": 8, "z-dim": 8, "w-dim": 8}
    settings = {**sizes, "batch": 4, "threads": 1, "steps": 2000, "checkpoint-kimg": 0.024}
    options = [word for k, v in settings.items() for word in (f"--{k}", str(v))]
    folder = tmp_path / "output" / "genart" / "shell"
    signal_at_progress(number, folder / "events.jsonl")
    command = ["train", "gan", pictures.place, "--run", "shell", "--base", str(tmp_path)]
    assert main([*command, *options]) == 130
    run = RunFolder(folder)
    stopped = run.events()[-1]
    assert stopped["event"] == "stopped"
    assert run.checkpoints[-1] == run.checkpoint_path(stopped["step"])
    said = capsys.readouterr()
    assert "progress" in said.out and "the same command goes on" in said.err


def test_the_shell_goes_on_with_what_nobody_names(tmp_path, pictures, capsys):
    command = ["train", "gan", "--run", "a", "--base", str(tmp_path), "--device", "cpu"]
    own = [
        "--recipe",
        "stylegan2",
        "--resolution",
        "32",
        "--batch",
        "4",
        "--channel-base",
        "128",
        "--channel-max",
        "8",
    ]
    assert main([*command, pictures.place, *own, "--mirror", "--kimg", "0.008"]) == 0
    assert "recipe: stylegan2\n" in capsys.readouterr().out
    before = RunFolder(tmp_path / "output" / "genart" / "a").config
    assert main(command) == 0  # neither pictures nor settings: it is finished
    said = capsys.readouterr().out
    assert "a: finished, 0.008 of 0.008 kimg" in said and "stylegan2, as it began" in said
    assert main([*command, "--kimg", "0.004"]) == 0
    assert "has seen 0.008 kimg already, more than the 0.004" in capsys.readouterr().out
    assert main([*command, str(tmp_path / "gone")]) == 1
    assert "leave it out, and the run 'a' goes on" in capsys.readouterr().err
    assert main([*command, "--recipe", "stylegan2", "--kimg", "0.016"]) == 0
    run = RunFolder(tmp_path / "output" / "genart" / "a")
    assert run.config == replace(before, kimg=0.016)
    assert run.events()[-1]["step"] == 4


def test_the_shell_says_what_begins_until_when_and_how_long_it_takes(tmp_path, capsys):
    save_squares(tmp_path / "set")
    for name in ("a.heic", "b.HEIC", "c.avif", "broken.png"):
        (tmp_path / "set" / name).write_text("no picture")
    sizes = ["--resolution", "64", "--channel-base", "64", "--channel-max", "8", "--z-dim", "8"]
    rules = ["--kimg", "0.032", "--hours", "2", "--held-out", "8", "--threads", "1"]
    command = ["train", "gan", str(tmp_path / "set"), "--run", "a", "--base", str(tmp_path)]
    assert main([*command, *sizes, *rules, "--device", "cpu"]) == 0
    start, _, course = capsys.readouterr().out.partition(" started\n")
    for line in (
        "recipe: tiny, for 17 pictures",
        "16 pictures, 8 of them kept apart for measures; 64x64, 8 a step, on cpu",
        "passed over: 3 of other kinds, as HEIC or AVIF",
        "skipped, cannot be read: broken.png",
        "stops after 0.032 kimg (step 4) or 2 h of training, whichever comes first",
    ):
        assert line in start
    assert re.search(r"progress  loss_g \S+  loss_d .* pictures/s, about \d+ s to go\n", course)


def test_a_device_that_is_not_there_is_said(tmp_path, pictures, capsys):
    command = ["train", "gan", pictures.place, "--run", "a", "--base", str(tmp_path)]
    assert main([*command, "--device", "gpu"]) == 1  # while auto asks for its memory
    assert "genart: Cannot train on the device 'gpu'" in capsys.readouterr().err


def test_it_goes_on_from_the_newest_checkpoint_of_a_run(tmp_path, pictures, capsys):
    def trains(name, *options):
        command = ["train", "gan", pictures.place, "--run", name, "--base", str(tmp_path)]
        sizes = ["--batch", "4", "--channel-base", "128", "--threads", "1"]
        return main([*command, *sizes, "--device", "cpu", *options])

    small = ["--recipe", "stylegan2", "--channel-max", "8", "--z-dim", "8", "--w-dim", "8"]
    small += ["--resolution", "32"]
    assert trains("first", *small, "--steps", "3", "--checkpoint-kimg", "0.004") == 0
    runs = tmp_path / "output" / "genart"
    before, newest = RunFolder(runs / "first").checkpoints
    assert trains("second", "--from", str(runs / "first"), "--steps", "1") == 0
    config = RunFolder(runs / "second").config
    assert config.parent == load_gan(newest).hash and config.recipe == "fine-tune"
    assert config.freeze_d  # its discriminator came along
    assert config.resolution == 32  # and its side, which nobody named
    newest.write_bytes(b"")
    assert trains("third", "--from", str(runs / "first"), "--steps", "1") == 0
    assert RunFolder(runs / "third").config.parent == load_gan(before).hash
    before.unlink()
    newest.unlink()
    assert trains("fourth", "--from", str(runs / "first")) == 1
    assert trains("fourth", "--from", str(tmp_path)) == 1
    said = capsys.readouterr().err
    assert "first has no checkpoint yet" in said and "holds no training run" in said
    assert not (runs / "fourth").exists()


def test_diffaugment_and_ada_take_each_others_place():
    """Of two, one would be kept and not be heard."""
    for recipe in ("stylegan2-ada", "fine-tune"):
        assert settings(recipe).ada_target == 0.6 and not settings(recipe).augment
        given = settings(recipe, augment=("colour",))
        assert (given.augment, given.ada_target) == (("colour",), None)
    none = settings("stylegan2-ada", augment=())
    assert (none.augment, none.ada_target) == ((), None)
    given = settings("stylegan2", ada_target=0.5)
    assert (given.augment, given.ada_target) == ((), 0.5)
    known = settings("stylegan2-ada", augment=(), ada_target=0.6)  # as a run has kept them
    assert known == settings("stylegan2-ada")
