"""The same path at another pace: even steps, by whatever distance, or as a curve wants it."""

import torch
from torch import Tensor

from ..errors import GenartError
from .sphere import wide
from .tracks import Space, Track

_CHUNK = 256
"""Frames made at a time: a long path needs little memory beside its own."""


def even_times(times: Tensor, steps: Tensor, wanted: Tensor) -> Tensor:
    """When a path has gone given shares of its length (inverse arc length).

    Args:
        times: `[m]`, rising, at which the path was looked at.
        steps: `[m - 1]`, how far apart what was seen at neighbouring times is, none negative.
        wanted: `[n]`, shares of the whole length, 0 to 1.

    Returns:
        Wide, `[n]`, between the first time and the last. A path that stands still is left as it
        was.
    """
    marks, lengths = wide(times, times), wide(steps, times)
    gone = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    if not float(gone[-1]) > 0:
        return marks[0] + (marks[-1] - marks[0]) * wide(wanted, times)
    target = wide(wanted, times).clamp(0, 1) * gone[-1]
    after = torch.searchsorted(gone, target).clamp(1, len(gone) - 1)
    span = gone[after] - gone[after - 1]
    part = torch.where(span > 0, (target - gone[after - 1]) / span.clamp(min=1e-300), 0.0)
    return marks[after - 1] + part * (marks[after] - marks[after - 1])


def unevenness(steps: Tensor) -> float:
    """The coefficient of variation of steps `[m]`: 0 where all are alike."""
    values = wide(steps, steps)
    return float(values.std(correction=0) / values.mean().clamp(min=1e-30))


def driven(curve: Tensor, base: float, strength: float, length: int, around: bool) -> Tensor:
    """Where on a path one is in each frame, at the speed `base + strength * curve`.

    A frame's number decides the step that arrives there: what is loud is seen when it is heard. It
    never goes backwards.

    Args:
        curve: `[n]`, of any numbers.
        base: frames of the path in each frame, where the curve is 0.
        strength: as many more where it is 1; negative ones slow down.
        length: of the path, in frames.
        around: it is a loop and is gone round as often as the speed wants. Else all is scaled so
            that the last frame is the path's last.

    Returns:
        Wide, `[n]`, from 0: less than `length`, or up to `length - 1` exactly.

    Raises:
        GenartError: when there is no curve, or nothing moves.
    """
    if not len(curve) or not bool(curve.isfinite().all()):
        raise GenartError("This curve holds no numbers: wire Audio Curve, or a list of numbers.")
    steps = (base + strength * wide(curve, curve)).clamp(min=0)
    gone = steps.cumsum(0) - steps[0]
    if around:
        return gone % length
    if len(curve) > 1 and not float(gone[-1]) > 0:
        raise GenartError("At this speed the path stands still: raise base or strength.")
    return gone / gone[-1].clamp(min=1e-300) * (length - 1)


def along(frames: Tensor, places: Tensor, space: Space, around: bool) -> Tensor:
    """What lies at places of a path between its frames, in the frames' dtype.

    Args:
        frames: `[m, ...]`, two or more.
        places: `[n]`, in frames from the first; whole numbers are the frames themselves.
        space: as of `Track`.
        around: the last frame is followed by the first.

    Returns:
        `[n, ...]`.

    Raises:
        GenartError: with fewer than two frames.
    """
    times = torch.arange(len(frames) + around, dtype=torch.float64)
    track = Track(frames, times, space, loop=around)
    return torch.cat([track.at(part) for part in wide(places, times).split(_CHUNK)])
