"""Pictures of another size than a network was trained for (StyleGAN2).

All of such a network is convolution, but for a learned constant at the start and the constant
noise. Both go on beyond their edge as in a mirror that stands on the outermost row, so that the
middle of a larger canvas is what the network has learned and a canvas of its own size gives exactly
its ordinary picture. (Tried on a trained network: a constant that is stretched, or repeats its
edge, or every row up to the edge, gives subjects that dissolve or backgrounds full of blotches.)

What is too large to compute at once is computed in strips of rows.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...errors import GenartError

LARGEST = 8192


@dataclass(frozen=True)
class Window:
    """The part of the plane that one block of a network fills, and the strip of it now computed.

    Attributes:
        side: of the network's own square there.
        height: of the part.
        width: of the part.
        top: rows of it above the network's own square; negative where it begins inside.
        left: columns likewise.
        first: first row of the strip.
        end: the row after its last; None where it reaches to the last of the part.
    """

    side: int
    height: int
    width: int
    top: int = 0
    left: int = 0
    first: int = 0
    end: int | None = None

    @property
    def rows(self) -> int:
        """Of the strip."""
        return (self.height if self.end is None else self.end) - self.first

    def fill(self, own: Tensor) -> Tensor:
        """`own [..., side, side]`, mirrored beyond its edges, as `[..., rows, width]`."""
        if self.height == self.width == self.side and self.top == self.left == 0:
            return self.cut(own)
        rows = self._mirrored(self.top - self.first, self.rows, own.device)
        columns = self._mirrored(self.left, self.width, own.device)
        return own.index_select(-2, rows).index_select(-1, columns)

    def cut(self, x: Tensor) -> Tensor:
        """The strip's rows of `x [..., height, width]`."""
        return x[..., self.first : self.end, :]

    def crop(self, x: Tensor) -> Tensor:
        """What of a doubled `[..., h, w]` lies in the strip: all but perhaps the last row."""
        return x[..., : self.rows, : self.width]

    def strip(self, first: int, end: int) -> "Window":
        """Rows `first` to `end` of the strip, as far as there are."""
        return replace(self, first=self.first + first, end=self.first + min(end, self.rows))

    def _mirrored(self, before: int, count: int, device: torch.device) -> Tensor:
        period = 2 * (self.side - 1)  # the outermost row itself is not repeated
        index = torch.arange(-before, count - before, device=device) % period
        return torch.minimum(index, period - index)


def windows(sides: list[int], canvas: tuple[int, int] | None) -> list[Window]:
    """What every block fills, for a canvas of any size.

    A block doubles the one before; where half a canvas is no whole number, the part before is
    rounded up and the odd row cut off after doubling.

    Args:
        sides: of the network's own squares, each the double of the one before.
        canvas: height and width in pixels; None for the network's own square.

    Raises:
        GenartError: when the canvas is too small or too large.
    """
    if canvas is None:
        return [Window(side, side, side) for side in sides]
    height, width = canvas
    cell = sides[-1] // sides[0]  # pixels that one element of the constant stands for
    if not (cell <= min(canvas) and max(canvas) <= LARGEST):
        raise GenartError(
            f"This GAN cannot fill a canvas of {width} x {height} pixels: each side must be from "
            f"{cell} to {LARGEST}."
        )
    top = (-(-height // cell) - sides[0]) // 2
    left = (-(-width // cell) - sides[0]) // 2
    filled = []
    for side in sides:
        step, scale = sides[-1] // side, side // sides[0]
        filled.append(
            Window(side, -(-height // step), -(-width // step), top * scale, left * scale)
        )
    return filled
