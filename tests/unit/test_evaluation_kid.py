"""KID is the formula of the paper, unbiased, and refuses what it cannot compare."""

import numpy as np
import pytest
import torch

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.evaluation.kid import kid, kid_interval, kid_subsets


def normal(n: int, d: int = 16, seed: int = 0, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + shift


def test_equals_torchmetrics() -> None:
    """What torchmetrics 1.9.0 (poly_mmd, degree 3, coefficient 1) answered for these numbers."""
    draw = np.random.RandomState(1)
    a, b = (torch.from_numpy(draw.randn(50, 16) + shift) for shift in (0, 0.3))
    assert kid(a, b) == pytest.approx(0.4350810487888239, rel=1e-10)


def test_equals_the_definition_term_by_term() -> None:
    a, b = normal(5, seed=1).double(), normal(7, seed=2, shift=1).double()

    def k(x, y) -> float:
        return float((x @ y / 16 + 1) ** 3)

    within_a = sum(k(a[i], a[j]) for i in range(5) for j in range(5) if i != j) / 20
    within_b = sum(k(b[i], b[j]) for i in range(7) for j in range(7) if i != j) / 42
    between = sum(k(x, y) for x in a for y in b) / 35
    assert kid(a, b) == pytest.approx(within_a + within_b - 2 * between, rel=1e-10)


def test_unbiased_where_the_sources_agree() -> None:
    values = torch.tensor([kid(normal(8, seed=i), normal(8, seed=1000 + i)) for i in range(400)])
    error = values.std() / 400**0.5
    assert values.mean().abs() < 4 * error
    assert values.min() < 0  # an estimate that never is negative is biased


def test_symmetric_and_grows_with_the_distance() -> None:
    a = normal(60, seed=1)
    near, far = normal(60, seed=2, shift=0.2), normal(60, seed=2, shift=1.0)
    assert kid(a, near) == pytest.approx(kid(near, a), rel=1e-12)
    assert 0 < kid(a, near) < kid(a, far)


def test_subsets_follow_the_generator_and_agree_with_the_whole() -> None:
    a, b = normal(200, seed=1), normal(150, seed=2, shift=0.5)

    def run(seed: int) -> tuple[float, float]:
        generator = torch.Generator().manual_seed(seed)
        return kid_subsets(a, b, subsets=50, subset_size=60, generator=generator)

    assert run(1) == run(1) != run(2)
    mean, std = run(1)
    assert std > 0
    assert mean == pytest.approx(kid(a, b), abs=4 * std / 50**0.5)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [(1, 9, "two pictures"), (9, 1, "two pictures"), (0, 9, "two pictures")],
)
def test_too_few_pictures(a: int, b: int, message: str) -> None:
    with pytest.raises(GenartError, match=message):
        kid(normal(a), normal(b))


def test_other_features_and_too_large_subsets_are_refused() -> None:
    with pytest.raises(GenartError, match="same"):
        kid(normal(9, d=16), normal(9, d=8))
    with pytest.raises(GenartError, match="subset size"):
        kid_subsets(normal(9), normal(9), subsets=1, subset_size=10, generator=torch.Generator())


def test_intervals_hold_the_true_distance_and_zero_where_there_is_none() -> None:
    for shift, least in ((0.5, 85), (0.0, 93)):
        true = kid(normal(3000, seed=1, shift=shift), normal(3000, seed=2)) if shift else 0.0
        held = 0
        for i in range(100):
            a, b = normal(60, seed=100 + i, shift=shift), normal(50, seed=900 + i)
            low, high = kid_interval(a, b, generator=torch.Generator().manual_seed(i), draws=300)
            held += low <= true <= high
        assert held >= least, shift


def test_a_picture_drawn_twice_is_not_compared_with_itself() -> None:
    """With self-pairs, draws from one source would lie above 0 throughout."""
    a, b = normal(30, seed=5), normal(30, seed=6)
    low, high = kid_interval(a, b, generator=torch.Generator().manual_seed(0))
    assert low < kid(a, b) < high
    assert (low + high) / 2 == pytest.approx(kid(a, b), abs=(high - low) / 4)
