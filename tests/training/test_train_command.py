"""`genart train gan`: the trainer in the shell's own process."""

import os
import signal
import sys
import threading
from dataclasses import replace

import pytest

from comfy_genart_nodes.headless.cli import main
from comfy_genart_nodes.training.run_folder import RunFolder


@pytest.fixture
def signal_at_progress():
    """Sends this process a signal once a run has made progress."""
    numbers = signal.SIGINT, signal.SIGTERM
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
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
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
    before = RunFolder(tmp_path / "output" / "genart" / "a").config
    assert main(command) == 0  # neither pictures nor settings: it is finished
    assert main([*command, "--kimg", "0.016"]) == 0
    run = RunFolder(tmp_path / "output" / "genart" / "a")
    assert run.config == replace(before, kimg=0.016)
    assert run.events()[-1]["step"] == 4
