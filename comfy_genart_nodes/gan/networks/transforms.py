"""Matrices that move and turn the content of a picture."""

import math

import torch
from torch import Tensor


def matrix(x: float, y: float, degrees: float) -> Tensor:
    """The transform that `Frame` takes: turn about the centre, then move.

    Args:
        x: to the right, in sides of the picture.
        y: down, in sides of the picture.
        degrees: counterclockwise.

    Returns:
        [3, 3] float64, so that its inverse is exact to float32.
    """
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    return torch.tensor([[cos, sin, x], [-sin, cos, y], [0, 0, 1]], dtype=torch.float64)
