"""Latents shown without their decoder: each place's colour as a linear map of its channels.

ComfyUI previews a latent space so while it samples, with `latent_rgb_factors` of `[channels, 3]`
and a bias of three, which give colours in -1..1. Here they are fitted.
"""

import json
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import GenartError
from ..latent.families import family

_FACTORS, _BIAS = "latent_rgb_factors", "latent_rgb_factors_bias"
_DIGITS = 6


@dataclass(frozen=True, eq=False)
class Factors:
    """The linear map.

    Attributes:
        matrix: `[channels + 1, 3]` in float64; the last row is the bias.
    """

    matrix: Tensor

    def text(self) -> str:
        """JSON with the names by which ComfyUI's latent formats call it."""
        rows = [[float(f"{value:.{_DIGITS}g}") for value in row] for row in self.matrix.tolist()]
        lines = ",\n".join(f"    {json.dumps(row)}" for row in rows[:-1])
        return f'{{\n  "{_FACTORS}": [\n{lines}\n  ],\n  "{_BIAS}": {json.dumps(rows[-1])}\n}}'


def fit(latents: Tensor, pictures: Tensor) -> tuple[Factors, float]:
    """The map with the least squared error.

    Args:
        latents: `[n, c, ..., h, w]`.
        pictures: those that they are of, `[n, 3, height, width]` in -1..1.

    Returns:
        The map, and the share of the colours' variance that it explains (1: all).

    Raises:
        GenartError: when something in them is no number.
    """
    flat = _as_pictures(latents).cpu().double()
    places = (flat.shape[-2], flat.shape[-1])
    colours = F.adaptive_avg_pool2d(pictures.float(), places).cpu().double()
    if not bool(flat.isfinite().all()) or not bool(colours.isfinite().all()):
        raise GenartError(
            "These latents have values that are no numbers, which fit no factors: encode again, in "
            "float32 (start ComfyUI with --fp32-vae)."
        )
    x = _with_one(flat)
    y = colours.movedim(1, -1).reshape(-1, 3)
    # The one of least norm where there are fewer places than channels.
    matrix = torch.linalg.lstsq(x, y, driver="gelsd").solution
    spread = (y - y.mean(0)).square().sum()
    missed = (y - x @ matrix).square().sum()
    return Factors(matrix), 1 - float(missed / spread) if spread > 0 else 1.0


def read_factors(text: str) -> Factors:
    """Factors from the text of `Factors.text`, or one like it.

    Raises:
        GenartError: when it is none.
    """
    try:
        found = json.loads(text)
        rows = [*found[_FACTORS], found.get(_BIAS) or [0.0] * 3]
        matrix = torch.tensor(rows, dtype=torch.float64)
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        ArithmeticError,
        RuntimeError,
    ) as error:
        raise _unreadable() from error
    if matrix.ndim != 2 or len(matrix) < 2 or matrix.shape[1] != 3 or not matrix.isfinite().all():
        raise _unreadable()
    return Factors(matrix)


def _unreadable() -> GenartError:
    return GenartError(
        f"This text holds no preview factors: wire Fit Latent Preview, or paste JSON with "
        f"{_FACTORS}, a list of three numbers for each channel, and {_BIAS}."
    )


def shown(factors: Factors, latents: Tensor, scale: int) -> Tensor:
    """Latents as pictures.

    Args:
        factors: of their latent space.
        latents: `[n, c, h, w]`, or `[n, c, t, h, w]` whose frames become pictures.
        scale: pixels along a side for each place.

    Returns:
        [n, 3, h * scale, w * scale], about -1..1.

    Raises:
        GenartError: when the factors are of another number of channels.
    """
    channels = len(factors.matrix) - 1
    if latents.shape[1] != channels:
        raise GenartError(
            f"These factors are of {family(channels)}, and the latents have "
            f"{family(latents.shape[1])}: fit factors with the VAE of these latents."
        )
    flat = _as_pictures(latents)
    n, _, h, w = flat.shape
    colours = _with_one(flat.cpu().double()) @ factors.matrix
    pictures = colours.float().reshape(n, h, w, 3).movedim(-1, 1)
    return pictures.repeat_interleave(scale, -1).repeat_interleave(scale, -2)


def _as_pictures(latents: Tensor) -> Tensor:
    """Frames of films as latents of their own, `[n, c, h, w]`."""
    return latents.movedim(2, 1).flatten(0, 1) if latents.ndim == 5 else latents


def _with_one(latents: Tensor) -> Tensor:
    """The channels of each place and a one, `[n * h * w, c + 1]`."""
    rows: Any = latents.movedim(1, -1).reshape(-1, latents.shape[1])
    return torch.cat([rows, torch.ones(len(rows), 1, dtype=rows.dtype)], dim=1)
