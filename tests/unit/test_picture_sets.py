"""Sets of pictures: folders, zips and images of a graph; how they become square; their classes."""

import json
import tracemalloc
import zipfile

import numpy as np
import pytest
from PIL import Image
from zips import locked, png, zipped

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.training.beginning import prepare
from comfy_genart_nodes.training.config import TrainConfig
from comfy_genart_nodes.training.dataset_report import report
from comfy_genart_nodes.training.fitting import LEAST_AREA, squared
from comfy_genart_nodes.training.picture_sets import (
    class_labels,
    from_images,
    open_folder,
    open_pictures,
)
from comfy_genart_nodes.training.pictures import AHEAD, write_array
from comfy_genart_nodes.training.run_config import FITS

BLUE = (10, 20, 250)


def make(folder, names):
    for i, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(10 * i))
    return folder


def array_of(pictures, tmp_path, **how):
    kept, _ = write_array(pictures, 32, tmp_path / "array.npy", **how)
    return kept, np.load(tmp_path / "array.npy")


NAMES = ("a/2.png", "a/10.png", "b/1.png", "b/deep/1.png")


def test_a_zip_is_the_folder_that_was_packed(tmp_path):
    folder = open_folder(make(tmp_path / "in", NAMES))
    files = {name: (tmp_path / "in" / name).read_bytes() for name in reversed(NAMES)}
    files |= {"licenses.csv": b"path,license\n", "__MACOSX/a/._2.png": b"", "a/.x.png": b""}
    whole = open_pictures(zipped(tmp_path / "plain.zip", files))
    wrapped = {f"all/{name}": data for name, data in files.items() if name[0] != "_"}
    inside = open_pictures(zipped(tmp_path / "wrapped.zip", wrapped | {"__MACOSX/._all": b""}))
    before = sorted(tmp_path.rglob("*"))
    expected = array_of(folder, tmp_path)
    for packed in (whole, inside):
        assert (
            (packed.names, packed.folders)
            == (NAMES, ("a", "b"))
            == (
                folder.names,
                folder.folders,
            )
        )
        assert packed.manifest == "path,license\n"
        kept, array = array_of(packed, tmp_path)
        assert kept == expected[0] and np.array_equal(array, expected[1])
    assert sorted(tmp_path.rglob("*")) == sorted([*before, tmp_path / "array.npy"])


@pytest.mark.parametrize("name", ["../1.png", "a/../../1.png", "/1.png", "C:/1.png", "..\\1.png"])
def test_a_zip_that_names_files_outside_itself_is_refused(tmp_path, name):
    path = zipped(tmp_path / "bad.zip", {"1.png": png(), "2.png": png(), name: png()})
    with pytest.raises(GenartError, match="outside itself"):
        open_pictures(path)


