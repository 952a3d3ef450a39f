"""Precision, recall, density and coverage are the papers' definitions and obey their laws."""

import math

import pytest
import torch

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.evaluation import distances
from comfy_genart_nodes.evaluation.prdc import prdc


def normal(n: int, seed: int, d: int = 8, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + shift


def by_definition(made: torch.Tensor, real: torch.Tensor, k: int) -> list[float]:
    """The formulas of both papers, pair by pair."""
    made, real = made.tolist(), real.tolist()

    def radius(points, i):
        return sorted(math.dist(points[i], p) for j, p in enumerate(points) if j != i)[k - 1]

    ball_real = [radius(real, i) for i in range(len(real))]
    ball_made = [radius(made, i) for i in range(len(made))]
    precision = sum(
        any(math.dist(x, y) <= r for y, r in zip(real, ball_real, strict=True)) for x in made
    )
    recall = sum(
        any(math.dist(x, y) <= r for x, r in zip(made, ball_made, strict=True)) for y in real
    )
    density = sum(math.dist(x, y) <= r for x in made for y, r in zip(real, ball_real, strict=True))
    coverage = sum(
        any(math.dist(x, y) <= r for x in made) for y, r in zip(real, ball_real, strict=True)
    )
    m, n = len(made), len(real)
    return [precision / m, recall / n, density / (k * m), coverage / n]


@pytest.mark.parametrize("k", [1, 3, 5])
def test_equals_the_definition_whatever_the_strips(k: int, monkeypatch) -> None:
    made, real = normal(31, seed=1, shift=0.8), normal(23, seed=2)
    expected = by_definition(made.double(), real.double(), k)
    for entries in (1, 100, 1 << 22):
        monkeypatch.setattr(distances, "ENTRIES", entries)
        assert list(prdc(made, real, k).figures().values()) == pytest.approx(expected)
    assert 0 < expected[0] < 1 and 0 < expected[1] < 1  # nothing is trivially full or empty


def test_by_hand() -> None:
    """On a line, k = 1: real balls 0±1, 1±1, 3±2 and made balls .5±3.5, 4±3.5."""
    real, made = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([[0.5], [4.0]])
    found = prdc(made, real, k=1).figures()
    assert found == {"precision": 1, "recall": 1, "density": 1.5, "coverage": 1}
    # A made picture at 9 is outside all; its ball 9±5 and that of 4 (±5) hold every real one but 0
    # and 1 are in the latter's -1..9 too.
    found = prdc(torch.tensor([[4.0], [9.0]]), real, k=1).figures()
    assert found == pytest.approx(
        {"precision": 0.5, "recall": 1, "density": 0.5, "coverage": 1 / 3}
    )


def test_equal_sets_are_all_of_each_other() -> None:
    x = normal(60, seed=3)
    assert prdc(x, x).figures() == {
        "precision": 1,
        "recall": 1,
        "density": pytest.approx(6 / 5),  # each ball holds its five neighbours and its own picture
        "coverage": 1,
    }


def test_sets_far_apart_share_nothing() -> None:
    found = prdc(normal(40, seed=1), normal(50, seed=2, shift=100)).figures()
    assert list(found.values()) == [0, 0, 0, 0]


def test_one_good_picture_again_and_again_is_precise_and_dense_but_covers_little() -> None:
    real = normal(100, seed=4)
    middle = real[(real.norm(dim=1)).argmin()]
    found = prdc(middle.repeat(50, 1), real).figures()
    assert found["precision"] == 1 and found["density"] > 1
    assert found["recall"] < 0.02 and found["coverage"] < 0.5


def test_coverage_of_one_source_is_what_naeem_et_al_derive() -> None:
    """1 - (N-1)...(N-k) / ((2N-1)...(2N-k)) for N pictures on each side."""
    n, k = 40, 5
    expected = 1 - math.prod((n - i) / (2 * n - i) for i in range(1, k + 1))
    found = torch.tensor(
        [prdc(normal(n, i), normal(n, 999 + i), k).figures()["coverage"] for i in range(80)]
    )
    assert found.mean() == pytest.approx(expected, abs=4 * float(found.std()) / 80**0.5)


def test_intervals_hold_the_figure_of_endless_pictures() -> None:
    real = normal(60, seed=5)
    endless = prdc(normal(5000, seed=6, shift=0.3), real, k=5).figures()
    held = 0
    for i in range(100):
        ends = prdc(normal(80, 100 + i, shift=0.3), real, k=5).intervals(
            torch.Generator().manual_seed(i), draws=300
        )
        held += all(
            ends[f"{name}_low"] <= endless[name] <= ends[f"{name}_high"]
            for name in ("precision", "density")
        )
    assert held > 80  # two intervals of 95 % at once, of figures that go together


def test_intervals_follow_the_generator_and_hold_their_figure() -> None:
    found = prdc(normal(80, 1, shift=0.8), normal(60, 2))
    one, again, other = (found.intervals(torch.Generator().manual_seed(i)) for i in (1, 1, 2))
    assert one == again != other
    for name, figure in found.figures().items():
        assert one[f"{name}_low"] <= figure <= one[f"{name}_high"]
        assert one[f"{name}_low"] < one[f"{name}_high"]


def test_small_sets_take_fewer_neighbours_and_tiny_ones_are_refused() -> None:
    numbers = [prdc(normal(n, 1), normal(30, 2)).neighbours for n in (2, 8, 16, 25, 29)]
    assert numbers == [1, 2, 4, 5, 5]
    with pytest.raises(GenartError, match="add pictures"):
        prdc(normal(1, 1), normal(30, 2))
    with pytest.raises(GenartError, match="neighbour number 9"):
        prdc(normal(9, 1), normal(30, 2), k=9)
    with pytest.raises(GenartError, match="same"):
        prdc(normal(9, 1), normal(9, 2, d=3))
