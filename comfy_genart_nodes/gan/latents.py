"""Latents of a GAN: made from seeds, picked, joined, mapped and truncated.

They are kept untruncated; psi and cutoff belong to sampling.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..errors import GenartError
from .networks.generator import Generator, Spec

Space = Literal["z", "w", "w+"]
SEED_LIMIT = 2**32


@dataclass(frozen=True, eq=False)
class GANLatent:
    """A batch of latents of one network.

    Attributes:
        space: "z" (the prior), "w" (mapped) or "w+" (mapped, one vector a layer).
        tensor: z [n, z_dim], w [n, w_dim] or w+ [n, num_ws, w_dim]; float32.
        classes: [n, c_dim], one-hot or blended, where the network has classes and space is z.
        seeds: the seed of each, or 2**32 where there is none (in between two).
        model: hash of the network, "" where unknown.
    """

    space: Space
    tensor: Tensor
    classes: Tensor | None
    seeds: tuple[int, ...]
    model: str

    def __len__(self) -> int:
        return len(self.tensor)


NO_SEED = SEED_LIMIT


def from_seeds(
    spec: Spec, seed: int, count: int, class_index: int | None = None, model: str = ""
) -> GANLatent:
    """Draw z for seeds `seed, seed + 1, ...`, as NVIDIA's tools draw them.

    Args:
        spec: the network's.
        seed: 0 to 2**32 - 1; later ones wrap around.
        count: how many.
        class_index: which class to make; None in a network without classes.
        model: hash of the network.

    Raises:
        GenartError: when the class does not exist.
    """
    seeds = tuple((seed + i) % SEED_LIMIT for i in range(count))
    classes = _one_hot(spec, class_index, count)
    return GANLatent("z", draw(spec, seeds), classes, seeds, model)


def draw(spec: Spec, seeds: Sequence[int]) -> Tensor:
    """The z `[n, z_dim]` of each seed, as `numpy.random.RandomState(seed).randn` has it."""
    z = torch.empty(len(seeds), spec.z_dim)
    for row, seed in zip(z, seeds, strict=True):
        row.copy_(torch.from_numpy(np.random.RandomState(seed).randn(spec.z_dim)))
    return z


def _one_hot(spec: Spec, class_index: int | None, count: int) -> Tensor | None:
    if not spec.c_dim:
        if class_index is not None:
            raise GenartError("This network has no classes: leave the class at -1.")
        return None
    if class_index is None or not 0 <= class_index < spec.c_dim:
        raise GenartError(
            f"This network has {spec.c_dim} classes: choose a class from 0 to {spec.c_dim - 1}."
        )
    classes = torch.zeros(count, spec.c_dim)
    classes[:, class_index] = 1
    return classes


def pick(latent: GANLatent, indices: Sequence[int]) -> GANLatent:
    """The latents at some places of a batch, in the order asked; negative ones count from the end.

    Raises:
        GenartError: when a place does not exist or none is asked for.
    """
    n = len(latent)
    wrong = [i for i in indices if not -n <= i < n]
    if wrong or not indices:
        raise GenartError(
            f"There is no latent {wrong[0]}: the batch has 0 to {n - 1}."
            if wrong
            else f"Say which latents to pick, from 0 to {n - 1}."
        )
    chosen = list(indices)
    return replace(
        latent,
        tensor=latent.tensor[chosen],
        classes=None if latent.classes is None else latent.classes[chosen],
        seeds=tuple(latent.seeds[i] for i in chosen),
    )


def join(a: GANLatent, b: GANLatent) -> GANLatent:
    """Two batches of one network and space, one after the other.

    Raises:
        GenartError: when they belong to different networks or spaces.
    """
    if a.model != b.model:
        raise GenartError("These latents belong to different GANs: join latents of the same one.")
    if a.space != b.space:
        raise GenartError(
            f"Latents in {a.space} and in {b.space} do not join: bring both into the same space."
        )
    classes = None
    if a.classes is not None and b.classes is not None:
        classes = torch.cat([a.classes, b.classes])
    return GANLatent(a.space, torch.cat([a.tensor, b.tensor]), classes, a.seeds + b.seeds, a.model)


def repeat(latent: GANLatent, times: int) -> GANLatent:
    """The whole batch, some times over."""
    return pick(latent, list(range(len(latent))) * times)


def to_w(generator: Generator, latent: GANLatent) -> GANLatent:
    """Map latents in z to w; others are already there.

    The classes are spent: w holds them.

    Raises:
        GenartError: when the latents do not fit the network.
    """
    if latent.space != "z":
        return latent
    spec = generator.spec
    if latent.tensor.shape[1] != spec.z_dim:
        raise GenartError(
            f"These latents have {latent.tensor.shape[1]} numbers, this GAN wants {spec.z_dim}: "
            "they were made for another GAN, so use that one."
        )
    if (0 if latent.classes is None else latent.classes.shape[1]) != spec.c_dim:
        raise GenartError(
            f"These latents were made for a GAN with other classes, this one has {spec.c_dim}: "
            "make them anew with this GAN."
        )
    device = generator.w_avg.device
    classes = None if latent.classes is None else latent.classes.to(device)
    with torch.no_grad():
        w = generator.map(latent.tensor.to(device), classes).cpu()
    return replace(latent, space="w", tensor=w, classes=None)


def to_w_plus(generator: Generator, latent: GANLatent) -> GANLatent:
    """Map latents in z, and give every layer its own w: space w+, tensor [n, num_ws, w_dim].

    Raises:
        GenartError: when the latents do not fit the network.
    """
    spec = generator.spec
    mapped = to_w(generator, latent)
    w = mapped.tensor
    if w.shape[-1] != spec.w_dim:
        raise GenartError(
            f"These latents have {w.shape[-1]} numbers, this GAN wants {spec.w_dim}: "
            "they were made for another GAN, so use that one."
        )
    if w.dim() == 3 and w.shape[1] != spec.num_ws:
        raise GenartError(
            f"These latents have {w.shape[1]} layers, this GAN has {spec.num_ws}: "
            "they were made for another GAN, so use that one."
        )
    if w.dim() == 2:
        w = w[:, None].expand(-1, spec.num_ws, -1)
    return replace(mapped, space="w+", tensor=w)


def truncate(ws: Tensor, centre: Tensor, psi: float, cutoff: int | None = None) -> Tensor:
    """Pull the first `cutoff` vectors of `ws [n, num_ws, w_dim]` towards a centre (psi = 1: not).

    The truncation trick (Karras et al. 2019, section 3.1): typical pictures for less variety.

    Args:
        ws: [n, num_ws, w_dim].
        centre: the mean of w [w_dim], or one for each latent [n, 1, w_dim].
        psi: how much of the distance from the centre stays.
        cutoff: how many of the first vectors; None for all.
    """
    if psi == 1:
        return ws
    pulled = centre.lerp(ws, psi)
    if cutoff is None or cutoff >= ws.shape[1]:
        return pulled
    return torch.cat([pulled[:, :cutoff], ws[:, cutoff:]], dim=1)


def nearest_centres(ws: Tensor, centres: Tensor) -> Tensor:
    """For each of `ws [n, num_ws, w_dim]` the nearest of `centres [k, w_dim]`: `[n, 1, w_dim]`.

    Raises:
        GenartError: when the centres were made for another network.
    """
    if centres.dim() != 2 or centres.shape[1] != ws.shape[2]:
        raise GenartError("These centres belong to another GAN: find them with the one wired here.")
    nearest = torch.cdist(ws.mean(dim=1), centres).argmin(dim=1)
    return centres[nearest][:, None]
