"""Measuring a run tells copies from honest pictures, and shows the nearest cases."""

import math
import re

import numpy as np
import pytest
import torch
from test_measuring import Halves, shown

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.evaluation.copying import Copying, count_near
from comfy_genart_nodes.gan.checkpoint import LoadedGAN
from comfy_genart_nodes.gan.networks.stylegan2_spec import StyleGAN2Spec
from comfy_genart_nodes.training.beginning import prepare
from comfy_genart_nodes.training.cases import CELL, GAP, HEAD, LABEL
from comfy_genart_nodes.training.config import TrainConfig
from comfy_genart_nodes.training.judging import judge, look_alikes, measured_latents
from comfy_genart_nodes.training.measuring import held_out
from comfy_genart_nodes.training.picture_sets import from_images
from comfy_genart_nodes.training.run_folder import RunFolder
from comfy_genart_nodes.training.unseen import decode_unseen

COUNT, APART, MADE = 90, 20, 60


def begun(folder, pictures, name="a", **settings):
    values = {"resolution": 32, "batch": 4, "held_out": APART, "seed": 1} | settings
    batch = pictures.transpose(0, 2, 3, 1)
    return prepare(folder, name, from_images([batch]), TrainConfig(**values), "cpu")


def flat(count, seed):
    """Pictures of 32 pixels that differ in the means of their sixteenths alone."""
    small = np.random.default_rng(seed).integers(0, 256, (count, 3, 4, 4), np.uint8)
    return np.kron(small, np.ones((8, 8), np.uint8))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return begun(tmp_path_factory.mktemp("runs"), flat(COUNT, 0))


def learned(run):
    pictures = np.load(run.path / "pictures.npy")
    apart = held_out(len(pictures), APART, seed=1)
    return np.delete(pictures, apart, axis=0), pictures[apart]


def judged(run, array, seed=100, **more):
    seeds = range(seed, seed + len(array))
    values = {"backbone": Halves()} | more
    return judge(run, shown(array), seeds, torch.device("cpu"), **values)


def test_a_run_that_kept_nothing_apart_is_measured_against_others(tmp_path):
    run = begun(tmp_path, flat(COUNT, 0), held_out=0)
    with pytest.raises(GenartError, match="wire pictures that it never saw into unseen"):
        judged(run, flat(MADE, 5))
    others = from_images([flat(APART, 7).transpose(0, 2, 3, 1)])
    unseen = decode_unseen(run, others)
    found = judged(run, flat(MADE, 5), unseen=unseen, about="run a")
    assert (found.apart, found.known) == (APART, COUNT)
    assert found.text().startswith(
        f"run a\n{MADE} made pictures, {APART} unseen ones given, {COUNT} trained on\n"
    )
    assert "kept apart" not in found.text()  # the run kept none
    assert not list(run.path.glob("features_*"))  # those of other pictures are not the run's
    kept = begun(tmp_path, flat(COUNT, 0), "b", held_out=8)
    both = judged(kept, flat(MADE, 5), unseen=unseen)
    assert both.apart == 8 + APART  # besides
    assert f"8 kept apart and {APART} unseen ones given, " in both.text()


def test_pictures_that_a_run_has_are_no_unseen_ones(run):
    seen = from_images([np.concatenate([flat(9, 7), flat(2, 0)]).transpose(0, 2, 3, 1)])
    with pytest.raises(GenartError, match=r"2 of 11 pictures .* are among those"):
        decode_unseen(run, seen)


def test_chance_is_fishers_exact_test():
    """All tables with the same margins, counted one by one."""
    made_of, apart_of, near = 7, 5, 4
    ways = {
        made: math.comb(made_of, made) * math.comb(apart_of, near - made)
        for made in range(max(0, near - apart_of), min(near, made_of) + 1)
    }
    assert sum(ways.values()) == math.comb(made_of + apart_of, near)
    for made in ways:
        expected = sum(n for k, n in ways.items() if k >= made) / sum(ways.values())
        found = Copying(made, made_of, near - made, apart_of)
        assert found.chance == pytest.approx(expected)
    assert Copying(0, 500, 0, 50).chance == Copying(0, 500, 9, 50).chance == 1.0
    assert Copying(200, 500, 0, 8).chance > 0.01  # eight pictures cannot tell
    assert Copying(200, 500, 0, 50).found and not Copying(20, 500, 2, 50).found


def test_too_near_is_nearer_than_one_in_a_hundred():
    calibrated = torch.arange(1.0, 201.0)
    made, apart = torch.tensor([0.5, 2.0, 3.5, 50.0]), torch.tensor([1.9, 900.0])
    assert count_near(made, apart, calibrated) == Copying(2, 4, 1, 2)


def test_copies_are_found_and_shown_beside_what_they_copy(run):
    trained, _ = learned(run)
    array = np.concatenate([flat(MADE - 3, 5), trained[[11, 42, 7]]])
    found = judged(run, array)
    last = [100 + MADE - 3 + i for i in range(3)]
    assert {case.seed for case in found.cases[:3]} == set(last)
    for case in found.cases[:3]:
        assert case.percentile == 0
        assert case.neighbours[0] == {0: 11, 1: 42, 2: 7}[last.index(case.seed)]
    row = np.asarray(found.sheet, float)[HEAD : HEAD + CELL]
    made, copied = (row[:, x : x + CELL] for x in (LABEL, LABEL + CELL + 4 * GAP))
    assert np.array_equal(made, copied) and made.std() > 20


