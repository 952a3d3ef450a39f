"""Pictures of another size than a network was trained for (StyleGAN2).

All of such a network is convolution, but for a learned constant at the start and the constant
noise. Both go on beyond their edge as in a mirror that stands on the outermost row, so that the
middle of a larger canvas is what the network has learned and a canvas of its own size gives exactly
its ordinary picture. (Tried on a trained network: a constant that is stretched, or repeats its
edge, or every row up to the edge, gives subjects that dissolve or backgrounds full of blotches.)
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import GenartError

LARGEST = 8192


@dataclass(frozen=True)
class Window:
    """The part of the plane that one block of a network fills.

    Attributes:
        side: of the network's own square there.
        height: of the part.
        width: of the part.
        top: rows of it above the network's own square; negative where it begins inside.
        left: columns likewise.
    """

    side: int
    height: int
    width: int
    top: int = 0
    left: int = 0

    def fill(self, own: Tensor) -> Tensor:
        """`own [..., side, side]`, mirrored beyond its edges, as `[..., height, width]`."""
        if self == Window(self.side, self.side, self.side):
            return own
        rows = self._mirrored(self.top, self.height, own.device)
        columns = self._mirrored(self.left, self.width, own.device)
        return own.index_select(-2, rows).index_select(-1, columns)

    def crop(self, x: Tensor) -> Tensor:
        """What of a doubled `[..., h, w]` lies in the window: all but perhaps the last row."""
        return x[..., : self.height, : self.width]

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
