"""One process of a team: trains twenty steps in float64 and writes what it reached.

`python team_worker.py OUT.safetensors`, with torchrun's environment or without.
"""

import sys

import numpy as np
import torch
from safetensors.torch import save_file

from comfy_genart_nodes.training.recipes import settings
from comfy_genart_nodes.training.step import Training
from comfy_genart_nodes.training.team import join

SIZES = {"resolution": 32, "channel_base": 256, "channel_max": 16, "z_dim": 16, "w_dim": 16}
CONFIG = settings("stylegan2-ada", batch=16, mirror=True, **SIZES)


def main() -> None:
    torch.set_num_threads(1)
    pictures = np.random.default_rng(0).integers(0, 256, (50, 3, 32, 32), np.uint8)
    labels = np.arange(50) % 3
    team = join()
    training = Training(CONFIG, pictures, torch.device("cpu"), "fp64", labels=labels, team=team)
    for _ in range(20):
        report = training.advance()
    if team.first:
        tensors = training.tensors() | {f"report.{k}": v for k, v in report.items()}
        plain = {name: t.detach().clone().contiguous() for name, t in tensors.items()}
        save_file(plain, sys.argv[1])


if __name__ == "__main__":
    main()
