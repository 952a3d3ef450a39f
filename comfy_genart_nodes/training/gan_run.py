"""A GAN as the trainer takes it: what a run of one begins with, keeps, shows and measures."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..gan import checkpoint
from . import parents, showing
from .config import TrainConfig
from .measuring import MADE, Measuring
from .run_folder import RunFolder
from .step import Training
from .team import Team


class GANRun(Training):
    """The networks of a run, and what is known of them."""

    @classmethod
    def begun(
        cls,
        run: RunFolder,
        config: TrainConfig,
        pictures: np.ndarray,
        device: torch.device,
        team: Team,
        left_out: Sequence[int],
    ) -> "GANRun":
        """The networks of a run before its first step."""
        labels = run.data.get("labels")
        return cls(
            config,
            pictures,
            device,
            run.machine["precision"],
            labels=np.array(labels) if labels else None,
            left_out=left_out,
            team=team,
            parent=parents.read(run.path),
        )

    def header(self) -> dict[str, Any]:
        """Families and shapes."""
        return {
            "family": self.g.family,
            "spec": checkpoint.spec_settings(self.g.spec),
            "discriminator": self.players.rival_settings,
        }

    def sheet(self) -> Image.Image:
        """Pictures of the run's fixed latents."""
        return showing.sheet(self)

    def measuring(
        self, folder: Path, apart: list[int], progress: Callable[[int, int], None]
    ) -> Callable[[], dict[str, Any]]:
        """KID and its company, of the averaged generator."""
        return Measuring(
            folder,
            self.pictures,
            apart,
            self.device,
            lambda numbers: showing.pictures(self, numbers, MADE),
            seed=self.config.seed,
            made=MADE,
            progress=progress,
        )
