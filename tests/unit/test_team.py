"""Two processes train as one does: the same pictures, draws and sums, however they are divided."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.headless.comfyui import free_port
from comfy_genart_nodes.training.team import Team


def start(repository: Path, out: Path, **environment: str) -> subprocess.Popen:
    """A process of `team_worker.py`."""
    env = os.environ | {"PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"} | environment
    script = repository / "tests" / "team_worker.py"
    return subprocess.Popen([sys.executable, str(script), str(out)], env=env)


def test_two_processes_with_half_the_batch_each_reach_what_one_does(repository, tmp_path):
    meeting = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    both = [start(repository, tmp_path / "two", RANK=str(rank), **meeting) for rank in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    assert start(repository, tmp_path / "one").wait(120) == 0
    one, two = load_file(tmp_path / "one"), load_file(tmp_path / "two")
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        # float64: what is left is the order of sums, through twenty steps of Adam.
        torch.testing.assert_close(two[name], tensor, atol=1e-6, rtol=0, msg=name)


def test_shares_are_neighbours_and_cover_the_batch():
    shares = [Team(rank, 4).share(32) for rank in range(4)]
    assert [place for share in shares for place in share] == list(range(32))
    with pytest.raises(GenartError, match="batch of 30 cannot be divided among 4"):
        Team(0, 4).share(30)
