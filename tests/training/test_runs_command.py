"""`genart runs` and `genart stop`: runs in the background, seen and ended from a shell."""

import time
from dataclasses import replace

import pytest
import runs
from runs import after

from comfy_genart_nodes.headless.cli import main
from comfy_genart_nodes.training import trainer
from comfy_genart_nodes.training.beginning import prepare
from comfy_genart_nodes.training.job import start_in_background


@pytest.fixture
def genart(tmp_path, capsys):
    """Runs a command on the runs below a base folder; its code and what it printed."""

    def genart(*words):
        code = main([*words, "--base", str(tmp_path)])
        said = capsys.readouterr()
        return code, said.out + said.err

    return genart


def test_without_runs_it_says_so(genart, tmp_path):
    code, said = genart("runs")
    assert code == 0 and f"there is no run in {tmp_path / 'output' / 'genart'} yet" in said


def test_runs_are_listed_and_stopped(genart, tmp_path, pictures):
    folder = tmp_path / "output" / "genart"
    endless = replace(runs.CONFIG, steps=100_000)
    short, long = (
        prepare(folder, name, pictures, config, "cpu", threads=1)
        for name, config in (("short", runs.CONFIG), ("a long one", endless))
    )
    trainer.train(short.path, after(2))
    short.record({"event": "measures", "step": 1, "kimg": 0.004, "time": time.time(), "kid": 0.5})
    short.record({"event": "measures", "step": 2, "kimg": 0.008, "time": time.time(), "kid": 0.25})
    short.record({"event": "stopped", "step": 2, "kimg": 0.008, "time": time.time()})
    (folder / "broken").mkdir()
    (folder / "broken" / "run.json").write_text("{")
    locked = prepare(folder, "locked", pictures, runs.CONFIG, "cpu", threads=1)
    (locked.path / "events.jsonl").mkdir()  # as unreadable for whoever may read everything
    start_in_background(long)
    deadline = time.monotonic() + 120
    try:
        while not long.checkpoints and time.monotonic() < deadline:
            time.sleep(0.05)
        code, said = genart("runs")
        lines = {line.partition("  ")[0]: line for line in said.splitlines()}
        assert code == 0 and set(lines) == {"run", "a long one", "short", "broken", "locked"}
        assert "of 400 kimg" in lines["a long one"] and "  training" in lines["a long one"]
        assert "0.008 of 0.02 kimg (40 %)  stopped     KID 0.25" in lines["short"]
        assert "cannot be read" in lines["broken"] and "  unreadable" in lines["locked"]
    finally:
        code, said = genart("stop", "a long one")
    assert code == 0 and "a long one stopped" in said and not long.training
    assert long.checkpoints
    code, said = genart("stop", "a long one")
    assert code == 0 and "nothing to stop" in said
    assert "  stopped" in genart("runs")[1].splitlines()[1]  # it was at work last


def test_a_run_that_is_not_there_is_named(genart):
    code, said = genart("stop", "nobody")
    assert code == 1 and "There is no run 'nobody'" in said
