"""Walks from latent to latent: the frames of an animation."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch

from ..errors import GenartError
from ..latent.journey import Journey, gone
from .checkpoint import LoadedGAN
from .latents import NO_SEED, GANLatent, to_w

PathMode = Literal["slerp z", "lerp w"]
_ROUND = Journey(loop=True)


def path(
    keys: GANLatent,
    frames: int,
    mode: PathMode = "slerp z",
    journey: Journey = _ROUND,
    gan: LoadedGAN | None = None,
    done: Callable[[int], None] = lambda _: None,
) -> GANLatent:
    """Walk through a batch of latents.

    Frames lie at equal steps of time. A loop returns towards the first key and stops one step
    short of it, so that a repeated clip neither jumps nor dwells; an open path shows the first and
    the last key.

    Args:
        keys: at least two.
        frames: how many latents to return.
        mode: along great circles of z (norms interpolated), or along straight lines of w.
        journey: whether it is a loop, when each key is reached, and how it goes there.
        gan: maps z to w; needed for straight lines of w from keys in z.
        done: told how many frames are made.

    Returns:
        `frames` latents, in z or (mode "lerp w") w or w+.

    Raises:
        GenartError: with fewer than two keys or one frame, with times that are not the keys', or
            when mode and keys do not fit.
    """
    if len(keys) < 2:
        raise GenartError("A path needs at least two latents as keys: raise the batch, or join.")
    if frames < 1:
        raise GenartError("A path needs at least one frame.")
    if mode == "slerp z" and keys.space != "z":
        raise GenartError(
            f"These latents are in {keys.space}, where great circles mean nothing: use lerp w."
        )
    if mode == "lerp w" and keys.space == "z":
        if gan is None:
            raise GenartError("To walk in w from latents in z, wire the GAN too.")
        keys = replace(to_w(gan.generator, keys), model=gan.hash)

    track = journey.track(keys.tensor, "sphere" if mode == "slerp z" else "flat")
    times = track.frames(frames)
    moved = gone(lambda numbers: track.at(times[numbers]), range(frames), done)
    a, t = track.where(times)
    b = (a + 1) % len(keys)
    classes = None
    if keys.classes is not None:
        classes = torch.lerp(keys.classes[a], keys.classes[b], t[:, None].to(keys.classes))
    seeds = tuple(
        {0.0: keys.seeds[i], 1.0: keys.seeds[k]}.get(f, NO_SEED)
        for i, k, f in zip(a.tolist(), b.tolist(), t.tolist(), strict=True)
    )
    return GANLatent(keys.space, moved, classes, seeds, keys.model)
