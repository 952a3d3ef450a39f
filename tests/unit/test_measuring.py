"""A run is measured in the same way each time, against pictures that it never learned from."""

import numpy as np
import pytest
import torch

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.training.measuring import FILE, Measuring, held_out

COUNT, APART = 60, 12


class Halves:
    """Sees a picture as the means of its sixteenths: a plain function of its pixels."""

    def __init__(self, name="halves"):
        self.name, self.seen = name, 0

    def __call__(self, pictures):
        self.seen += len(pictures)
        return torch.nn.functional.adaptive_avg_pool2d(pictures, 4).flatten(1)


def noise(count, seed):
    return np.random.default_rng(seed).integers(0, 256, (count, 3, 8, 8), np.uint8)


@pytest.fixture
def pictures():
    return noise(COUNT, 0)


def shown(array):
    """A generator that makes these pictures."""
    return lambda numbers: torch.from_numpy(array[numbers.start : numbers.stop]) / 127.5 - 1


def measuring(folder, pictures, make, backbone=None, **more):
    values = {"seed": 5, "backbone": backbone or Halves(), "made": 40} | more
    apart = held_out(len(pictures), APART, values["seed"])
    return Measuring(folder, pictures, apart, torch.device("cpu"), make, **values)


def test_fewer_pictures_kept_apart_are_among_more():
    sets = [set(held_out(100, wanted, seed=3)) for wanted in (8, 20, 50)]
    assert sets[0] < sets[1] < sets[2]
    assert [len(each) for each in sets] == [8, 20, 50]


def test_which_are_kept_apart_is_a_function_of_the_arguments():
    torch.manual_seed(0)
    first = held_out(100, 20, seed=3)
    torch.rand(9)
    assert held_out(100, 20, seed=3) == first == sorted(set(first))
    assert set(first) <= set(range(100))
    assert held_out(100, 20, seed=4) != first
    assert held_out(100, 0, seed=3) == held_out(3, 0, seed=3) == []


def test_they_are_spread_over_all():
    often = np.zeros(40)
    for seed in range(300):
        often[held_out(40, 10, seed)] += 1
    assert often.min() > 40 and often.max() < 115  # 75 in the mean


@pytest.mark.parametrize(
    ("count", "wanted", "said"),
    [(15, 8, "there are 15"), (100, 7, "choose 8 to 50"), (100, 51, "choose 8 to 50")],
)
def test_too_few_and_too_many_are_refused(count, wanted, said):
    with pytest.raises(GenartError, match=said):
        held_out(count, wanted, seed=0)


def test_the_same_generator_gives_the_same_figures(tmp_path, pictures):
    measure = measuring(tmp_path, pictures, shown(noise(40, 1)))
    torch.manual_seed(0)
    first = measure()
    torch.rand(9)
    assert measure() == first == measuring(tmp_path, pictures, shown(noise(40, 1)))()
    assert first["backbone"] == "halves"
    assert measuring(tmp_path, pictures, shown(noise(40, 2)))() != first


def test_features_are_read_the_second_time(tmp_path, pictures):
    first, second = Halves(), Halves()
    figures = measuring(tmp_path, pictures, shown(noise(40, 1)), first)()
    assert first.seen == COUNT + 40
    again = measuring(tmp_path, pictures, shown(noise(40, 1)), second)
    assert again() == figures and second.seen == 40
    again()
    assert second.seen == 80  # and are kept in mind


@pytest.mark.parametrize("harm", ["cut", "within", "empty", "foreign"])
def test_a_damaged_file_is_made_again(tmp_path, pictures, harm):
    make = shown(noise(40, 1))
    figures = measuring(tmp_path, pictures, make)()
    path = tmp_path / FILE.format("halves")
    whole = path.read_bytes()
    within = whole[:-100] + bytes(50) + whole[-50:]
    damaged = {"cut": whole[:-100], "within": within, "empty": b"", "foreign": b"no features" * 99}
    path.write_bytes(damaged[harm])
    backbone = Halves()
    assert measuring(tmp_path, pictures, make, backbone)() == figures
    assert backbone.seen == COUNT + 40 and path.read_bytes() == whole


