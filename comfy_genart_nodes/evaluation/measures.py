"""What a generator is worth in plain numbers: near the data, all kinds of it, and no copies.

Every figure is taken against pictures that were kept apart: against the training pictures a model
that copies them scores best.
"""

import torch
from torch import Tensor

from ..errors import GenartError
from .copying import NEAR
from .kid import kid, kid_interval
from .nearest import copying_percentile, leave_one_out, nearest, repeats
from .prdc import prdc

LEAST = 8  # pictures of each kind; below, the intervals span everything


def calibration(training: Tensor) -> Tensor:
    """How near training pictures are to each other, as `measure` wants it; worth keeping.

    A picture that is there twice counts once: its twin at distance 0 would make a copy look usual.

    Args:
        training: features `[m, d]`.

    Returns:
        `[m]` float64.
    """
    return leave_one_out(training, repeats(training))


def measure(
    made: Tensor,
    held_out: Tensor,
    training: Tensor,
    *,
    generator: torch.Generator,
    calibrated: Tensor | None = None,
) -> dict[str, float]:
    """All figures of made pictures, from features of one backbone.

    Args:
        made: `[n, d]`, of what the generator makes.
        held_out: `[m, d]`, of pictures that it was not trained on.
        training: `[t, d]`, of pictures that it was trained on.
        generator: a CPU generator, for the intervals.
        calibrated: `calibration(training)`, where it is known already.

    Returns:
        kid, precision, recall, density and coverage against the held-out pictures, each with a
        95 % interval (`<name>_low`, `<name>_high`; see `kid_interval` and `PRDC.intervals`);
        neighbours, the k of the four; copying, the share (0..1) of made pictures nearer to a
        training picture than 99 % of training pictures are to their own nearest, about .01 for an
        honest generator; copying_held_out, the same share of the held-out pictures, which no
        generator made: what copying would be without any; nearest, the median percentile of those
        distances, 50 for an honest generator (it moves where look-alikes in the set hide copies
        from the share).

    Raises:
        GenartError: fewer than 8 pictures of a kind, features of different widths, or features
            that are not numbers.
    """
    _check({"made": made, "held-out": held_out, "training": training})
    calibrated = calibration(training) if calibrated is None else calibrated
    low, high = kid_interval(made, held_out, generator=generator)
    four = prdc(made, held_out)
    near, near_held_out = (
        copying_percentile(nearest(features, training).distance[:, 0], calibrated)
        for features in (made, held_out)
    )
    return {
        "kid": kid(made, held_out),
        "kid_low": low,
        "kid_high": high,
        **four.figures(),
        **four.intervals(generator),
        "neighbours": float(four.neighbours),
        "copying": float((near < NEAR).double().mean()),
        "copying_held_out": float((near_held_out < NEAR).double().mean()),
        "nearest": float(near.quantile(0.5)),
    }


def _check(sets: dict[str, Tensor]) -> None:
    for name, features in sets.items():
        if len(features) < LEAST:
            raise GenartError(
                f"Measuring needs at least {LEAST} {name} pictures and has {len(features)}; "
                "add pictures."
            )
        if not features.isfinite().all():
            raise GenartError(
                f"The {name} pictures have features that are not numbers; what made them is broken."
            )
    if len({features.shape[1] for features in sets.values()}) > 1:
        raise GenartError("Features of one kind can be compared; compute all with the same.")
