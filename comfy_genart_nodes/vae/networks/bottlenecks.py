"""What stands between encoder and decoder: a normal distribution, a codebook, or fixed levels.

Each holds a few tensors whose names are found in files, so that a file tells which one it is.
"""

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...gan.networks.layers import at_least_single, full_precision
from .autoencoder import Coded, drawn

LIMIT = 3.0
"""Latents reach TAESD's decoder as LIMIT * tanh(z / LIMIT)."""

_FIRST_DEVIATION = 0.1
_COMMITMENT = 0.05
"""The paper's .25 stands beside sums over pixels and latents. Here means stand side by side, and
that over the fewer latents would weigh too much: they are drawn together before they tell much."""
_MEMORY = 0.99  # of how often vectors are taken, a step
_SELDOM, _FRESH = 0.03, 0.08  # of an even share: forgotten below; a new place has 100 steps to it


class Bottleneck(nn.Module, ABC):
    """What an encoder's numbers become.

    Attributes:
        code_count: as of `Autoencoder`.
    """

    code_count: int | None = None

    def initialise(self, generator: torch.Generator) -> None:
        """Draw what there is to draw."""

    @abstractmethod
    def code(self, z: Tensor, noise: Tensor | None) -> Coded:
        """The code of an encoder's numbers `[n, c, h, w]`."""

    def settle(self, z: Tensor) -> Tensor:
        """The likeliest latents of an encoder's numbers."""
        return z

    def indices(self, latents: Tensor) -> Tensor:
        """As of `Autoencoder`."""
        raise TypeError("These latents have no codes to count")

    def upkeep(self, coded: Coded, generator: torch.Generator) -> None:
        """As of `Autoencoder`."""


class Gauss(Bottleneck):
    """Normal distributions around the encoder's numbers, their variance learned for each channel.

    The encoder then gives the mean alone, as TAESD's does, whose layout it keeps.

    Args:
        channels: of the latents.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.logvar = nn.Parameter(torch.full((channels,), 2 * math.log(_FIRST_DEVIATION)))

    def code(self, z: Tensor, noise: Tensor | None) -> Coded:
        """Draw around `z`."""
        return drawn(z, self.logvar[:, None, None], noise)


class Codebook(Bottleneck):
    """The nearest of a number of learned vectors (van den Oord et al. 2017, arXiv 1711.00937).

    The vectors learn from a cost, as in the paper, and not as running means: so they are weights
    like all others, which an optimiser keeps and averages, and a forward pass changes nothing.
    Vectors that hardly any place takes are put where places are (`upkeep`), all of them at the
    first step.

    Args:
        channels: of the latents.
        codes: how many vectors.
    """

    def __init__(self, channels: int, codes: int) -> None:
        super().__init__()
        self.code_count = codes
        self.codebook = nn.Parameter(torch.empty(codes, channels))
        self.register_buffer("usage", torch.zeros(codes))

    usage: Tensor
    """[codes] about which share of places took each of late."""

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the vectors."""
        nn.init.normal_(self.codebook, generator=generator)
        self.usage.zero_()

    def code(self, z: Tensor, noise: Tensor | None) -> Coded:
        """The nearest vectors; gradients pass to `z` as if it had been one of them."""
        with full_precision(z):
            z = at_least_single(z)
            nearest = self._vectors(self.indices(z)[:, 0])
            pull = F.mse_loss(nearest, z.detach())
            cost = pull + _COMMITMENT * F.mse_loss(z, nearest.detach())
            mean = nearest.detach()
            return Coded(mean + (z - z.detach()), mean, cost=cost, raw=z)

    def settle(self, z: Tensor) -> Tensor:
        """The nearest vectors."""
        return self._vectors(self.indices(z)[:, 0]).to(z.dtype)

    @torch.no_grad()
    def indices(self, latents: Tensor) -> Tensor:
        """As of `Autoencoder`; one code a place."""
        with full_precision(latents):
            rows = at_least_single(latents.movedim(1, -1))
            book = self.codebook.to(rows.dtype)
            far = book.square().sum(1) / 2 - rows @ book.t()
            return far.argmin(-1).unsqueeze(1)

    @torch.no_grad()
    def upkeep(self, coded: Coded, generator: torch.Generator) -> None:
        """Note which vectors were taken, and put forgotten ones where places of the step are."""
        assert coded.raw is not None
        rows = coded.raw.detach().movedim(1, -1).flatten(0, 2)
        taken = torch.bincount(self.indices(coded.mean).flatten(), minlength=len(self.usage))
        self.usage.mul_(_MEMORY).add_(taken / len(rows), alpha=1 - _MEMORY)
        forgotten = (self.usage < _SELDOM / len(self.usage)).nonzero()[:, 0]
        # Different places, where there are enough: between equal vectors rounding would decide.
        places = torch.arange(len(self.usage)) % len(rows)
        chosen = torch.randperm(len(rows), generator=generator)[places].to(rows.device)
        self.codebook[forgotten] = rows[chosen[forgotten]].to(self.codebook.dtype)
        self.usage[forgotten] = _FRESH / len(self.usage)

    def _vectors(self, indices: Tensor) -> Tensor:
        """`[n, h, w]` to `[n, c, h, w]`."""
        return F.embedding(indices, self.codebook).movedim(-1, 1)