def test_where_memory_runs_out_fewer_pictures_are_seen_at_a_time(tmp_path, pictures):
    class Cramped(Halves):
        def __call__(self, pictures):
            if len(pictures) > 4:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().__call__(pictures)

    make = shown(noise(40, 1))
    figures = measuring(tmp_path / "a", pictures, make)()
    assert measuring(tmp_path / "b", pictures, make, Cramped())() == figures


def test_features_of_other_pictures_are_not_taken(tmp_path, pictures):
    make = shown(noise(40, 1))
    measuring(tmp_path, pictures, make)()
    for others, more in ((noise(COUNT + 1, 3), {}), (pictures, {"seed": 6})):
        backbone = Halves()
        measuring(tmp_path, others, make, backbone, **more)()
        assert backbone.seen == len(others) + 40


def test_each_kind_of_features_has_its_file(tmp_path, pictures):
    make, backbones = shown(noise(40, 1)), [Halves(), Halves("others")]
    for backbone in backbones:
        measuring(tmp_path, pictures, make, backbone)()
    again = [Halves(), Halves("others")]
    for backbone in again:
        assert measuring(tmp_path, pictures, make, backbone)()["backbone"] == backbone.name
    assert [backbone.seen for backbone in again] == [40, 40]
    assert len(list(tmp_path.iterdir())) == 2


def test_nothing_is_written_where_nothing_shall_be_kept(tmp_path, pictures):
    measure = measuring(tmp_path, pictures, shown(noise(40, 1)), keep=False)
    kept = measuring(tmp_path / "kept", pictures, shown(noise(40, 1)))
    (tmp_path / "kept").mkdir()
    assert measure() == kept()
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_copies_of_training_pictures_are_flagged_and_honest_pictures_are_not(tmp_path, pictures):
    apart = held_out(COUNT, APART, seed=5)
    trained = np.delete(pictures, apart, axis=0)[:40]
    copied = measuring(tmp_path, pictures, shown(trained))()
    assert copied["copying"] == 1.0 and copied["nearest"] == 0.0
    assert copied["copying_held_out"] < 0.2
    honest = measuring(tmp_path, pictures, shown(noise(40, 1)))()
    assert honest["copying"] < 0.2 and 15 < honest["nearest"] < 85
    assert copied["copying_held_out"] == honest["copying_held_out"]
    kept = measuring(tmp_path, pictures, shown(pictures[apart]), made=APART)()
    assert kept["copying"] == kept["copying_held_out"]
    assert kept["precision"] == kept["recall"] == kept["coverage"] == 1.0


def test_the_worse_generator_has_the_higher_kid(tmp_path, pictures):
    dark = (noise(40, 1) // 3).astype(np.uint8)
    honest, worse = (
        measuring(tmp_path, pictures, shown(array))() for array in (noise(40, 1), dark)
    )
    assert honest["kid_low"] <= 0 <= honest["kid_high"] < worse["kid_low"]
    assert worse["precision"] < honest["precision"]


def test_it_can_be_stopped_and_says_how_far_it_is(tmp_path, pictures):
    told = []

    def tell(done, total):
        told.append((done, total))
        if total == 40:
            raise InterruptedError

    measure = measuring(tmp_path, pictures, shown(noise(40, 1)), progress=tell)
    with pytest.raises(InterruptedError):
        measure()
    assert all(done <= total for done, total in told) and told[-1][1] == 40


def test_too_few_of_a_kind_are_refused(tmp_path, pictures):
    with pytest.raises(GenartError, match="and has 12, 48 and 7"):
        measuring(tmp_path, pictures, shown(noise(7, 1)), made=7)
    with pytest.raises(GenartError, match="and has 0, 60 and 40"):
        Measuring(tmp_path, pictures, [], torch.device("cpu"), shown(pictures), made=40)


def test_features_that_are_no_numbers_are_refused(tmp_path, pictures):
    def broken(numbers):
        return torch.full((len(numbers), 3, 8, 8), torch.nan)

    with pytest.raises(GenartError, match="not numbers"):
        measuring(tmp_path, pictures, broken)()
