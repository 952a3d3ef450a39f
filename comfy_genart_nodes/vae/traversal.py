"""What each dimension of a latent does: it alone is moved, all others stay."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .prior import Statistics


@dataclass(frozen=True, eq=False)
class Traversal:
    """Latents along dimensions of one.

    Attributes:
        latents: `[rows * columns, c, ...]`, row by row; the middle of each row is the start.
        rows: what each row is, in words.
        columns: how far each column is moved, in words.
    """

    latents: Tensor
    rows: list[str]
    columns: list[str]


def most_telling(known: Statistics) -> list[int]:
    """Channels in the order of how much they tell: by KL where known, else by their deviation."""
    worth = known.std if known.kl is None else known.kl
    return sorted(range(len(worth)), key=lambda channel: -float(worth[channel]))


def traverse(
    start: Tensor, known: Statistics, dimensions: int, each_side: int, reach: float
) -> Traversal:
    """Move one dimension after the other.

    Args:
        start: one latent, `[1, c, ...]`. A dimension is a channel, at all places alike.
        known: of the latent space: the order of dimensions, and how large a step is.
        dimensions: how many, the most telling first.
        each_side: columns on each side of the middle.
        reach: standard deviations that the outermost are away.
    """
    chosen = most_telling(known)[:dimensions]
    shares = [number / each_side for number in range(-each_side, each_side + 1)]
    latents = []
    for channel in chosen:
        unit = torch.zeros_like(start)
        unit[:, channel] = float(known.std[channel]) or 1.0
        latents += [start + share * reach * unit for share in shares]
    rows = [_row(known, channel) for channel in chosen]
    return Traversal(torch.cat(latents), rows, [_column(share * reach) for share in shares])


def _column(moved: float) -> str:
    return f"{moved:+.2g} sd" if moved else "0"


def _row(known: Statistics, channel: int) -> str:
    if known.kl is not None:
        return f"channel {channel}: {float(known.kl[channel]):.2f} nats"
    return f"channel {channel}: sd {float(known.std[channel]):.3g}"
