"""Paths at constant speed: even as measured, loops closed; what is seen of pictures."""

from collections.abc import Iterator

import pytest
import torch

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.evaluation import features
from comfy_genart_nodes.latent.speed import LOOKS, evened, steps, unevenness
from comfy_genart_nodes.training import sight
from comfy_genart_nodes.training.perceptual import Perceptual
from comfy_genart_nodes.training.sight import Sight

LENGTH = 40


def curve(places: torch.Tensor) -> torch.Tensor:
    """A closed curve of three dimensions that is gone at very different speeds."""
    turn = 2 * torch.pi * places / LENGTH
    angle = turn - 0.8 * turn.sin()
    return torch.stack([angle.cos(), angle.sin(), 0.3 * (2 * angle).sin()], dim=1)


def seen(places: torch.Tensor) -> Iterator[torch.Tensor]:
    yield from curve(places).split(7)


@pytest.mark.parametrize("around", [True, False])
@pytest.mark.parametrize("count", [LENGTH, 25, 90])
def test_every_step_is_as_large_and_the_way_is_the_same(around, count):
    now = evened(LENGTH, count, around, seen)
    assert now.before > 0.5
    assert now.after == pytest.approx(unevenness(steps(seen(now.places), around)))
    assert now.after < 0.02  # a smooth curve has no corner to cut
    assert len(now.places) == count and float(now.places[0]) == 0
    assert bool((now.places.diff() > 0).all())
    assert float(now.places[-1]) < LENGTH if around else float(now.places[-1]) == LENGTH - 1


def test_steps_are_the_same_in_pieces_and_a_loop_has_one_more():
    places = torch.arange(LENGTH, dtype=torch.float64)
    whole = (curve(places).roll(-1, 0) - curve(places)).norm(dim=1)
    for pieces in (1, 7, 40):
        assert torch.allclose(steps(curve(places).split(pieces), True), whole)
        assert torch.allclose(steps(curve(places).split(pieces), False), whole[:-1])


def test_what_is_even_is_left_and_not_looked_at_again():
    looks = []

    def straight(places: torch.Tensor) -> Iterator[torch.Tensor]:
        looks.append(places)
        yield places[:, None]

    now = evened(9, 9, False, straight)
    assert torch.allclose(now.places, torch.arange(9.0, dtype=torch.float64))
    assert now.before == now.after == 0 and len(looks) == 1 < LOOKS


def test_a_path_that_stands_still_is_left_and_one_frame_is_no_path():
    still = evened(5, 5, True, lambda places: [torch.zeros(len(places), 3)])
    assert torch.allclose(still.places, torch.arange(5.0, dtype=torch.float64)) and not still.after
    for length, count in ((1, 5), (5, 1)):
        with pytest.raises(GenartError, match="two frames"):
            evened(length, count, True, seen)
    with pytest.raises(GenartError, match="no numbers"):
        evened(5, 5, True, lambda places: [torch.full((len(places), 3), float("nan"))])


def pictures(count: int, height: int = 40, width: int = 48) -> torch.Tensor:
    slow = torch.rand(count, 3, 5, 5, generator=torch.Generator().manual_seed(3)) * 2 - 1
    return torch.nn.functional.interpolate(slow, (height, width), mode="bilinear")


def test_distances_of_what_is_seen_are_those_of_the_measure():
    a, b = pictures(6), pictures(6).roll(1, 0)
    look = Perceptual()
    apart = (look.seen(a) - look.seen(b)).square().sum(dim=1)
    torch.testing.assert_close(apart, look(a, b), rtol=1e-4, atol=1e-6)


def test_large_pictures_are_looked_at_small_and_pixels_stand_in(monkeypatch):
    for height, width in ((448, 300), (100, 900)):
        assert Sight("pixels")(pictures(2, height, width)).shape[1] <= 3 * features.SIZE**2
    assert torch.equal(Sight("pixels")(pictures(2)), pictures(2).flatten(1))
    assert Sight("features").about == "features"
    monkeypatch.setattr(sight, "installed", lambda: False)
    blind = Sight("features")
    assert torch.equal(blind(pictures(2)), pictures(2).flatten(1)) and "missing" in blind.about
