"""Paths through keyframes: at which times which latents, and what lies between them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..errors import GenartError
from .sphere import exp, lerp, log, norms, per_sample, slerp, units, wide

Space = Literal["sphere", "flat"]
EASINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda t: t,
    "in": lambda t: t**3,
    "out": lambda t: 1 - (1 - t) ** 3,
    "in and out": lambda t: t * t * (3 - 2 * t),
    "sine": lambda t: (1 - torch.cos(torch.pi * t)) / 2,
    "hold": lambda t: torch.floor(t),
}
"""How the way from one key to the next goes: each from 0 to 1, "hold" jumping at its end."""


_FASTEST = 2.0
_NOTHING = 1e-12


@dataclass(frozen=True)
class Track:
    """A path through keys.

    Attributes:
        keys: `[k, ...]`, two or more.
        times: `[k]`, rising; of a loop `[k + 1]`, the last being that of the first key's return.
        space: "sphere", along great circles, for noise and z; "flat", along straight lines, for
            w and encoded pictures.
        smooth: through keys without a corner: squad (Shoemake 1987) on the sphere, Catmull and
            Rom's spline (1974) in flat spaces; both for any times, with the tangents of the
            parabola through a key and its neighbours, but no faster than twice the slower side.
        loop: it returns to the first key.
        easings: of the ways between keys, as many as there are ways; none goes evenly.

    Raises:
        GenartError: with fewer than two keys, with other times than keys, or with times that do
            not rise.
    """

    keys: Tensor
    times: Tensor
    space: Space = "sphere"
    smooth: bool = False
    loop: bool = False
    easings: Sequence[str] = ()

    def __post_init__(self) -> None:
        count, ways = len(self.keys), len(self.keys) - (not self.loop)
        if count < 2:
            raise GenartError("A path needs at least two keys: wire another latent, or a batch.")
        if len(self.times) != ways + 1:
            raise GenartError(
                f"There are {count} keys and {len(self.times)} times: give one for each key"
                + (", and one for the return to the first." if self.loop else ".")
            )
        if not bool((self.times.diff() > 0).all()):
            raise GenartError("The times of keys must rise: put them in order, none twice.")
        if self.easings and len(self.easings) != ways:
            raise GenartError(
                f"There are {ways} ways between keys and {len(self.easings)} easings: give one "
                "for each way, or none."
            )
        for name in self.easings:
            if name not in EASINGS:
                raise GenartError(f"There is no easing {name!r}; there are {', '.join(EASINGS)}.")

    def at(self, times: Tensor) -> Tensor:
        """The latents at times `[n]`: `[n, ...]`, in the keys' dtype.

        Before the first time and after the last it stands still; a loop goes round.
        """
        way, along = self.where(times)
        return self._between(way.to(self.keys.device), along.to(self.keys.device))

    def where(self, times: Tensor) -> tuple[Tensor, Tensor]:
        """On which way times `[n]` are, by the number of the key before it, and how far along.

        Returns:
            `[n]`, and wide `[n]`: 0 at the key, up to 1 at the next.
        """
        first, last = self.times[0], self.times[-1]
        now = wide(times, self.times)
        start, end = wide(first, self.times), wide(last, self.times)
        now = start + (now - start) % (end - start) if self.loop else now.clamp(start, end)
        marks = wide(self.times, self.times)
        # A time that rounding has brought next to a key's is meant to be the key's.
        rounding = 1e-9 * (end - start)
        near = marks[torch.searchsorted(marks, now - rounding).clamp(max=len(marks) - 1)]
        now = torch.where((near - now).abs() <= rounding, near, now)
        way = torch.searchsorted(marks, now, right=True).sub(1).clamp(0, len(marks) - 2)
        along = (now - marks[way]) / marks.diff()[way]
        if self.easings:
            for number, name in enumerate(self.easings):
                along = torch.where(way == number, EASINGS[name](along), along)
        return way, along

    def frames(self, count: int) -> Tensor:
        """Times of frames in equal steps, `[count]`.

        The last is the last key's; of a loop it is one step before the return, so that a repeated
        clip neither jumps nor dwells.
        """
        first, last = float(self.times[0]), float(self.times[-1])
        steps = count if self.loop else max(count - 1, 1)
        return first + (last - first) * torch.arange(count, dtype=torch.float64) / steps

    def _between(self, way: Tensor, along: Tensor) -> Tensor:
        a, b = self.keys[way], self.keys[(way + 1) % len(self.keys)]
        if not self.smooth or len(self.keys) == 2:
            return slerp(a, b, along) if self.space == "sphere" else lerp(a, b, along)
        if self.space == "flat":
            return _hermite(a, b, *self._tangents(way), along).to(self.keys.dtype)
        return self._squad(a, b, way, along)

    def _squad(self, a: Tensor, b: Tensor, way: Tensor, along: Tensor) -> Tensor:
        """Shoemake's curve, its inner points such that both sides leave a key alike."""
        leaving, arriving = self._tangents(way)
        inner_a = exp(a, (leaving - log(a, b)) / 2)
        inner_b = exp(b, (-arriving - log(b, a)) / 2)
        circle = slerp(units(a), units(b), along)
        curve = slerp(circle, slerp(inner_a, inner_b, along), 2 * along * (1 - along))
        moved = (units(curve) * per_sample(self._norm(way, along), a)).to(a.dtype)
        at = per_sample(along, a)
        return torch.where(at == 0, a, torch.where(at == 1, b, moved))

    def _norm(self, way: Tensor, along: Tensor) -> Tensor:
        """Norms by the same kind of curve."""
        of_keys = Track(norms(self.keys)[:, None], self.times, "flat", True, self.loop)
        a, b = of_keys.keys[way], of_keys.keys[(way + 1) % len(of_keys.keys)]
        return _hermite(a, b, *of_keys._tangents(way), along)[:, 0]

    def _tangents(self, way: Tensor) -> tuple[Tensor, Tensor]:
        """With which speed a path leaves the key before a way, and comes to that behind it.

        A way's time is their unit.
        """
        length = wide(self.times, self.keys).diff()[way]
        return tuple(  # type: ignore[return-value]
            self._velocity(number % len(self.keys)) * per_sample(length, self.keys[way])
            for number in (way, way + 1)
        )

    def _velocity(self, number: Tensor) -> Tensor:
        """At keys, by the parabola through each and its neighbours; at ends along the way."""
        count, spans = len(self.keys), wide(self.times, self.keys).diff()
        key = self.keys[number]
        ahead, behind = self.keys[(number + 1) % count], self.keys[(number - 1) % count]
        after = spans[number.clamp(max=len(spans) - 1)]
        before = spans[(number - 1) % len(spans)]
        to, fro = self._difference(key, ahead), -self._difference(key, behind)
        if not self.loop:
            first, last = per_sample(number == 0, key) > 0, per_sample(number == count - 1, key) > 0
            before, after = _of_ends(before, after, number, count)
            to, fro = torch.where(last, fro, to), torch.where(first, to, fro)
        share = per_sample(before / (before + after), key)
        slopes = to / per_sample(after, key), fro / per_sample(before, key)
        velocity = slopes[0] * share + slopes[1] * (1 - share)
        # No faster than twice the slower side, or it would swing out; on a sphere, right round it.
        fastest = _FASTEST * torch.minimum(norms(slopes[0]), norms(slopes[1]))
        return velocity * per_sample(
            (fastest / norms(velocity).clamp(min=_NOTHING)).clamp(max=1), key
        )

    def _difference(self, a: Tensor, b: Tensor) -> Tensor:
        return log(a, b) if self.space == "sphere" else wide(b, a) - wide(a, a)


def _of_ends(before: Tensor, after: Tensor, number: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The way beside a key, on the side where an open path has none."""
    return torch.where(number == 0, after, before), torch.where(number == count - 1, before, after)


def _hermite(a: Tensor, b: Tensor, leaving: Tensor, arriving: Tensor, along: Tensor) -> Tensor:
    """The cubic from a to b with the tangents given; wide."""
    t = per_sample(along, a)
    of_a, of_b = (1 + 2 * t) * (1 - t) ** 2, t * t * (3 - 2 * t)
    return (
        of_a * wide(a, a)
        + of_b * wide(b, a)
        + t * (1 - t) ** 2 * leaving
        + t * t * (t - 1) * arriving
    )
