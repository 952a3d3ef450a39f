"""Two by two places as channels of one, and back, with shortcuts that need no weights.

Networks that make pictures much smaller do this beside their convolutions (DC-AE, Chen et al.
2024), so that the path without weights loses nothing.
"""

from torch import Tensor

from .layers import Beside, Conv
from .strips import Change


def fold(x: Tensor) -> Tensor:
    """[1, c, 2h, 2w] to [1, 4c, h, w]: all channels of the first place, then of the one beside."""
    places = x.unflatten(3, (-1, 2)).unflatten(2, (-1, 2))
    return places.permute(0, 3, 5, 1, 2, 4).flatten(1, 3)


def unfold(x: Tensor) -> Tensor:
    """[1, 4c, h, w] to [1, c, 2h, 2w]: what `fold` undoes."""
    return x.unflatten(1, (2, 2, -1)).permute(0, 3, 4, 1, 5, 2).flatten(4).flatten(2, 3)


def means(groups: int) -> Change:
    """So many channels each as their mean."""
    return lambda x: x.unflatten(1, (-1, groups)).mean(2)


def repeats(count: int) -> Change:
    """Every channel so many times."""
    return lambda x: x.repeat_interleave(count, 1)


def halved(conv: Conv, groups: int | None, how: Change = fold) -> Beside:
    """A convolution to half the sides, beside means of so many channels of folded places.

    Args:
        conv: with a stride, or to a quarter of the channels, which are folded then.
        groups: channels of a mean; None without a shortcut.
        how: folds.
    """
    own = how if conv.conv.stride[0] == 1 else None
    if groups is None:
        return Beside(conv, own)
    mean = means(groups)
    return Beside(conv, own, lambda x: mean(how(x)))


def doubled(conv: Conv, count: int | None, how: Change = unfold) -> Beside:
    """A convolution to twice the sides, beside places of channels that were repeated.

    Args:
        conv: of repeated pixels, or to four times the channels, which are unfolded then.
        count: how often a channel is repeated; None without a shortcut.
        how: unfolds.
    """
    own = how if conv.up == 1 else None
    if count is None:
        return Beside(conv, own)
    repeat = repeats(count)
    return Beside(conv, own, lambda x: how(repeat(x)))
