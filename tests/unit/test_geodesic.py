"""Shortest ways through what is seen."""

import itertools

import torch

from comfy_genart_nodes.latent.geodesic import energy, straighten
from comfy_genart_nodes.latent.speed import unevenness
from comfy_genart_nodes.latent.sphere import lerp, slerp


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def last(path: torch.Tensor, look, rounds: int = 300) -> torch.Tensor:
    *_, made = straighten(path, look, rounds, 0.02)
    return made


def line(a: torch.Tensor, b: torch.Tensor, count: int = 9) -> torch.Tensor:
    return torch.cat([lerp(a, b, i / (count - 1)) for i in range(count)])


def test_where_distances_are_seen_as_they_are_the_way_is_straight_and_even():
    a, b = noise(1, 8), noise(1, 8, seed=1)
    bent = line(a, b) + 0.3 * torch.sin(torch.linspace(0, 6.2, 9))[:, None] * noise(1, 8, seed=2)
    made = last(bent, lambda z: z)
    assert torch.allclose(made, line(a, b), atol=0.05)
    assert made[0].equal(bent[0]) and made[-1].equal(bent[-1])


def test_where_directions_are_all_that_is_seen_it_is_the_great_circle():
    """What is seen at equal steps along the line is uneven, and along the way found is not."""

    def look(z: torch.Tensor) -> torch.Tensor:
        return z / z.norm(dim=1, keepdim=True)

    a, b = noise(1, 6, seed=3), noise(1, 6, seed=4)
    b = b - 1.6 * (b * a).sum() / (a * a).sum() * a  # far apart
    straight = line(a, b)
    made = last(straight, look, 600)
    circle = torch.cat([slerp(a, b, i / 8) for i in range(9)])
    steps = [(look(x)[1:] - look(x)[:-1]).norm(dim=1) for x in (straight, made)]
    assert unevenness(steps[1]) < 0.1 < unevenness(steps[0])
    assert energy(made, look) < energy(straight, look)
    assert float(energy(made, look)) < 1.02 * float(energy(circle, look))


def test_a_path_never_becomes_worse():
    def look(z: torch.Tensor) -> torch.Tensor:
        return torch.sin(3 * z)

    path = line(noise(1, 5), noise(1, 5, seed=1))
    costs = [float(energy(best, look)) for best in straighten(path, look, 40, 0.5)]
    assert costs[0] <= float(energy(path, look)) + 1e-5
    assert all(after <= before for before, after in itertools.pairwise(costs))


def test_it_works_where_nodes_run():
    with torch.inference_mode():
        path = line(noise(1, 4), noise(1, 4, seed=1))
        made = last(path, lambda z: z.square(), 5)
    assert made.shape == path.shape and made.isfinite().all()
