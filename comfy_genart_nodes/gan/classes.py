"""Which classes a conditional network makes, and blends of them."""

import re
from dataclasses import replace

import torch
from torch import Tensor

from ..errors import GenartError
from .latents import GANLatent
from .networks.generator import Spec

_TERM = re.compile(r"(\d{1,9})(?:\s*:\s*([+-]?(?:\d{1,9}\.?\d{0,9}|\.\d{1,9})))?")


def read_classes(spec: Spec, text: str, count: int) -> Tensor:
    """Classes as a person writes them.

    `3` is class 3 for all; `0, 3, 9` one for each latent; `0:0.7 + 3:0.3` a blend. The weights of
    a blend are shares: they are scaled to a sum of 1, and a class without one has the weight 1, so
    that `0 + 3` is half of each. A negative weight leads away from a class.

    Args:
        spec: the network's.
        text: one blend, or one for each latent, with commas.
        count: how many latents.

    Returns:
        [count, c_dim], float32, each row of sum 1.

    Raises:
        GenartError: when the network has no classes, or the text does not fit it.
    """
    if not spec.c_dim:
        raise GenartError("This GAN has no classes: leave them out.")
    rows = [_blend(spec, part.strip(), text) for part in text.split(",")]
    if len(rows) not in (1, count):
        raise GenartError(
            f"{text!r} names {len(rows)} classes for {count} latents: name one for all, or one "
            "for each."
        )
    return torch.stack(rows).expand(count, -1).contiguous()


def _blend(spec: Spec, part: str, text: str) -> Tensor:
    """One row `[c_dim]` of `index:weight + index:weight`."""
    row = torch.zeros(spec.c_dim, dtype=torch.float64)
    for term in part.split("+"):
        match = _TERM.fullmatch(term.strip())
        if match is None:
            raise GenartError(
                f"{part!r} is no class: write 3, or 0, 3, 9 for one each, or a blend "
                "as 0:0.7 + 3:0.3."
            )
        index = int(match[1])
        if index >= spec.c_dim:
            raise GenartError(
                f"There is no class {index}: this GAN has {spec.c_dim}, numbered 0 to "
                f"{spec.c_dim - 1}."
            )
        row[index] += float(match[2] or 1)
    total = float(row.sum())
    if total < 1e-3:
        raise GenartError(f"The weights of {part!r} must add up to more than 0.")
    return (row / total).float()


def with_classes(spec: Spec, latent: GANLatent, classes: Tensor) -> GANLatent:
    """The same z as other classes.

    Args:
        spec: the network's.
        latent: in z.
        classes: [n, c_dim], or [1, c_dim] for all.

    Raises:
        GenartError: when the latents are mapped already (w holds their class), or counts differ.
    """
    if latent.space != "z":
        raise GenartError(
            f"These latents are in {latent.space}, which holds their class: choose it in z."
        )
    n, found = len(latent), tuple(classes.shape)
    if not spec.c_dim:
        raise GenartError("This GAN has no classes: leave them out.")
    if classes.dim() != 2 or found[0] not in (1, n) or found[1] != spec.c_dim:
        raise GenartError(
            f"Classes of shape {found} do not fit: {n} latents of this GAN want {(n, spec.c_dim)}."
        )
    if not bool(classes.isfinite().all()):
        raise GenartError("The classes hold numbers that are not finite: make them again.")
    return replace(latent, classes=classes.float().expand(n, -1).contiguous())
