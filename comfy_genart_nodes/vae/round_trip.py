"""Pictures through a VAE and back, once or several times: what stays of them."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import GenartError
from .likeness import psnr, ssim

Rebuild = Callable[[Tensor], Tensor]
"""Pictures `[n, 3, h, w]` in -1..1 to what a VAE makes of them, of the same size."""

_MOST_NAMED = 3


@dataclass(frozen=True)
class Likeness:
    """How like pictures are to what they were.

    Attributes:
        psnr: in dB, of the pooled squared error; infinite where no value differs.
        ssim: the mean of all pictures.
    """

    psnr: float
    ssim: float

    def text(self) -> str:
        """Both in a few words."""
        if math.isinf(self.psnr):
            return "exact (no value of eight bits differs)"
        return f"PSNR {self.psnr:.2f} dB, SSIM {self.ssim:.4f}"


@dataclass(frozen=True, eq=False)
class RoundTrip:
    """What became of pictures.

    Attributes:
        rebuilt: all pictures after the first trip, `[n, 3, h, w]` in -1..1.
        drift: the first picture after every trip, `[trips, 3, h, w]`.
        trips: how like all pictures are to what they were at first, after every trip.
        each: PSNR of every picture after the first trip.
    """

    rebuilt: Tensor
    drift: Tensor
    trips: list[Likeness]
    each: list[float]

    def text(self) -> str:
        """What was found, a line a subject."""
        lines = [f"One trip: {self.trips[0].text()}."]
        if len(self.each) > 1:
            worst = sorted(range(len(self.each)), key=self.each.__getitem__)[:_MOST_NAMED]
            named = ", ".join(f"{place + 1} ({decibel(self.each[place])})" for place in worst)
            lines.append(f"Changed most, of {len(self.each)} pictures: {named}.")
        lines += [f"{n} trips: {now.text()}." for n, now in enumerate(self.trips[1:], 2)]
        return "\n".join(lines)


def round_trip(rebuild: Rebuild, pictures: Tensor, trips: int) -> RoundTrip:
    """Send pictures through a VAE again and again, each time what came back.

    Args:
        rebuild: one trip.
        pictures: `[n, 3, h, w]` in -1..1.
        trips: how many, at least one.

    Raises:
        GenartError: when they come back in another size, or as no numbers.
    """
    now = rebuilt = rebuild(pictures)
    check_size(now, pictures)
    found, drift = [_likeness(now, pictures)], [now[:1]]
    for _ in range(trips - 1):
        now = rebuild(now)
        found.append(_likeness(now, pictures))
        drift.append(now[:1])
    each = [psnr(a, b) for a, b in zip(rebuilt, pictures, strict=True)]
    return RoundTrip(rebuilt, torch.cat(drift), found, each)


def check_size(made: Tensor, pictures: Tensor) -> None:
    """Refuse what came back in another size, or as no numbers.

    Raises:
        GenartError: so.
    """
    if made.shape != pictures.shape:
        (h, w), (height, width) = made.shape[-2:], pictures.shape[-2:]
        raise GenartError(
            f"This VAE gives back {w}x{h} pixels for {width}x{height}: it cannot be compared with "
            "what went in, so use one whose encoder and decoder go together."
        )
    if not bool(made.isfinite().all()):
        raise GenartError(
            "This VAE gives values that are no numbers, as some do in half precision: start "
            "ComfyUI with --fp32-vae, or take another VAE or picture."
        )


def _likeness(made: Tensor, real: Tensor) -> Likeness:
    return Likeness(psnr(made, real), float(ssim(made, real).mean()))


def decibel(value: float) -> str:
    """A PSNR in words."""
    return "exact" if math.isinf(value) else f"{value:.2f} dB"