def test_files_that_are_no_zip_and_locked_ones_are_refused(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK\3\4 no zip")
    with pytest.raises(GenartError, match="no zip file that can be read"):
        open_pictures(tmp_path / "a.zip")
    with pytest.raises(GenartError, match="password"):
        open_pictures(locked(tmp_path / "b.zip"))
    with pytest.raises(GenartError, match="password"):
        open_pictures(locked(tmp_path / "m.zip", "licenses.csv"))
    entries = {"licenses.csv": b"path,license\n" * 500, "1.png": png()}
    whole = zipped(tmp_path / "d.zip", entries, zipfile.ZIP_DEFLATED)
    data = bytearray(whole.read_bytes())
    data[45:60] = b"\xff" * 15  # inside the first entry's compressed data
    whole.write_bytes(data)
    with pytest.raises(GenartError, match="no zip file that can be read"):
        open_pictures(whole)
    with pytest.raises(GenartError, match="only one picture"):
        open_pictures(zipped(tmp_path / "c.zip", {"1.png": png()}))


def test_pictures_too_large_or_broken_inside_a_zip_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr("comfy_genart_nodes.training.picture_sets.ENTRY_BYTES", 5000)
    entries = {"1.png": png(), "2.png": png(), "3.png": png() + bytes(5000), "4.png": png()[:40]}
    kept, broken = write_array(
        open_pictures(zipped(tmp_path / "a.zip", entries)), 32, tmp_path / "array.npy"
    )
    assert (kept, broken) == (["1.png", "2.png"], ["3.png", "4.png"])


def test_pictures_of_other_kinds_are_counted_and_passed_over(tmp_path):
    make(tmp_path / "in", ("1.png", "2.jfif", "a/3.png"))
    for name in ("4.heic", "a/5.AVIF", "notes.txt"):
        (tmp_path / "in" / name).write_bytes(b"?")
    pictures = open_pictures(tmp_path / "in")
    assert pictures.names == ("1.png", "2.jfif", "a/3.png") and pictures.foreign == 2
    packed = zipped(tmp_path / "z.zip", {"1.png": png(), "2.png": png(), "3.HEIC": b"?"})
    assert open_pictures(packed).foreign == 1
    assert "passed over: 2 of other kinds" in report(pictures).text()


def test_labels_follow_the_sub_folders_in_natural_order(tmp_path):
    folder = open_folder(make(tmp_path, ("10/1.png", "2/1.png", "2/x/1.png", "9/1.png")))
    assert class_labels(folder, folder.names) == (["2", "9", "10"], [0, 0, 1, 2])


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("1.png", "2.png"), "no class"),
        (("a/1.png", "a/2.png"), "only one class"),
        (("a/1.png", "b/notes.txt", "c/1.png"), "'b'"),
        (("a/1.png", "b/1.png", "1.png"), "belong to no class"),
    ],
)
def test_folders_that_are_no_classes_are_refused_when_classes_are_asked(tmp_path, names, said):
    pictures = open_folder(make(tmp_path / "in", names))
    config = TrainConfig(resolution=32, batch=2, classes=True)
    with pytest.raises(GenartError, match=said):
        prepare(tmp_path / "runs", "a", pictures, config, "cpu")
    assert not (tmp_path / "runs").exists()


