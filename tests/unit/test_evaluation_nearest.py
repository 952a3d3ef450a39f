"""Copies are found among the training pictures, and look-alikes do not hide them."""

import pytest
import torch

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.evaluation.nearest import copying_percentile, leave_one_out, nearest


def directions(n: int, seed: int, d: int = 12) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_a_copy_is_found_and_lies_at_distance_zero() -> None:
    training = directions(40, seed=1)
    found = nearest(3 * training[[7, 30]], training, k=4)
    assert found.index[:, 0].tolist() == [7, 30]
    assert found.distance[:, 0].max() < 1e-12
    assert (found.distance.diff(dim=1) >= 0).all()


def test_leave_one_out_is_the_nearest_of_the_rest() -> None:
    training = directions(30, seed=2)
    expected = [
        float(nearest(training[[i]], training[[j for j in range(30) if j != i]]).distance)
        for i in range(30)
    ]
    assert leave_one_out(training).tolist() == pytest.approx(expected)


def test_fresh_draws_spread_over_all_percentiles_and_copies_do_not() -> None:
    training, fresh = directions(2000, seed=3, d=3), directions(500, seed=4, d=3)
    calibration = leave_one_out(training)
    percentile = copying_percentile(nearest(fresh, training).distance[:, 0], calibration)
    assert 45 < percentile.mean() < 55
    assert percentile.min() < 5 and percentile.max() > 95
    copies = training[:50] + 1e-4 * directions(50, seed=5, d=3)
    percentile = copying_percentile(nearest(copies, training).distance[:, 0], calibration)
    assert percentile.max() < 5


def test_twins_lull_the_plain_check_and_groups_wake_it() -> None:
    subjects = directions(200, seed=6)
    twins = torch.cat([subjects + 0.02 * directions(200, seed=7 + i) for i in range(6)])
    groups = list(range(200)) * 6
    copies = twins[:50] + 0.02 * directions(50, seed=20)
    distance = nearest(copies, twins).distance[:, 0]
    plain = copying_percentile(distance, leave_one_out(twins))
    grouped = copying_percentile(distance, leave_one_out(twins, groups))
    assert plain.median() > 15  # most copies look like honest members of the set
    assert grouped.max() < 1


def test_sets_too_small_are_refused() -> None:
    with pytest.raises(GenartError, match="neighbours"):
        nearest(directions(2, seed=1), directions(3, seed=2), k=4)
    with pytest.raises(GenartError, match="two different"):
        leave_one_out(directions(3, seed=1), groups=[1, 1, 1])
    with pytest.raises(GenartError, match="two different"):
        leave_one_out(directions(1, seed=1))
