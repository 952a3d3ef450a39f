"""A VAE as the trainer takes it: what a run of one begins with, keeps, shows and measures."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..gan.checkpoint import spec_settings
from ..vae.files import load_vae
from . import vae_lineage
from .draws import generator
from .run_folder import RunFolder
from .team import Team
from .vae_config import VAEConfig
from .vae_measures import measure_vae
from .vae_step import VAETraining

BATCH = 16
"""Pictures that are rebuilt at a time for a measure."""


class VAERun(VAETraining):
    """The networks of a run, and what is known of them."""

    @classmethod
    def begun(
        cls,
        run: RunFolder,
        config: VAEConfig,
        pictures: np.ndarray,
        device: torch.device,
        team: Team,
        left_out: Sequence[int],
    ) -> "VAERun":
        """The networks of a run before its first step."""
        parent = run.path / vae_lineage.FILE
        return cls(
            config,
            pictures,
            device,
            run.machine["precision"],
            left_out=left_out,
            team=team,
            parent=load_vae(parent) if parent.is_file() else None,
        )

    def header(self) -> dict[str, Any]:
        """Family and shapes, and what its latents are like."""
        return {
            "family": self.vae.family,
            "spec": spec_settings(self.vae.spec),
            "latents": self.latents(),
        }

    @torch.no_grad()
    def sheet(self) -> Image.Image:
        """Pictures, and below each what is made of it; pictures kept apart where there are any.

        Of a VAE whose latents are a vector, the last row is made from nothing.
        """
        columns = min(max(1024 // self.config.resolution, 2), 8)
        rows = max(columns // 2, 1)
        places = self._to_show(rows // 2 * columns or columns)
        lines = []
        for start in range(0, len(places), columns):
            real = self._real(places[start : start + columns])
            lines += [real, self._rebuilt(real)]
        if self.vae.family == "vector":
            lines.append(self._invented(columns))
        return _joined(lines, columns)

    def _to_show(self, count: int) -> list[int]:
        """Places of pictures all over the set, kept apart where there are as many."""
        seen = set(self.order.shown)
        apart = [place for place in range(len(self.pictures)) if place not in seen]
        among = apart if len(apart) >= count else list(range(len(self.pictures)))
        return [among[i * len(among) // count] for i in range(min(count, len(among)))]

    def measuring(
        self, folder: Path, apart: list[int], progress: Callable[[int, int], None]
    ) -> Callable[[], dict[str, Any]]:
        """How near the averaged network's pictures are to those kept apart."""

        def batches() -> Iterator[Tensor]:
            size = min(BATCH, self.micro)  # what fits with gradients fits without
            for start in range(0, len(apart), size):
                progress(start, len(apart))
                yield self._real(apart[start : start + size])

        return lambda: measure_vae(self.average, batches(), self.perceptual)

    def _real(self, places: Sequence[int]) -> Tensor:
        batch = torch.from_numpy(np.stack([self.pictures[i] for i in places]))
        return batch.to(self.device, self.dtype) / 127.5 - 1

    def _rebuilt(self, real: Tensor) -> Tensor:
        parts = real.split(self.micro)
        return torch.cat([self.average.decode(self.average.encode(part)) for part in parts])

    def _invented(self, count: int) -> Tensor:
        """Pictures of latents of N(0, 1), which training draws them to: the same in every sheet."""
        drawn = torch.randn(count, self.vae.channels, 1, 1, generator=_sheet_draws(self.config))
        return self.average.decode(drawn.to(self.device, self.dtype))


def _sheet_draws(config: VAEConfig) -> torch.Generator:
    return generator(config.seed, 0, "sheet")


def _joined(lines: list[Tensor], columns: int) -> Image.Image:
    """Rows of pictures in -1..1 as one; short rows end in white."""
    made = []
    for line in lines:
        pixels = (line.float().cpu() * 127.5 + 128).clamp(0, 255).byte()
        white = torch.full((columns - len(line), *pixels.shape[1:]), 255, dtype=torch.uint8)
        made.append(torch.cat([*pixels, *white], dim=2))
    return Image.fromarray(torch.cat(made, dim=1).permute(1, 2, 0).numpy())