class Levels(Bottleneck):
    """Finite scalar quantisation (Mentzer et al. 2023, arXiv 2309.15505): each channel rounded.

    tanh(z / 3) is rounded to the middle of one of equally wide parts of -1..1, as many as the
    channel has levels. Latents travel as numbers that the clamp at the beginning of TAESD's decoder
    brings to those middles: so a decoder makes nearly the same of what was not rounded, as in a
    ComfyUI that does not know of levels.

    Args:
        channels: of the latents; the levels are those of the first channels, of the next, ...
        levels: for each channel of a code.
    """

    def __init__(self, channels: int, levels: tuple[int, ...]) -> None:
        super().__init__()
        self.code_count = math.prod(levels)
        self.repeats, self.most = channels // len(levels), max(levels)
        self.register_buffer("levels", torch.tensor(levels).float())

    levels: Tensor
    """How many each channel of a code has."""

    def code(self, z: Tensor, noise: Tensor | None) -> Coded:
        """The nearest levels; gradients pass rounding as if it were not there."""
        with full_precision(z):
            z = at_least_single(z)
            bounded = torch.tanh(z / LIMIT)
            mean = self._nearest(bounded)
            straight = torch.tanh(mean / LIMIT) + (bounded - bounded.detach())
            passing = LIMIT * torch.atanh(straight)
            return Coded(mean + (passing - passing.detach()), mean)

    def settle(self, z: Tensor) -> Tensor:
        """The nearest levels."""
        with full_precision(z):
            return self._nearest(torch.tanh(at_least_single(z) / LIMIT)).to(z.dtype)

    def indices(self, latents: Tensor) -> Tensor:
        """As of `Autoencoder`; the first level counts least."""
        with full_precision(latents):
            parts = self._parts(torch.tanh(at_least_single(latents) / LIMIT))
        counts = self.levels.long()
        worth = torch.cat([counts.new_ones(1), counts.cumprod(0)[:-1]])
        return (parts.unflatten(1, (self.repeats, -1)) * worth[:, None, None]).sum(2)

    @torch.no_grad()
    def _parts(self, bounded: Tensor) -> Tensor:
        """Which part of -1..1 each number is in, from 0."""
        counts = self.levels.repeat(self.repeats)[:, None, None]
        parts = ((bounded + 1) / 2 * counts).floor().clamp(min=0).minimum(counts - 1)
        return parts.nan_to_num().long()  # which is no place of a table

    @torch.no_grad()
    def _nearest(self, bounded: Tensor) -> Tensor:
        """Latents of the middles of those parts, from a table: equal ones to the bit."""
        counts = self.levels.to(bounded.dtype).repeat(self.repeats)[:, None]
        middles = (2 * torch.arange(self.most, device=counts.device) + 1) / counts - 1
        table = LIMIT * torch.atanh(middles)  # [channels, most]
        rows = self.most * torch.arange(len(counts), device=counts.device)
        found = table.flatten()[self._parts(bounded) + rows[:, None, None]]
        return torch.where(bounded.isnan(), bounded, found)
