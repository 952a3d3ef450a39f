"""What the trainer asks of that which it trains, whatever kind of network it is."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .config import TrainConfig
from .gan_run import GANRun
from .log import Report
from .run_folder import RunFolder
from .team import Team
from .vae_config import VAEConfig
from .vae_run import VAERun

Figures = dict[str, Any]


class Trainee(Protocol):
    """Networks that learn, a step at a time.

    Attributes:
        step: how many steps it has taken.
        share: places of a batch that this process takes.
        micro: so many pictures it works on at a time.
        rate_factor: times its first learning rate.
    """

    step: int
    share: range
    micro: int
    rate_factor: float

    def advance(self) -> Report:
        """Take one step."""

    def slow_down(self, factor: float) -> None:
        """Learn at so many times the first rate."""

    def forget(self) -> None:
        """Let go of what an unfinished step has gathered."""

    def tensors(self) -> dict[str, Tensor]:
        """Everything that a checkpoint must hold, by name."""

    def restore(self, tensors: dict[str, Tensor], step: int) -> None:
        """Take up copies of the state that `tensors` gave after a step."""

    @property
    def astray(self) -> bool:
        """Whether anything in the state is not a number."""

    def header(self) -> dict[str, Any]:
        """What a checkpoint says of its networks, so that they can be built."""

    def sheet(self) -> Image.Image:
        """A sheet that shows what was learned."""

    def measuring(
        self, folder: Path, apart: list[int], progress: Callable[[int, int], None]
    ) -> Callable[[], Figures]:
        """What measures it, again and again in the same way.

        Args:
            folder: the run's; whatever is worth keeping for the next time may lie there.
            apart: places of the pictures that are not trained on.
            progress: called with (done, total); may raise to stop.
        """


def begin(run: RunFolder, pictures: np.ndarray, team: Team, left_out: Sequence[int]) -> Trainee:
    """What a run trains, as it was before its first step.

    Args:
        run: its folder.
        pictures: uint8 `[n, 3, side, side]`.
        team: the processes that train it together.
        left_out: places of pictures that are never shown.
    """
    device = torch.device(run.machine["device"])
    if team.size > 1 and device.type == "cuda":
        device = torch.device("cuda", torch.cuda.current_device())
    if isinstance(run.config, VAEConfig):
        return VAERun.begun(run, run.config, pictures, device, team, left_out)
    assert isinstance(run.config, TrainConfig)
    return GANRun.begun(run, run.config, pictures, device, team, left_out)
