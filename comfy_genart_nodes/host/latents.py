"""ComfyUI's LATENT as the engine's samples, and back with all that it carries.

A LATENT is a dict: its samples, often a noise_mask (where a sampler works) and a batch_index (which
noise each sample gets), and whatever other nodes have put into it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import comfy.model_management as mm
import torch
from comfy.utils import common_upscale, repeat_to_batch_size
from torch import Tensor
from torch.nn import functional as F

from ..errors import GenartError, check_choice
from ..latent.families import family, size
from ..latent.speed import along
from ..latent.tracks import Space
from .memory import check_bytes
from .vae import latents_of

Latent = dict[str, Any]
REFUSE, SCALE = "refuse", "scale to the first"
SIZES = [REFUSE, SCALE]
"""What to do with samples of different sides."""

_PART = 2**22
"""Numbers made at a time: the engine computes in float64, with several copies."""


def samples_of(name: str, latent: Latent) -> Tensor:
    """What a LATENT holds, `[n, c, h, w]` or of films `[n, c, t, h, w]`, in float32.

    Args:
        name: of the input, for the message.
        latent: what is wired to it.

    Raises:
        GenartError: when it is not of pictures or films, or holds NaN.
    """
    samples = latents_of(latent).to(mm.intermediate_device(), torch.float32)
    broken = samples.numel() - int(samples.isfinite().sum())
    if broken:
        raise GenartError(
            f"Input {name} holds numbers that are NaN or infinite ({broken} of "
            f"{samples.numel()}): encode or sample it again in fp32."
        )
    return samples


def alike(latents: Mapping[str, Latent], sizes: str = REFUSE) -> dict[str, Tensor]:
    """Samples of several LATENTs that go together: of as many channels and the same sides.

    Args:
        latents: by the names of their inputs.
        sizes: of `SIZES`. Scaled ones keep their proportions, and what stands over is cut off.

    Raises:
        GenartError: when they do not go together; the sentence names the inputs.
    """
    check_choice("sizes", sizes, SIZES)
    read = {name: samples_of(name, latent) for name, latent in latents.items()}
    check_channels(read)
    (leading, first), *_ = read.items()
    for name, samples in read.items():
        if samples.ndim != first.ndim or samples.shape[2:-2] != first.shape[2:-2]:
            raise GenartError(
                f"Input {leading} has {size(first)} places and input {name} {size(samples)}: "
                "films have to be equally long, and pictures do not go with films."
            )
        if samples.shape[-2:] != first.shape[-2:] and sizes == REFUSE:
            raise GenartError(
                f"Input {leading} has {size(first)} places and input {name} {size(samples)}: "
                f"make both in one size, or set sizes to '{SCALE}'."
            )
    return {name: _scaled(samples, first) for name, samples in read.items()}


def on_device(latent: Latent) -> Latent:
    """A LATENT with all its tensors where ComfyUI keeps results."""
    device = mm.intermediate_device()
    return {k: v.to(device) if isinstance(v, Tensor) else v for k, v in latent.items()}


def check_channels(samples: Mapping[str, Tensor]) -> None:
    """Refuse samples of several VAEs.

    Args:
        samples: by the names of their inputs.

    Raises:
        GenartError: when their channels differ; the sentence says whose they are.
    """
    (leading, first), *others = samples.items()
    for name, other in others:
        if other.shape[1] != first.shape[1]:
            raise GenartError(
                f"Input {leading} has {family(first.shape[1])} and input {name} "
                f"{family(other.shape[1])}: both have to be of the same VAE."
            )


def as_many(samples: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    """Batches with as many samples each; a single one goes with each of the others.

    Args:
        samples: by the names of their inputs.

    Raises:
        GenartError: when two are several, and not as many.
    """
    count = max(len(each) for each in samples.values())
    most = next(name for name, each in samples.items() if len(each) == count)
    for name, each in samples.items():
        if len(each) not in (1, count):
            raise GenartError(
                f"Input {most} has {count} latents and input {name} {len(each)}: give both as "
                "many, or one of them a single one."
            )
    return tuple(each.expand(count, *each.shape[1:]) for each in samples.values())


def check_room(count: int, like: Tensor, mask: int = 0) -> None:
    """Refuse what does not fit into memory, before any of it is made.

    Args:
        count: how many samples are to be made.
        like: samples of their shape, `[n, ...]`.
        mask: numbers of a mask that each gets.

    Raises:
        GenartError: so.
    """
    need = count * (like[0].numel() + mask) * torch.float32.itemsize
    check_bytes(need, f"{count:,} latents of {size(like)} places")


def parts(count: int, like: Tensor) -> Iterator[slice]:
    """What is made at a time of `count` samples: so much as a sample's size alone decides."""
    at_once = max(1, _PART // like[0].numel())
    return (slice(i, min(i + at_once, count)) for i in range(0, count, at_once))


def numbers_of_masks(latents: Sequence[Latent]) -> int:
    """Of the mask that each blend of LATENTs gets; none where one is for all."""
    masks = [mask for latent in latents if (mask := mask_of(latent)) is not None]
    return masks[0][0].numel() if masks and (len(masks) > 1 or len(masks[0]) > 1) else 0


def carried(first: Latent, samples: Tensor, mask: Tensor | None, index: list[int]) -> Latent:
    """A new LATENT with what else the first one holds.

    Args:
        first: what it comes from; it stays as it is.
        samples: `[n, ...]`.
        mask: `[n, ...]`, or one for all; None for none.
        index: which noise each sample gets of a sampler: equal numbers, equal noise.
    """
    made = first | {"samples": samples, "batch_index": index}
    made.pop("noise_mask", None)
    return made if mask is None else made | {"noise_mask": mask}


def index_of(first: Latent, count: int) -> list[int]:
    """Which noise a LATENT's samples get: its batch_index, or 0, 1, 2 ..."""
    known = first.get("batch_index")
    return list(known) if known is not None and len(known) == count else list(range(count))


def mask_of(latent: Latent) -> Tensor | None:
    """A LATENT's noise_mask `[n, 1, ...]`, of the size it has: for each sample, or one for all."""
    mask = latent.get("noise_mask")
    if mask is None:
        return None
    mask, count = mask.to(mm.intermediate_device(), torch.float32), len(latent["samples"])
    if latent["samples"].ndim == 4:
        mask = mask.reshape(-1, 1, *mask.shape[-2:])
    elif mask.ndim < 5:  # ComfyUI takes a batch of them for the frames of a film
        mask = mask.reshape(1, 1, -1, *mask.shape[-2:])
    return mask if len(mask) == 1 else repeat_to_batch_size(mask, count)


def masks_between(a: Latent, b: Latent, pairs: int, t: Tensor) -> Tensor | None:
    """Masks of samples between those of two LATENTs, for each pair and each of `t`.

    One LATENT's alone stays as it is.

    Returns:
        `[pairs * len(t), 1, ...]`, or a single one for all; None where there are none.
    """
    first, second = mask_of(a), _cut_mask(b, a)
    if first is None or second is None:
        alone = second if first is None else first
        if alone is None or len(alone) == 1:
            return alone
        return alone.repeat_interleave(len(t), 0)
    second = _resized(second, first)
    each = (mask.expand(pairs, *mask.shape[1:]) for mask in (first, second))
    weights = torch.stack([1 - t.clamp(0, 1), t.clamp(0, 1)], dim=1)
    between = [blended_mask(torch.stack(pair), weights) for pair in zip(*each, strict=True)]
    return torch.cat(between)


def masks_blended(latents: Sequence[Latent], weights: Tensor) -> Tensor | None:
    """Masks of sums of all samples of several LATENTs, with weights `[n, k]`.

    One LATENT's alone, the same for all of its samples, stays as it is. Else a sampler works
    everywhere where one has no mask.
    """
    masks = [_cut_mask(latent, latents[0]) for latent in latents]
    known = [mask for mask in masks if mask is not None]
    if not known or (len(known) == 1 and len(known[0]) == 1):
        return known[0] if known else None
    everywhere = torch.ones_like(known[0][:1])
    fitted = [everywhere if mask is None else _resized(mask, everywhere) for mask in masks]
    whole = [
        mask.expand(len(latent["samples"]), *everywhere.shape[1:])
        for mask, latent in zip(fitted, latents, strict=True)
    ]
    return blended_mask(torch.cat(whole), weights)


def blended_mask(masks: Tensor, weights: Tensor) -> Tensor:
    """Means of masks `[k, 1, ...]` by the size of weights `[n, k]`: `[n, 1, ...]`."""
    shares = weights.abs().to(masks)
    shares = shares / shares.sum(dim=1, keepdim=True)
    return (shares @ masks.flatten(1)).unflatten(1, masks.shape[1:]).clamp(0, 1)


def frames_of(latents: Tensor) -> Tensor:
    """The frames of a path: of a batch its samples, of one film its moments `[t, c, h, w]`.

    Raises:
        GenartError: for several films.
    """
    if latents.ndim == 4 or (len(latents) > 1 and latents.shape[2] == 1):
        return latents
    if len(latents) != 1:
        raise GenartError(
            f"These are the latents of {len(latents)} films: take one with Latent From Batch."
        )
    return latents[0].movedim(1, 0)


def at_places(samples: Latent, places: Tensor, space: Space, around: bool) -> Latent:
    """A LATENT whose frames are a path, at other places of it, with all that it carries.

    Args:
        samples: the path; as of `frames_of`.
        places: `[n]`, in frames from the first.
        space: as of `Track`.
        around: the last frame is followed by the first.

    Raises:
        GenartError: for several films, fewer than two frames, NaN, and where there is no room.
    """
    latents, kept = samples_of("samples", samples), dict(samples)
    frames, mask, indices = frames_of(latents), mask_of(samples), kept.get("batch_index")
    masks = None if mask is None else _moments(mask, frames)
    moves = masks is not None and len(masks) == len(frames)
    check_room(len(places), frames, masks[0].numel() if masks is not None and moves else 0)
    made = along(frames, places, space, around)
    kept["samples"] = made if made.ndim == latents.ndim else made.movedim(0, 1)[None]
    if masks is not None and moves:
        paced = along(masks, places, "flat", around)
        kept["noise_mask"] = paced if made.ndim == latents.ndim else paced.movedim(0, 1)[None]
    if indices is not None and len(indices) == len(frames):
        kept["batch_index"] = [indices[int(place)] for place in places.tolist()]
    return kept


def _moments(mask: Tensor, frames: Tensor) -> Tensor:
    """A LATENT's masks, for each of the frames of a path, or one for all.

    Of one film they are `[t, 1, h, w]`: those of all its pictures are brought to its moments.
    """
    if mask.ndim == 4 or frames.ndim == 5:
        return mask
    if mask.shape[2] not in (1, len(frames)):
        mask = _resized(mask, mask.new_empty(1, 1, len(frames), *mask.shape[-2:]))
    return mask[0].movedim(1, 0)


def _scaled(samples: Tensor, first: Tensor) -> Tensor:
    if samples.shape[-2:] == first.shape[-2:]:
        return samples
    height, width = first.shape[-2:]
    scaled: Tensor = common_upscale(samples, width, height, "bilinear", "center")
    return scaled


def _cut_mask(latent: Latent, first: Latent) -> Tensor | None:
    """A LATENT's mask, without what is cut off its samples where they are scaled to the first's."""
    mask, (height, width) = mask_of(latent), first["samples"].shape[-2:]
    if mask is None or latent["samples"].shape[-2:] == (height, width):
        return mask
    # A mask lies over the whole of its latent, whatever its own proportions.
    (high, broad), (tall, wide) = latent["samples"].shape[-2:], mask.shape[-2:]
    kept_wide = max(1, round(wide * min(1.0, high * width / (broad * height))))
    kept_tall = max(1, round(tall * min(1.0, broad * height / (high * width))))
    top, left = (tall - kept_tall) // 2, (wide - kept_wide) // 2
    return mask[..., top : top + kept_tall, left : left + kept_wide]


def _resized(mask: Tensor, like: Tensor) -> Tensor:
    if mask.shape[2:] == like.shape[2:]:
        return mask
    mode = "trilinear" if mask.ndim == 5 else "bilinear"
    return F.interpolate(mask, size=like.shape[2:], mode=mode)
