"""The same path at another pace: even steps, by whatever distance, or as a curve wants it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import GenartError
from .sphere import wide
from .tracks import Space, Track

Seen = Callable[[Tensor], Iterable[Tensor]]
"""From places of a path `[n]` to what is seen there, in pieces `[m, d]` that make `[n, d]`."""

LOOKS = 4
"""How often a path is looked at at most: more gain little, and each look is at every frame."""
_EVEN = 0.02
"""Unevenness that nobody sees."""
_CHUNK = 2**22
"""Numbers made at a time: a long path needs little memory beside its own."""


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


@dataclass(frozen=True, eq=False)
class Evened:
    """A path at constant speed.

    Attributes:
        places: of its frames on the path as it was, in frames from the first; wide, `[n]`.
        before: unevenness of the path as it was.
        after: of the path now.
    """

    places: Tensor
    before: float
    after: float


def evened(length: int, count: int, around: bool, seen: Seen) -> Evened:
    """Where to look at a path so that every step looks as large.

    Between two frames the way is taken for straight; where it is not, what was made of it is looked
    at again, and the most even one is kept.

    Args:
        length: of the path, in frames.
        count: how many frames to choose.
        around: it is a loop, and the step from the last frame to the first is one too.
        seen: what is seen at places, of which only neighbours are held.

    Raises:
        GenartError: with fewer than two frames, or when what is seen is no number.
    """
    if length < 2 or count < 2:
        raise GenartError("Even speed needs a path of two frames at least, and makes two at least.")
    marks = torch.arange(length + around, dtype=torch.float64)
    wanted = torch.arange(count + around, dtype=torch.float64) / (count - (not around))
    lengths = steps(seen(marks[:length]), around)
    before = unevenness(lengths)
    best = Evened(marks[:length], before, before) if count == length else None
    if best is not None and before < _EVEN:
        return best
    for _ in range(LOOKS - 1):
        marks = even_times(marks, lengths, wanted)
        places = marks[:count] % length if around else marks
        lengths = steps(seen(places), around)
        now = Evened(places, before, unevenness(lengths))
        best = now if best is None or now.after < best.after else best
        if best.after < _EVEN:
            break
    assert best is not None
    return best


def steps(seen: Iterable[Tensor], around: bool) -> Tensor:
    """How far apart neighbours are: wide, one fewer than they are, or of a loop as many.

    Args:
        seen: pieces `[m, d]`, of which two at a time are held.
        around: the first is also the last's neighbour.

    Raises:
        GenartError: when they hold what is no number.
    """
    first, last, lengths = None, None, []
    for piece in seen:
        whole = piece if last is None else torch.cat([last, piece])
        lengths.append((whole[1:] - whole[:-1]).norm(dim=1))
        first, last = whole[:1] if first is None else first, whole[-1:]
    if around and first is not None and last is not None:
        lengths.append((first - last).norm(dim=1))
    made = torch.cat(lengths)
    if not bool(made.isfinite().all()):
        raise GenartError(
            "Some pictures of this path hold values that are no numbers: look at what made them."
        )
    return wide(made, made)


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
    if len(curve) > 1 and not float(gone[-1]) > 0:
        raise GenartError(
            "At this speed the path stands still: raise base, or give it a curve that is not 0 "
            "throughout."
        )
    if around:
        return gone % length
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
    at_once = max(1, _CHUNK // frames[0].numel())
    return torch.cat([track.at(part) for part in wide(places, times).split(at_once)])
