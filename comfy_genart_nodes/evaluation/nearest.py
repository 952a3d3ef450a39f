"""Did the model copy? The nearest training pictures of a sample, and how near is too near.

A distance in feature space says nothing alone: in a set of look-alikes everything is near
everything. So each sample's distance is set against the set itself: leave one training picture
out, and ask how far its nearest neighbour is. A sample nearer to its neighbour than most training
pictures are to theirs is suspicious.

**Look-alikes.** Many sets hold the same picture several times over (one figure in six skin tones,
the frames of a film). Left in, each picture's neighbour is its own twin, the leave-one-out
distances shrink to almost nothing, and a copy looks no nearer than "normal": the check falls
asleep. So calibrate between `groups`: give the twins of a picture one group number, and its
neighbour is looked for in the other groups only. A sample is still compared with every training
picture. This makes the check strict: on a set of groups a sample that is a fair new member of an
existing group also gets a low percentile, which is right (it repeats a picture up to its colours)
but is no proof of copying. Read both calibrations, and look at the pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import GenartError
from .distances import strips

SAME = 1e-6  # cosine distance of features of one picture, computed twice in float32


@dataclass(frozen=True, eq=False)
class Nearest:
    """The nearest training pictures of each sample, nearest first.

    Attributes:
        index: `[samples, k]` int64, rows of the training features.
        distance: `[samples, k]` float64, cosine distance, 0 (same direction) to 2.
    """

    index: Tensor
    distance: Tensor


def _strips(a: Tensor, b: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Cosine distances `[rows, m]` by strips, in float64: in float32 twins drown in rounding."""
    for part, squared in strips(F.normalize(a.double()), F.normalize(b.double())):
        yield part, squared / 2


def nearest(samples: Tensor, training: Tensor, k: int = 1) -> Nearest:
    """Find the `k` nearest training pictures of each sample by cosine distance.

    Args:
        samples: Features `[n, d]`.
        training: Features `[m, d]` from the same network.
        k: How many; at most m.

    Raises:
        GenartError: The training set has fewer than `k` pictures.
    """
    if k > len(training):
        raise GenartError(f"Asked for {k} neighbours among {len(training)} training pictures.")
    found = [d.topk(k, dim=1, largest=False) for _, d in _strips(samples, training)]
    if not found:
        return Nearest(torch.empty(0, k, dtype=torch.long), torch.empty(0, k).double())
    return Nearest(torch.cat([f.indices for f in found]), torch.cat([f.values for f in found]))


def leave_one_out(training: Tensor, groups: Sequence[int] | None = None) -> Tensor:
    """How far each training picture is from its nearest neighbour in the rest of the set.

    Args:
        training: Features `[m, d]`.
        groups: A number for each picture; pictures with one number are look-alikes and are not
            counted as each other's neighbours. None: every other picture counts.

    Returns:
        `[m]` float64 cosine distances.

    Raises:
        GenartError: All pictures are in one group, so that none has a neighbour.
    """
    labels = torch.arange(len(training)) if groups is None else torch.as_tensor(groups)
    if len(labels.unique()) < 2:
        raise GenartError("The copying check needs at least two different training pictures.")
    labels = labels.to(training.device)
    return torch.cat(
        [
            distance.masked_fill(labels[part, None] == labels, torch.inf).min(dim=1).values
            for part, distance in _strips(training, training)
        ]
    )


def repeats(training: Tensor) -> list[int]:
    """Groups for `leave_one_out` in which the same picture under several names is one picture.

    Args:
        training: Features `[m, d]`.

    Returns:
        For each picture the index of the first that equals it.
    """
    first: list[int] = []
    for part, distance in _strips(training, training):
        same = (distance < SAME).int()
        first += [min(i, int(j)) for i, j in enumerate(same.argmax(1).tolist(), part.start)]
    return first


def copying_percentile(distance: Tensor, calibration: Tensor) -> Tensor:
    """Where each sample's nearest distance falls among those inside the training set.

    Args:
        distance: `[n]`, each sample's distance to its nearest training picture.
        calibration: `[m]` from `leave_one_out`.

    Returns:
        `[n]` float64 in 0..100: the share of training pictures that are nearer to their neighbour
        than the sample is to its own. Near 0 is suspiciously close; a model that draws from where
        the training set came from gives values spread evenly over 0..100.
    """
    wanted = distance.to(calibration.dtype).contiguous()
    ranks = torch.searchsorted(calibration.sort().values, wanted)
    return 100 * ranks.double() / len(calibration)
