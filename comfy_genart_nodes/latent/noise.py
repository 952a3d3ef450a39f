"""Noise that differs from frame to frame and nevertheless is noise in each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..errors import GenartError
from .journey import Journey, Path, gone
from .loops import circle, periodic

Draw = Callable[[int, int], Tensor]
"""From a seed and a number to so many samples drawn with it, `[number, ...]`."""

Kind = Literal["circle", "wander"]
_WAVES = 3
"""Circles of a wandering loop: more would make its finest turns faster than a picture bears."""


@dataclass(frozen=True)
class SeedTravel:
    """From the noise of one seed to that of the next, along great circles.

    Attributes:
        seeds: two or more.
        journey: from seed to seed.
    """

    seeds: Sequence[int]
    journey: Journey

    @property
    def seed(self) -> int:
        """That of the first frame."""
        return self.seeds[0]

    @property
    def loop(self) -> bool:
        """Whether it goes round again after its last frame."""
        return self.journey.loop

    def path(self, draw: Draw, frames: int) -> Path:
        """From frame to frame: each N(0, 1) where what is drawn is.

        Raises:
            GenartError: with fewer than two seeds, or times that do not fit.
        """
        if len(self.seeds) < 2:
            raise GenartError("Noise travels from seed to seed: write two seeds or more, as 1, 7.")
        keys = torch.cat([draw(seed, 1) for seed in self.seeds])
        return self.journey.through(keys, "sphere", frames)


@dataclass(frozen=True)
class NoiseLoop:
    """Round and back to the noise of a seed.

    Attributes:
        seed: of the noise.
        kind: "circle", in equal steps and from the seed's own noise; "wander", on several circles
            at once.
    """

    seed: int
    kind: Kind
    loop: bool = True

    def path(self, draw: Draw, frames: int) -> Path:
        """From frame to frame: each N(0, 1) where what is drawn is."""
        if self.kind == "circle":
            a, b = draw(self.seed, 2)
            return lambda numbers: circle(a, b, _turns(numbers, frames))
        waves = draw(self.seed, 2 * _WAVES).unflatten(0, (_WAVES, 2))
        return lambda numbers: periodic(waves, _turns(numbers, frames))


Travel = SeedTravel | NoiseLoop


def drawn(shape: Sequence[int], dtype: torch.dtype) -> Draw:
    """Samples as ComfyUI draws them: on the CPU, one after the other.

    Args:
        shape: of one sample.
        dtype: in which they are drawn; another draws other numbers.
    """

    def draw(seed: int, number: int) -> Tensor:
        chance = torch.Generator().manual_seed(seed)
        each = [torch.randn([1, *shape], generator=chance, dtype=dtype) for _ in range(number)]
        return torch.cat(each)

    return draw


def noise_of_batch(
    travel: Travel,
    latents: Tensor,
    numbers: Sequence[int],
    frames: int,
    done: Callable[[int], None],
) -> Tensor:
    """Noise for latents of which each is a frame.

    Args:
        travel: from frame to frame.
        latents: `[n, ...]`; only shape and dtype count.
        numbers: which frame each is.
        frames: how many there are in all; 0: as many as latents.
        done: told how many are made.

    Returns:
        As large as the latents, on the CPU. A frame at a seed has the very noise that ComfyUI
        draws with that seed for one latent.

    Raises:
        GenartError: when a latent is none of the frames.
    """
    _check(travel, numbers, frames, len(latents))
    draw = drawn(latents.shape[1:], latents.dtype)
    return gone(travel.path(draw, frames or len(latents)), numbers, done)


def noise_of_film(
    travel: Travel, latents: Tensor, frames: int, done: Callable[[int], None]
) -> Tensor:
    """Noise for the latents of one film, of which each moment is a frame.

    Args:
        travel: from moment to moment.
        latents: `[1, c, t, h, w]`; only shape and dtype count.
        frames: how many there are in all; 0: as many as moments.
        done: told how many are made.

    Raises:
        GenartError: when these are no such latents, or more moments than frames.
    """
    if latents.ndim != 5 or len(latents) != 1:
        raise GenartError(
            "Noise that travels in time is for the latents of one film, and these are "
            + ("several" if latents.ndim == 5 else "pictures")
            + ": choose batch for what travels."
        )
    _, channels, moments, *places = latents.shape
    _check(travel, range(moments), frames, moments)
    draw = drawn((channels, *places), latents.dtype)
    made = gone(travel.path(draw, frames or moments), range(moments), done)
    return made.movedim(0, 1)[None]


def _check(travel: Travel, numbers: Sequence[int], frames: int, given: int) -> None:
    """Refuse a frame behind the last; a loop of a known length goes round."""
    last = max(numbers)
    if last < (frames or given) or (frames and travel.loop):
        return
    raise GenartError(
        f"There is no frame {last} in a travel of {frames or given} frames, counted from 0: set "
        "frames of the travel to as many as there are in all."
    )


def _turns(numbers: Tensor, frames: int) -> Tensor:
    return (numbers % frames).double() / frames
