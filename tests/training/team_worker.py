"""What processes of a team do in `test_team.py`: the test's own, and a second one beside it.

`python team_worker.py`, in the environment of a team's second process: every line it reads names
something to do, and its arguments.
"""

import itertools
import json
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from comfy_genart_nodes.training import ada, trainer
from comfy_genart_nodes.training.config import TrainConfig
from comfy_genart_nodes.training.recipes import settings
from comfy_genart_nodes.training.run_config import RunConfig
from comfy_genart_nodes.training.step import Training
from comfy_genart_nodes.training.team import Team, join
from comfy_genart_nodes.training.vae_config import VAEConfig, vae_settings
from comfy_genart_nodes.training.vae_step import VAETraining

SMALL = {"batch": 16, "channel_base": 64, "channel_max": 8, "mirror": True}
STYLEGAN2 = SMALL | {"resolution": 32, "channel_max": 4, "z_dim": 8, "w_dim": 8}
VAES = {"batch": 16, "resolution": 32, "width": 16, "perceptual": 0.0, "mirror": True}
OTHERS = SMALL | {"resolution": 64, "z_dim": 8}
CONFIGS = {
    "stylegan2-ada": settings("stylegan2-ada", **STYLEGAN2),
    "r3gan": settings("r3gan", **STYLEGAN2),
    "tiny": settings("tiny", **OTHERS),
    "classic": settings("classic", **OTHERS | {"channel_base": 256}),
    "vae tiny": vae_settings("tiny", **VAES, adversarial_after=0.016, eq=0.5),
    "vae vq": vae_settings("vq", **VAES, adversarial=0.0, codes=32),
    "vae beta": vae_settings("beta", **VAES),
}


def telling(p: float, signs: float, target: float, pictures: int) -> float:
    """In place of ADA's rule one that does not hide small differences, and soon changes much."""
    return 0.3 + 0.3 * signs


def begun(config: RunConfig, pictures: np.ndarray, team: Team) -> Training | VAETraining:
    """The networks of a run before its first step, in float64."""
    device = torch.device("cpu")
    if isinstance(config, VAEConfig):
        return VAETraining(config, pictures, device, "fp64", team=team)
    assert isinstance(config, TrainConfig)
    labels = np.arange(50) % 3 if config.family == "stylegan2" else None
    return Training(config, pictures, device, "fp64", labels=labels, team=team)


def learn(recipe: str, steps: int, team: Team, micro: int | None = None) -> dict[str, Tensor]:
    """Some steps in float64: the state that they lead to, and what each of them reported."""
    config = CONFIGS[recipe]
    pictures = np.random.default_rng(0).integers(0, 256, (50, 3, 64, 64), np.uint8)
    pictures = pictures[:, :, : config.resolution, : config.resolution]
    training = begun(config, pictures, team)
    training.micro = micro or training.micro
    reports = {}
    with mock.patch.object(ada, "adapted", telling):
        for step in range(steps):
            for name, value in training.advance().items():
                reports[f"{name} of step {step}"] = value.detach()
    return {name: tensor.detach().clone() for name, tensor in training.tensors().items()} | reports


def learn_together(recipe: str, steps: int) -> dict[str, Tensor]:
    """The same, by a team of two."""
    return learn(recipe, steps, join("cpu"))


def go_on(folder: str, steps: int | None = None) -> str:
    """Train a run until it is finished, or for so many steps more."""
    asked = itertools.count()
    return trainer.train(Path(folder), lambda: next(asked) == steps)


def main() -> None:
    torch.set_num_threads(1)
    tasks = {task.__name__: task for task in (learn_together, go_on)}
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        tasks[name](*arguments)


if __name__ == "__main__":
    main()
