"""Precision, recall, density and coverage: whether pictures are good, and of all kinds.

A set of features stands for the region that it fills: a ball around each picture that reaches to
its k-th neighbour in the set. Kynkäänniemi et al., "Improved Precision and Recall Metric" (2019):
precision is the share of made pictures inside the real region, recall the share of real pictures
inside the made region. Naeem et al., "Reliable Fidelity and Diversity Metrics" (2020): density
counts in how many real balls a made picture lies, coverage is the share of real pictures with a
made one in their ball; one stray picture with a huge ball spoils neither.

All four depend on k and on how many pictures there are on each side: compare only figures of
equal numbers.
"""

from dataclasses import dataclass
from math import isqrt

import torch
from torch import Tensor

from ..errors import GenartError
from .bootstrap import interval, resamples
from .distances import strips

NEIGHBOURS = 5  # Naeem et al. 2020
TIE = 1 + 1e-9  # a border is a distance too: rounding must not decide on which side it lies


@dataclass(frozen=True, eq=False)
class PRDC:
    """What each picture adds to the figures; a figure is its mean.

    Attributes:
        precision: `[made]` float64, 1 for a made picture inside the real region.
        recall: `[real]` float64, 1 for a real picture inside the made region.
        density: `[made]` float64, real balls around a made picture, divided by k.
        coverage: `[real]` float64, 1 for a real picture with a made one in its ball.
        neighbours: the k that was used.
    """

    precision: Tensor
    recall: Tensor
    density: Tensor
    coverage: Tensor
    neighbours: int

    def figures(self) -> dict[str, float]:
        """The four means."""
        return {name: float(values.mean()) for name, values in self._parts().items()}

    def intervals(self, generator: torch.Generator, draws: int = 1000) -> dict[str, float]:
        """95 % intervals of the four as `<name>_low` and `<name>_high`.

        Bootstrap over the pictures whose mean the figure is, the made or the real ones. The other
        set is taken as it is: how much another one would change is not in the interval.

        Args:
            generator: a CPU generator.
            draws: of the bootstrap.
        """
        ends: dict[str, float] = {}
        for name, values in self._parts().items():
            weights = resamples(len(values), draws, generator)
            means = weights @ values.cpu() / len(values)
            ends[f"{name}_low"], ends[f"{name}_high"] = interval(means)
        return ends

    def _parts(self) -> dict[str, Tensor]:
        return {
            "precision": self.precision,
            "recall": self.recall,
            "density": self.density,
            "coverage": self.coverage,
        }


def radii(features: Tensor, k: int) -> Tensor:
    """Squared distance of each picture to its `k`-th neighbour in the rest of its set.

    Args:
        features: `[n, d]`.
        k: less than n.

    Returns:
        `[n]` float64.
    """
    found = features.new_empty(len(features), dtype=torch.float64)
    for part, squared in strips(features, features):
        squared[:, part].fill_diagonal_(torch.inf)  # not its own neighbour
        found[part] = squared.kthvalue(k, dim=1).values
    return found


def prdc(made: Tensor, real: Tensor, k: int | None = None) -> PRDC:
    """Precision, recall, density and coverage of made pictures, exactly.

    Args:
        made: features `[n, d]`.
        real: features `[m, d]`.
        k: which neighbour a ball reaches to. None for 5, or less in sets below 25 pictures: the
            square root of the smaller one, rounded down, since a ball that holds a good part of
            its set tells nothing.

    Raises:
        GenartError: features of different widths, or a set without k neighbours.
    """
    if made.shape[1] != real.shape[1]:
        raise GenartError("Features of one kind can be compared; compute both sets with the same.")
    smaller = min(len(made), len(real))
    k = max(1, min(NEIGHBOURS, isqrt(smaller))) if k is None else k
    if not 1 <= k < smaller:
        raise GenartError(
            f"A picture has no neighbour number {k} in a set of {smaller}; add pictures."
        )
    reach_made, reach_real = radii(made, k) * TIE, radii(real, k) * TIE
    balls = made.new_empty(len(made), dtype=torch.float64)  # real ones around each made picture
    recalled = torch.zeros(len(real), dtype=torch.bool, device=made.device)
    covered = torch.zeros_like(recalled)
    for part, squared in strips(made, real):
        inside = squared <= reach_real
        balls[part] = inside.double().sum(1)
        covered |= inside.any(0)
        recalled |= (squared <= reach_made[part, None]).any(0)
    return PRDC((balls > 0).double(), recalled.double(), balls / k, covered.double(), k)