def test_a_run_keeps_its_labels_and_no_word_of_the_camera(tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "SECRETCAMERA"
    exif.get_ifd(0x8825)[1] = "NSECRETPLACE"
    make(tmp_path / "in", ("a/1.png", "b/1.png"))
    (tmp_path / "in" / "a" / "broken.png").write_bytes(b"")
    for name in ("a/2.jpg", "b/2.jpg"):
        Image.new("RGB", (40, 30)).save(tmp_path / "in" / name, exif=exif)
    config = TrainConfig(resolution=32, batch=2, classes=True)
    run = prepare(tmp_path / "runs", "a", open_folder(tmp_path / "in"), config, "cpu")
    data = json.loads((run.path / "run.json").read_text())["data"]
    assert data["pictures"] == ["a/1.png", "a/2.jpg", "b/1.png", "b/2.jpg"]
    assert (data["classes"], data["labels"]) == (["a", "b"], [0, 0, 1, 1])
    assert b"SECRET" in (tmp_path / "in" / "a" / "2.jpg").read_bytes()
    files = [path for path in run.path.rglob("*") if path.is_file()]
    assert files and not any(b"SECRET" in path.read_bytes() for path in files)


def test_images_of_a_graph_are_pictures_to_the_bit(tmp_path):
    random = np.random.default_rng(0)
    large, small = (random.integers(0, 256, (2, side, side, 3), np.uint8) for side in (32, 16))
    both = from_images([large, small])
    assert both.names == ("image 1", "image 2", "image 3", "image 4")
    kept, array = array_of(both, tmp_path, fit="letterbox", background="black")
    assert kept == list(both.names)
    assert np.array_equal(array[:2], large.transpose(0, 3, 1, 2))
    assert np.array_equal(array[2:, :, 8:24, 8:24], small.transpose(0, 3, 1, 2))
    assert from_images([large.copy(), small]).fingerprint == both.fingerprint
    changed = large.copy()
    changed[1, 5, 5, 0] ^= 1
    assert from_images([changed, small]).fingerprint != both.fingerprint


def test_images_join_a_folder_and_each_other(tmp_path):
    folder = open_folder(make(tmp_path / "in", ("a/1.png", "a/2.png")))
    ones = np.full((1, 20, 20, 3), 255, np.uint8)
    joined = from_images([ones * 0], "b", from_images([ones], "b", folder))
    assert joined.names == ("a/1.png", "a/2.png", "b/image 3", "b/image 4")
    assert class_labels(joined, joined.names) == (["a", "b"], [0, 0, 1, 1])
    _, array = array_of(joined, tmp_path)
    assert array[:, 0, 9, 9].tolist() == [0, 10, 255, 0]
    with pytest.raises(GenartError, match="only one picture"):
        write_array(from_images([ones]), 32, tmp_path / "array.npy")


def striped(width, height):
    """A picture whose red tells the column and whose green tells the row."""
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([across, down, 0 * down], axis=2).astype(np.uint8)


def shown(made):
    """How far a picture made of `striped` reaches across and down, in its pixels."""
    return [float(made[axis].max()) - float(made[axis].min()) for axis in (0, 1)]


def test_pad_shows_all_and_letterbox_enlarges_nothing():
    wide = Image.fromarray(striped(200, 100))
    for fit in ("pad", "letterbox"):
        made = squared(wide.copy(), 64, fit, BLUE)
        assert (made[:, :16].reshape(3, -1).T == BLUE).all()  # a quarter above
        assert (made[:, 48:].reshape(3, -1).T == BLUE).all()  # and a quarter below
        inner = made[:, 16:48]
        assert shown(inner)[0] > 190 and shown(inner)[1] > 92
    tiny = striped(10, 20)
    kept = squared(Image.fromarray(tiny), 64, "letterbox", BLUE)
    assert np.array_equal(kept[:, 22:42, 27:37], tiny.transpose(2, 0, 1))
    enlarged = squared(Image.fromarray(tiny), 64, "pad", BLUE)
    assert (enlarged[2, :, 16:48] < 10).all() and (enlarged[2, :, :16] == 250).all()


def test_random_shows_most_of_the_largest_square_and_the_same_for_good():
    source = Image.fromarray(striped(200, 100))
    areas, corners = [], set()
    for i in range(40):
        made = squared(source.copy(), 50, "random", key=f"7 {i}")
        assert np.array_equal(made, squared(source.copy(), 50, "random", key=f"7 {i}"))
        across, down = (span * 50 / 49 / 100 for span in shown(made))
        assert abs(across - down) < 0.06
        areas.append(across * down)
        corners.add((int(made[0, 0, 0]), int(made[1, 0, 0])))
    assert LEAST_AREA - 0.08 < min(areas) < 0.88 and 0.92 < max(areas) < 1.08
    assert len(corners) > 30
    assert max(left for left, _ in corners) > 80  # the right end is seen too


def test_the_seed_and_the_name_choose_the_part(tmp_path):
    batch = np.stack([striped(200, 100)] * 2)
    arrays = [array_of(from_images([batch]), tmp_path, fit="random", seed=s)[1] for s in (1, 1, 2)]
    assert np.array_equal(arrays[0], arrays[1])
    assert not np.array_equal(arrays[0], arrays[2])
    assert not np.array_equal(arrays[0][0], arrays[0][1])


@pytest.mark.parametrize("fit", FITS)
def test_every_fit_puts_the_background_behind_what_is_transparent(fit):
    clear = Image.new("RGBA", (40, 30), (200, 0, 0, 0))
    assert (squared(clear, 32, fit, BLUE).reshape(3, -1).T == BLUE).all()


def test_backgrounds_are_colours(tmp_path):
    clear = from_images([np.zeros((2, 8, 8, 4), np.uint8)])
    for name, value in (("white", 255), ("grey", 128), ("#0a0a0a", 10)):
        assert (array_of(clear, tmp_path, background=name)[1] == value).all()
    with pytest.raises(GenartError, match="'wood'"):
        write_array(clear, 32, tmp_path / "array.npy", background="wood")


def test_memory_does_not_grow_with_the_number_of_pictures(tmp_path):
    """What is decoded is written and forgotten: 300 pictures take what 100 take.

    But for those that threads have decoded ahead, of which there are more or fewer.
    """
    data = png(size=(64, 64))

    def peak(count):
        path = zipped(tmp_path / f"{count}.zip", {f"{i}.png": data for i in range(count)})
        pictures = open_pictures(path)
        tracemalloc.start()
        try:
            write_array(pictures, 128, tmp_path / "array.npy")
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    one = 3 * 128 * 128
    peak(40)  # what is loaded once
    assert peak(300) - peak(100) < AHEAD * one