def test_its_words_tell_copying_from_honest_work(run):
    trained, _ = learned(run)
    copying, honest = judged(run, trained[:MADE]), judged(run, flat(MADE, 5))
    assert copying.plain.made == MADE and copying.plain.found
    assert "copies training pictures" in copying.text()
    assert f"100.0 % ({MADE} of {MADE}) of the made pictures" in copying.text()
    assert not honest.plain.found and "no sign of copying" in honest.text()
    for part in ("halves", "20 kept apart", "70 trained on", "KID", "coverage", "95 %"):
        assert part in honest.text()
    assert honest.figures["kid"] == judged(run, flat(MADE, 5)).figures["kid"]


def test_its_words_tell_copies_from_new_pictures_and_from_such_as_are_like_none(run, tmp_path):
    trained, _ = learned(run)
    alike = (flat(1, 3) // 2 + flat(COUNT, 4) // 8).astype(np.uint8)  # one picture, slightly varied
    unlike = judged(begun(tmp_path, alike), flat(MADE, 5))
    said = r"typical made picture is nearer to a training picture than (\d+) %"
    copy, new, strange = (
        int(re.search(said, found.text())[1])
        for found in (judged(run, trained[:MADE]), judged(run, flat(MADE, 5)), unlike)
    )
    assert copy == 100 and 25 < new < 75 and strange == 0


def test_near_duplicates_lull_the_plain_check_and_the_strict_one_wakes(tmp_path):
    """Every picture twice: the twin is each one's neighbour, so that a copy looks usual.

    Twins that were kept apart are as near as copies, and tell nothing: only two have none.
    """
    once = flat(60, 0)
    lighter = np.minimum(once.astype(int) + 1, 255).astype(np.uint8)
    run = begun(tmp_path, np.concatenate([once, lighter]))
    trained, _ = learned(run)
    near = trained[:MADE] + np.random.default_rng(9).choice([-3, 3], (MADE, 3, 1, 1))
    found = judged(run, near.clip(0, 255).astype(np.uint8))
    assert found.strict is not None and found.twins > 30
    assert found.plain.made < MADE / 2 and not found.plain.found
    assert found.strict.made == MADE and found.strict.found
    assert (found.strict.apart, found.strict.apart_of) == (0, 2)
    assert f"with {found.twins} near-duplicates as one picture" in found.text()
    assert "copies training pictures" in found.text()


def test_look_alikes_have_the_first_one_s_number():
    pictures = flat(6, 0)
    twin = np.minimum(pictures[2].astype(int) + 4, 255).astype(np.uint8)
    assert look_alikes([*pictures, twin, pictures[0]]) == [0, 1, 2, 3, 4, 5, 2, 0]


def test_each_training_picture_is_shown_beside_one_made_picture(run):
    trained, _ = learned(run)
    same = np.repeat(trained[[5]], MADE, axis=0)
    found = judged(run, same)
    assert [(case.seed, case.neighbours[0]) for case in found.cases] == [(100, 5)]
    assert found.sheet.height > CELL


def test_a_run_that_is_trained_is_not_written_to(tmp_path):
    run = begun(tmp_path, flat(COUNT, 0))
    before = sorted(path.name for path in run.path.iterdir())
    with run.locked():
        first = judged(RunFolder(run.path), flat(MADE, 5))
    assert sorted(path.name for path in run.path.iterdir()) in (before, sorted([*before, "lock"]))
    assert judged(run, flat(MADE, 5)).figures == first.figures
    assert (run.path / "features_halves.safetensors").is_file()


def test_a_run_that_kept_none_apart_says_how_to(tmp_path):
    run = begun(tmp_path, flat(COUNT, 0), held_out=0)
    with pytest.raises(GenartError, match="held_out"):
        judged(run, flat(MADE, 5))


def gan_of(**settings):
    spec = StyleGAN2Spec(resolution=32, z_dim=8, w_dim=8, **settings)
    return LoadedGAN(None, spec, {}, "hash")  # type: ignore[arg-type]  # nothing is made with it


def test_latents_are_those_of_the_seeds_and_wrap_around(run):
    latents = measured_latents(run, gan_of(), 2**32 - 2, 4)
    assert latents.seeds == (2**32 - 2, 2**32 - 1, 0, 1)
    expected = np.random.RandomState(1).randn(8).astype(np.float32)
    assert latents.tensor[3].tolist() == expected.tolist() and latents.classes is None


def test_classes_come_as_often_as_in_the_run(tmp_path):
    batch = flat(48, 0).transpose(0, 2, 3, 1)
    pictures = from_images([batch[:36]], "many", from_images([batch[36:]], "few"))
    config = TrainConfig(resolution=32, batch=4, classes=True, held_out=10)
    run = prepare(tmp_path, "a", pictures, config, "cpu")
    latents = measured_latents(run, gan_of(c_dim=2), 0, 40)
    assert latents.classes.sum(0).tolist() == [10, 30]  # few, many
    places = latents.classes.argmax(1)
    assert len(set(places[:10].tolist())) == 2  # mixed, not one class first
    with pytest.raises(GenartError, match="3 classes"):
        measured_latents(run, gan_of(c_dim=3), 0, 40)


def test_gans_of_other_pictures_are_refused(run):
    for gan, said in ((gan_of(img_channels=4), "4 channels"), (gan_of(c_dim=2), "has none")):
        with pytest.raises(GenartError, match=said):
            measured_latents(run, gan, 0, 10)
    spec = StyleGAN2Spec(resolution=64)
    with pytest.raises(GenartError, match="side 64"):
        measured_latents(run, LoadedGAN(None, spec, {}, ""), 0, 10)  # type: ignore[arg-type]
