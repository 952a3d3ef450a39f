"""Whether a generator copies: how many of its pictures are too near to training pictures.

A picture is too near when it lies nearer to a training picture than 99 % of training pictures lie
to each other (`nearest.py`). An honest generator has about 1 % of them, but sets differ: pictures
of the same source that were kept apart say how many there would be without any copying. Whether
the generator has more is asked by Fisher's exact test (1922), which suits small numbers.
"""

from dataclasses import dataclass
from math import comb

from torch import Tensor

from .nearest import copying_percentile

NEAR = 1.0  # percentile
UNLIKELY = 0.01
"""A count that chance gives less often is called copying."""


@dataclass(frozen=True)
class Copying:
    """Pictures that are too near to training pictures.

    Attributes:
        made: how many of those that a generator made ...
        made_of: ... of so many.
        apart: how many of those that were kept apart ...
        apart_of: ... of so many.
    """

    made: int
    made_of: int
    apart: int
    apart_of: int

    @property
    def chance(self) -> float:
        """How likely so many made ones are, or more, if both were of one source."""
        near, total = self.made + self.apart, self.made_of + self.apart_of
        ways = sum(
            comb(self.made_of, count) * comb(self.apart_of, near - count)
            for count in range(self.made, min(near, self.made_of) + 1)
        )
        return ways / comb(total, near)

    @property
    def found(self) -> bool:
        """Whether that is too unlikely."""
        return self.chance < UNLIKELY


def count_near(made: Tensor, apart: Tensor, calibrated: Tensor) -> Copying:
    """Count pictures that are too near.

    Args:
        made: `[n]`, distances of made pictures to their nearest training pictures.
        apart: `[m]`, likewise, of pictures that were kept apart.
        calibrated: `[t]`, from `leave_one_out`.
    """
    near = [int((copying_percentile(each, calibrated) < NEAR).sum()) for each in (made, apart)]
    return Copying(near[0], len(made), near[1], len(apart))
