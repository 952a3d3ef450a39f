"""Walks from latent to latent: the frames of an animation."""

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from ..errors import GenartError
from ..latent.sphere import lerp, slerp
from .checkpoint import LoadedGAN
from .latents import NO_SEED, GANLatent, to_w

PathMode = Literal["slerp z", "lerp w"]
_CHUNK = 256
"""Frames blended at a time: a long walk needs little memory beside its own."""


def path(
    keys: GANLatent,
    frames: int,
    mode: PathMode = "slerp z",
    loop: bool = True,
    gan: LoadedGAN | None = None,
) -> GANLatent:
    """Walk through a batch of latents.

    Frames lie at equal steps of the key number. A loop returns towards the first key and stops one
    step short of it, so that a repeated clip neither jumps nor dwells; an open path shows the
    first and the last key.

    Args:
        keys: at least two.
        frames: how many latents to return.
        mode: along great circles of z (norms interpolated), or along straight lines of w.
        loop: close the path.
        gan: maps z to w; needed for straight lines of w from keys in z.

    Returns:
        `frames` latents, in z or (mode "lerp w") w or w+.

    Raises:
        GenartError: with fewer than two keys or frames, or when mode and keys do not fit.
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

    a, b, t = _steps(len(keys), frames, loop)
    tensor = keys.tensor
    moved = tensor.new_empty(frames, *tensor.shape[1:])
    blend = slerp if mode == "slerp z" else lerp
    for i in range(0, frames, _CHUNK):
        part = slice(i, i + _CHUNK)
        moved[part] = blend(tensor[a[part]], tensor[b[part]], t[part])
    classes = None
    if keys.classes is not None:
        classes = torch.lerp(keys.classes[a], keys.classes[b], t[:, None])
    seeds = tuple(
        {0.0: keys.seeds[i], 1.0: keys.seeds[k]}.get(f, NO_SEED)
        for i, k, f in zip(a.tolist(), b.tolist(), t.tolist(), strict=True)
    )
    return GANLatent(keys.space, moved, classes, seeds, keys.model)


def _steps(keys: int, frames: int, loop: bool) -> tuple[Tensor, Tensor, Tensor]:
    """For each frame the key before it, the key after it, and how far it lies between them."""
    spans = keys if loop else keys - 1
    positions = torch.arange(frames, dtype=torch.float64) * spans
    positions = positions / (frames if loop else max(frames - 1, 1))
    start = positions.floor().clamp(max=spans - 1 if not loop else spans).long()
    return start % keys, (start + 1) % keys, (positions - start).float()
