"""What an autoencoder is worth: how near it comes to pictures, what its latents tell of them."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from ..errors import GenartError
from ..vae.likeness import LEVELS, levels, ssim
from ..vae.networks.autoencoder import Autoencoder, Coded

ACTIVE = 0.01
"""Variance over pictures from which on a latent tells anything (Burda et al. 2016)."""


@torch.no_grad()
def measure_vae(
    network: Autoencoder,
    pictures: Iterable[Tensor],
    perceptual: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> dict[str, Any]:
    """Rebuild pictures from their likeliest latents and measure what became of them.

    Made pictures are measured as a file of eight bits would hold them.

    Args:
        network: any autoencoder of this pack.
        pictures: batches `[n, 3, h, w]` in -1..1 on the network's device, all of one size.
        perceptual: distances of pictures (`perceptual.Perceptual`); None does without.

    Returns:
        "mse" of values of 0 to 1, pooled over all pictures, and "psnr" in dB, of it; "ssim", and
        "perceptual" where there is one, means over pictures; "active", how many of a picture's
        "units", its latent numbers, vary over pictures by more than `ACTIVE`. Of latents that are
        drawn: "kl", nats a picture, and "kl_per_dim", those of each channel. Of codes: how many of
        them were "used", and their "perplexity": so many would be as hard to guess if all were
        equally frequent.

    Raises:
        GenartError: when there is no picture, or it cannot be measured because something in it is
            not a number.
    """
    likeness, latents, codes = _Likeness(perceptual), _Latents(), _Codes(network)
    for real in pictures:
        coded = network.code(real, None)
        likeness.note(network.decode(coded.mean), real)
        latents.note(coded)
        codes.note(coded)
    if not latents.pictures:
        raise GenartError("There are no pictures to measure with: give at least one.")
    return {**likeness.figures(), **latents.figures(), **codes.figures()}


class _Likeness:
    """How near pictures are to those they should be."""

    def __init__(self, perceptual: Callable[[Tensor, Tensor], Tensor] | None) -> None:
        self.perceptual = perceptual
        self.sums: dict[str, float] = {}  # over pictures
        self.pictures = 0

    def note(self, made: Tensor, real: Tensor) -> None:
        if not made.isfinite().all():
            raise GenartError(
                "What the VAE makes of pictures is not numbers any more: go on from an earlier "
                "checkpoint, or train at a lower learning rate."
            )
        made, real = (levels(x) / LEVELS * 2 - 1 for x in (made, real))
        self.pictures += len(made)
        self._add("mse", ((made - real) / 2).square().mean(dim=(1, 2, 3)))
        self._add("ssim", ssim(made, real))
        if self.perceptual is not None:
            self._add("perceptual", self.perceptual(made, real))

    def _add(self, name: str, each: Tensor) -> None:
        self.sums[name] = self.sums.get(name, 0.0) + float(each.cpu().double().sum())

    def figures(self) -> dict[str, Any]:
        means = {name: total / self.pictures for name, total in self.sums.items()}
        mse = means["mse"]
        return {**means, "psnr": math.inf if mse == 0 else -10 * math.log10(mse)}


class _Latents:
    """Nats of each channel, and how latents vary over pictures."""

    def __init__(self) -> None:
        self.pictures = 0
        self.sums: list[Tensor] = []  # of latents, their squares and their nats, of each place
        self.drawn = True

    def note(self, coded: Coded) -> None:
        mean, nats = coded.mean.cpu().double(), coded.kl().cpu().double()
        sums = [x.sum(dim=0) for x in (mean, mean.square(), nats)]
        before = self.sums or [torch.zeros_like(x) for x in sums]
        self.sums = [x + y for x, y in zip(before, sums, strict=True)]
        self.pictures += len(mean)
        self.drawn = coded.logvar is not None

    def figures(self) -> dict[str, Any]:
        mean, square, nats = (total / self.pictures for total in self.sums)
        active = square - mean.square() > ACTIVE
        found = {"active": int(active.sum()), "units": active.numel()}
        if not self.drawn:
            return found
        return {"kl": float(nats.sum()), "kl_per_dim": nats.sum(dim=(1, 2)).tolist(), **found}


class _Codes:
    """How often each code is taken, where codes are finite in number."""

    def __init__(self, network: Autoencoder) -> None:
        self.network = network
        self.taken = torch.zeros(network.code_count or 0, dtype=torch.int64)

    def note(self, coded: Coded) -> None:
        if len(self.taken):
            indices = self.network.indices(coded.mean).flatten()
            self.taken += torch.bincount(indices, minlength=len(self.taken)).cpu()

    def figures(self) -> dict[str, Any]:
        if not len(self.taken):
            return {}
        shares = self.taken[self.taken > 0].double() / self.taken.sum()
        nats = -(shares * shares.log()).sum()
        return {"used": len(shares), "perplexity": float(nats.exp())}
