"""What lies between latents, by what they are: noise stays noise, pictures keep their contrast.

Noise lies on a sphere, and there the way is a great circle. Encoded pictures do not: between them
it is a straight line, on which they would lose contrast, as what differs in them cancels; so each
channel is given the mean and deviation between theirs.
"""

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from .blends import lol, means
from .doctor import is_noise
from .journey import Journey, Path
from .sphere import per_sample, slerp, wide
from .statistics import Moments, blended, matched, moments

Law = Literal["noise", "picture", "straight"]
AUTO = "auto"
LAWS: list[Law] = ["noise", "picture", "straight"]
"""Great circles; straight lines with their moments; straight lines alone."""


def law_of(samples: Tensor) -> Law:
    """Which law samples `[k, ...]` obey together: noise, where all of them are."""
    return "noise" if all(is_noise(sample) for sample in samples) else "picture"


def between(pair: Tensor, t: Tensor, law: Law) -> Tensor:
    """From one sample to another.

    Args:
        pair: `[2, c, ...]`.
        t: `[n]`: 0 is the first, 1 the second, exactly; beyond them it goes on.
        law: of both.

    Returns:
        `[n, c, ...]`, in the samples' dtype.
    """
    if law == "noise":
        a, b = (each.expand(len(t), *each.shape) for each in pair)
        return slerp(a, b, t)
    at = wide(t, pair)
    return blend(pair, torch.stack([1 - at, at], dim=1), law)


def blend(samples: Tensor, weights: Tensor, law: Law) -> Tensor:
    """Several samples as one.

    Args:
        samples: `[k, c, ...]`.
        weights: `[n, k]`.
        law: of all. Of noise the sum that stays noise is taken (`blends.lol`), which is made for
            independent samples; else the mean.

    Returns:
        `[n, c, ...]`, in the samples' dtype.

    Raises:
        GenartError: when weights are not as many as samples, or nothing is left of them.
    """
    if law == "noise":
        return lol(samples, weights)
    made = means(samples, weights)
    if law == "straight":
        return made
    shares = wide(weights, samples)
    known = blended(moments(samples), shares / shares.sum(dim=1, keepdim=True))
    kept = matched(made, Moments(known.mean, known.std.clamp(min=0)))
    alone = (shares != 0).sum(dim=1) == 1  # one sample, which rounding need not touch
    return torch.where(per_sample(alone, made) > 0, made, kept)


def path(keys: Tensor, journey: Journey, frames: int, law: Law) -> Path:
    """A way through several samples.

    Args:
        keys: `[k, c, ...]`.
        journey: how it goes from key to key.
        frames: how many there are in all.
        law: of all keys. Of pictures, moments go from key to key as the pictures do.

    Raises:
        GenartError: with fewer than two keys, or times that are not theirs.
    """
    track = journey.track(keys, "sphere" if law == "noise" else "flat")
    times = track.frames(frames)
    if law != "picture":
        return lambda numbers: track.at(times[numbers % frames])
    known = moments(keys)
    contrast = replace(track, keys=torch.stack([known.mean, known.std], dim=1))

    def at(numbers: Tensor) -> Tensor:
        now = times[numbers % frames]
        made, (mean, std) = track.at(now), contrast.at(now).unbind(dim=1)
        kept = matched(made, Moments(mean, std.clamp(min=0)))
        _, along = track.where(now)
        key = (along == 0) | (along == 1)  # which rounding need not touch
        return torch.where(per_sample(key, made) > 0, made, kept)

    return at


def atlas(corners: Tensor, right: Tensor, down: Tensor, law: Law) -> Tensor:
    """Places of a sheet between four corners.

    Args:
        corners: `[4, c, ...]`: top left, top right, bottom left, bottom right.
        right: `[n]`, 0 on the left to 1 on the right.
        down: `[n]`, 0 at the top to 1 at the bottom.
        law: of all four. Of noise the way goes along top and bottom, and then down.

    Returns:
        `[n, c, ...]`, in the corners' dtype.
    """
    if law == "noise":
        top, bottom = between(corners[:2], right, law), between(corners[2:], right, law)
        return slerp(top, bottom, down)
    return blend(corners, corner_weights(right, down), law)


def corner_weights(right: Tensor, down: Tensor) -> Tensor:
    """How much of each of four corners is at places of a sheet: `[n, 4]`, of sum 1."""
    across = torch.stack([1 - right, right], dim=1)
    along = torch.stack([1 - down, down], dim=1)
    return (along[:, :, None] * across[:, None, :]).flatten(1)
