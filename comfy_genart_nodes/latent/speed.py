"""The same path at another pace: even steps, by whatever distance."""

import torch
from torch import Tensor

from .sphere import wide


def even_times(times: Tensor, steps: Tensor, wanted: Tensor) -> Tensor:
    """When a path has gone given shares of its length (inverse arc length).

    Args:
        times: `[m]`, rising, at which the path was looked at.
        steps: `[m - 1]`, how far apart what was seen at neighbouring times is, none negative.
        wanted: `[n]`, shares of the whole length, 0 to 1.

    Returns:
        Wide, `[n]`, between the first time and the last. A path that stands still is left as it
        was.
    """
    marks, lengths = wide(times, times), wide(steps, times)
    gone = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    if not float(gone[-1]) > 0:
        return marks[0] + (marks[-1] - marks[0]) * wide(wanted, times)
    target = wide(wanted, times).clamp(0, 1) * gone[-1]
    after = torch.searchsorted(gone, target).clamp(1, len(gone) - 1)
    span = gone[after] - gone[after - 1]
    part = torch.where(span > 0, (target - gone[after - 1]) / span.clamp(min=1e-300), 0.0)
    return marks[after - 1] + part * (marks[after] - marks[after - 1])


def unevenness(steps: Tensor) -> float:
    """The coefficient of variation of steps `[m]`: 0 where all are alike."""
    values = wide(steps, steps)
    return float(values.std(correction=0) / values.mean().clamp(min=1e-30))
