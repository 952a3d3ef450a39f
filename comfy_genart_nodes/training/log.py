"""What the steps since the last report were like."""

import math
import time

import torch
from torch import Tensor

from ..errors import GenartError

REPORT_SECONDS = 1.0

Report = dict[str, Tensor]
"""Scalars of a step, by name."""


def note(report: Report, share: float, **means: Tensor) -> None:
    """Add a piece's means to those of the batch, by its share."""
    for name, value in means.items():
        weighted = value.detach().float() * share
        report[name] = report[name] + weighted if name in report else weighted


class AstrayError(GenartError):
    """Something in a run is not a number any more.

    Args:
        what: which loss, or what else.
        became: what it is now.
        step: where.
    """

    def __init__(self, what: str, became: str, step: int) -> None:
        super().__init__(
            f"{what} became {became} at step {step}: begin again under a new name with a lower "
            "learning rate."
        )


class Log:
    """Means of the losses since the last report, about once a second.

    Args:
        step: where it begins.
        batch: pictures a step.
    """

    def __init__(self, step: int, batch: int) -> None:
        self.sums: dict[str, list[Tensor]] = {}
        self.since, self.step, self.batch = time.monotonic(), step, batch

    def add(self, report: Report) -> None:
        """Take up a step's scalars."""
        for name, value in report.items():
            self.sums.setdefault(name, []).append(value)

    def due(self) -> bool:
        """Whether it is time for a report."""
        return time.monotonic() - self.since >= REPORT_SECONDS

    def summary(self, step: int) -> dict[str, float]:
        """The means, and pictures a second; starts anew.

        Raises:
            AstrayError: when a loss is not a number.
        """
        now = time.monotonic()
        means = {n: float(torch.stack(v).float().mean()) for n, v in self.sums.items()}
        broken = [name for name, value in means.items() if not math.isfinite(value)]
        if broken:
            raise AstrayError(broken[0], str(means[broken[0]]), step)
        speed = (step - self.step) * self.batch / max(now - self.since, 1e-9)
        self.sums, self.since, self.step = {}, now, step
        return {**means, "pictures_per_second": round(speed, 3)}
