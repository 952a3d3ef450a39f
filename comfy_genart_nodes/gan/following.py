"""GAN latents that follow a curve: the pace of a path, and how much of one is in another."""

from dataclasses import replace

import torch
from torch import Tensor

from ..errors import GenartError
from ..latent.speed import along, driven
from ..latent.sphere import lerp, slerp
from .checkpoint import LoadedGAN
from .latents import NO_SEED, GANLatent, pick, to_w

_CHUNK = 256
"""Latents blended at a time: a long batch needs little memory beside its own."""


def pace(path: GANLatent, curve: Tensor, base: float, strength: float, around: bool) -> GANLatent:
    """Go along a path at the speed that a curve wants.

    Between its frames z turns along great circles, w and w+ go straight.

    Args:
        path: its frames, two or more.
        curve: `[n]`.
        base: frames of the path in each frame, where the curve is 0.
        strength: as many more where it is 1.
        around: the path is a loop. Else its first and last frame are the result's.

    Returns:
        `n` latents.

    Raises:
        GenartError: with fewer than two frames, without a curve, or when nothing moves.
    """
    return at(path, driven(curve, base, strength, len(path), around), around)


def at(path: GANLatent, places: Tensor, around: bool) -> GANLatent:
    """What lies at places of a path; as of `pace`.

    Args:
        path: its frames, two or more.
        places: `[n]`, in frames from the first; whole numbers are the frames themselves.
        around: the last frame is followed by the first.

    Raises:
        GenartError: with fewer than two frames.
    """
    moved = along(path.tensor, places, "sphere" if path.space == "z" else "flat", around)
    classes = path.classes
    if classes is not None:
        classes = along(classes, places, "flat", around)
    seeds = tuple(path.seeds[int(p)] if p == int(p) else NO_SEED for p in places.tolist())
    return replace(path, tensor=moved, classes=classes, seeds=seeds)


def blend(a: GANLatent, b: GANLatent, weights: Tensor, gan: LoadedGAN | None = None) -> GANLatent:
    """Of each latent so much of another as a curve says.

    Args:
        a: as many as weights, or one.
        b: likewise.
        weights: `[n]`; 0 is a, 1 is b, and beyond them it goes on.
        gan: maps z to w; needed where only one of both is in z.

    Returns:
        `n` latents: in z, along great circles, where both are; else in w or w+, straight.

    Raises:
        GenartError: when they are other GANs' or not as many, or the GAN is needed.
    """
    a, b = (_in_w(each, gan) if a.space != b.space else each for each in (a, b))
    if a.model != b.model:
        raise GenartError("These latents belong to different GANs: blend latents of the same one.")
    a, b = (_as_many(each, len(weights)) for each in (a, b))
    if a.tensor.ndim != b.tensor.ndim:
        a, b = _a_vector_a_layer(a, b), _a_vector_a_layer(b, a)
    if a.tensor.shape != b.tensor.shape:
        raise GenartError("These latents belong to different GANs: blend latents of the same one.")
    turn = slerp if a.space == "z" else lerp
    parts = zip(a.tensor.split(_CHUNK), b.tensor.split(_CHUNK), weights.split(_CHUNK), strict=True)
    mixed = torch.cat([turn(x, y, t) for x, y, t in parts])
    classes = a.classes
    if a.classes is not None and b.classes is not None:
        classes = lerp(a.classes, b.classes, weights.clamp(0, 1))
    seeds = tuple(
        {0.0: x, 1.0: y}.get(t, NO_SEED)
        for x, y, t in zip(a.seeds, b.seeds, weights.tolist(), strict=True)
    )
    return replace(a, tensor=mixed, classes=classes, seeds=seeds)


def _in_w(latent: GANLatent, gan: LoadedGAN | None) -> GANLatent:
    if latent.space != "z":
        return latent
    if gan is None:
        raise GenartError("To blend latents in z with others in w, wire the GAN too.")
    return replace(to_w(gan.generator, latent), model=gan.hash)


def _as_many(latent: GANLatent, count: int) -> GANLatent:
    """One latent as often as needed."""
    if len(latent) == count:
        return latent
    if len(latent) != 1:
        raise GenartError(
            f"There are {len(latent)} latents and {count} numbers in the curve: give one latent "
            "for each, or one for all."
        )
    return pick(latent, [0] * count)


def _a_vector_a_layer(latent: GANLatent, other: GANLatent) -> GANLatent:
    """Latents of w as those of w+, where the others are."""
    if latent.space != "w" or other.space != "w+":
        return latent
    layers = other.tensor.shape[1]
    return replace(latent, space="w+", tensor=latent.tensor[:, None].expand(-1, layers, -1))
