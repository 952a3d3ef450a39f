"""What the report on a set of pictures finds, and what it must not."""

import colorsys
import dataclasses
import io
import json
import os
import sys
import tracemalloc

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.headless.cli import main
from comfy_genart_nodes.training import duplicates
from comfy_genart_nodes.training.beginning import prepare
from comfy_genart_nodes.training.config import TrainConfig
from comfy_genart_nodes.training.dataset_report import CELL, SHEET_PICTURES, report, spread
from comfy_genart_nodes.training.licences import NONE, terms_of
from comfy_genart_nodes.training.picture_sets import from_images, open_folder
from comfy_genart_nodes.training.pictures import AHEAD
from comfy_genart_nodes.training.trainer import training_info


def scene(seed, size=(96, 64)):
    """A picture with something in it, another for every seed."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ten scenes in two classes, one of them four times over, and two broken files."""
    root = tmp_path_factory.mktemp("set")
    exif = Image.Exif()
    exif[0x010F] = "camera"
    placed = Image.Exif()
    placed[0x0112] = 6  # held on its side
    placed.get_ifd(0x8825)[1] = "N"
    for name in ("a", "b"):
        (root / name).mkdir()
    for i in range(10):
        scene(i).save(root / "ab"[i > 6] / f"{i}.png")
    scene(0).save(root / "b" / "again.jpg", quality=60, exif=exif)
    scene(0).resize((48, 32)).save(root / "b" / "small.png")
    held = ImageEnhance.Brightness(scene(0)).enhance(1.04).transpose(Image.Transpose.ROTATE_90)
    held.save(root / "a" / "bright.jpg", exif=placed)
    (root / "a" / "text.png").write_text("no picture")
    (root / "b" / "half.png").write_bytes((root / "a" / "3.png").read_bytes()[:900])
    (root / "licenses.csv").write_text(
        "\ufeffpath,license,consent,source\n.,CC-BY-4.0,yes,me\nb/,CC0-1.0 OR MIT,,\n"
        'b\\8.png,LicenseRef-friend,no,"a, friend"\n',
        encoding="utf-8",
    )
    return root


@pytest.fixture(scope="module")
def found(folder):
    return report(open_folder(folder))


def test_it_counts_names_and_groups(found):
    assert found.count == 15 and found.broken == ["a/text.png", "b/half.png"]
    assert found.classes == {"a": 8, "b": 5}
    assert found.duplicates == [["a/0.png", "a/bright.jpg", "b/again.jpg", "b/small.png"]]
    assert (found.exif, found.located) == (2, 1)
    assert sorted(set(found.sizes)) == [(48, 32), (96, 64)]  # upright


def test_its_text_says_so(found):
    text = found.text()
    for part in (
        "15 pictures",
        "2 (a/text.png, b/half.png)",
        "32 to 64 pixels",
        "0 square, 13 wide, 0 tall",
        "1 group, 3 pictures more",
        "8 a, 5 b",
        "CC0-1.0 OR MIT",
        "1 no",
        "GPS positions in 1",
    ):
        assert part in text


def test_the_longest_path_of_the_manifest_speaks(folder):
    names = ["a/1.png", "b/8.png", "b/9.png"]
    terms = terms_of(open_folder(folder).manifest, names)
    assert [t.licence for t in terms] == ["CC-BY-4.0", "LicenseRef-friend", "CC0-1.0 OR MIT"]
    assert [t.consent for t in terms] == ["yes", "no", ""]
    assert {t.licence for t in terms_of("", names)} == {NONE}


def test_a_run_keeps_the_terms_of_what_it_learns_from(folder, tmp_path):
    """Of the pictures that can be read: the others teach nothing."""
    run = prepare(tmp_path, "a", open_folder(folder), TrainConfig(resolution=32, batch=2), "cpu")
    assert json.loads((run.path / "run.json").read_text())["data"]["terms"] == {
        "licences": {"CC-BY-4.0": 8, "CC0-1.0 OR MIT": 4, "LicenseRef-friend": 1},
        "consent": {"yes": 8, "no": 1, "not said": 4},
    }
    told = training_info(run, step=3)["training"]  # goes with the network, wherever it is kept
    assert (told["pictures"], told["licences"]["CC-BY-4.0"], told["consent"]["no"]) == (13, 8, 1)
    silent = from_images([np.zeros((3, 8, 8, 3), np.uint8)])
    run = prepare(tmp_path, "b", silent, TrainConfig(resolution=32, batch=2), "cpu")
    assert run.data["terms"]["licences"] == {NONE: 3}
    assert run.data["terms"]["consent"] == {"yes": 0, "no": 0, "not said": 3}


def test_no_run_begins_under_terms_that_cannot_be_understood(tmp_path):
    pictures = dataclasses.replace(
        from_images([np.zeros((3, 8, 8, 3), np.uint8)]), manifest="path,license\n.,(MIT\n"
    )
    with pytest.raises(GenartError, match="Line 2"):
        prepare(tmp_path / "runs", "a", pictures, TrainConfig(resolution=32, batch=2), "cpu")
    assert list((tmp_path / "runs").iterdir()) == []


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ("file,license\n", "no column 'path'"),
        ("path,licence\n", "no column 'license'"),
        ("path,license\na.png,CC BY 4.0\n", "Line 2.*'CC BY 4.0'"),
        ("path,license\n.,MIT\na.png,(MIT OR CC0-1.0\n", "Line 3"),
        ("path,license,consent\n.,MIT,maybe\n", "'maybe'"),
        (f"path,license\n.,MIT\na.png,{'x' * 200_000}\n", "Line 3.*cannot be read"),
    ],
)
def test_manifests_that_cannot_be_understood_are_refused(manifest, said):
    with pytest.raises(GenartError, match=said):
        terms_of(manifest, ["a.png"])


def test_flat_pictures_of_other_colours_are_no_duplicates():
    flat = [np.full((32, 32, 3), value, np.uint8) for value in (0, 3, 90, 200)]
    prints = [duplicates.fingerprint(each.transpose(2, 0, 1)) for each in flat]
    assert duplicates.groups(prints) == [[0, 1]]


def icon(seed, hue, saturation=0.8, value=0.8):
    """A flat mark somewhere on white, of a hue from 0 to 1: a disc, a square or a frame."""
    corner = np.random.default_rng(seed).integers(20, 40, 2)
    left, top = map(int, corner)
    side = 16 + 6 * (seed % 6)
    colour = tuple(round(255 * part) for part in colorsys.hsv_to_rgb(hue % 1, saturation, value))
    picture = Image.new("RGB", (96, 96), "white")
    pen = ImageDraw.Draw(picture)
    draw = pen.ellipse if seed % 3 == 0 else pen.rectangle
    draw((left, top, left + side, top + side), fill=colour)
    if seed % 3 == 2:
        third = side // 3
        pen.rectangle((left + third, top + third, left + 2 * third, top + 2 * third), fill="white")
    return picture


def seen(picture):
    return duplicates.fingerprint(np.asarray(picture.resize((32, 32))).transpose(2, 0, 1))


@pytest.mark.parametrize("seed", range(12))
def test_an_icon_in_another_colour_is_no_duplicate(seed):
    """Small before white, it hardly changes the mean colour of the whole."""
    tones = [icon(seed, i / 12) for i in range(12)]
    tones += [icon(seed, 0, saturation=0, value=value) for value in (0.0, 0.25, 0.5, 0.75)]
    assert duplicates.groups([seen(each) for each in tones]) == []


@pytest.mark.parametrize("seed", range(12))
def test_the_same_icon_kept_otherwise_is_a_duplicate(seed):
    once = icon(seed, seed / 12)
    packed = io.BytesIO()
    once.save(packed, "JPEG", quality=60)
    others = [
        Image.open(packed),
        once.resize((64, 64), Image.Resampling.BICUBIC),
        ImageEnhance.Brightness(once).enhance(0.9),
        ImageEnhance.Color(once).enhance(1.15),
    ]
    assert duplicates.groups([seen(each) for each in (once, *others)]) == [[0, 1, 2, 3, 4]]


def test_different_pictures_are_rarely_taken_for_one():
    prints = [
        duplicates.fingerprint(np.asarray(scene(i, (32, 32))).transpose(2, 0, 1))
        for i in range(400)
    ]
    assert duplicates.groups(prints) == []


def test_groups_are_what_chains_of_small_changes_reach():
    """Compared with a plain search through all pairs."""
    random = np.random.default_rng(0)
    bits = [int(b) for b in random.integers(0, 2**63, 12)]
    for _ in range(60):
        start = bits[random.integers(len(bits))]
        flips = random.choice(64, 5, replace=False)
        bits.append(start ^ sum(1 << int(flip) for flip in flips))
    near = [[(a ^ b).bit_count() <= duplicates.BITS for b in bits] for a in bits]
    reach = np.linalg.matrix_power(np.array(near, dtype=float), len(bits)) > 0
    expected = {tuple(np.flatnonzero(row).tolist()) for row in reach if row.sum() > 1}
    plain = np.zeros((3, duplicates.PARTS, duplicates.PARTS), np.uint8)
    made = duplicates.groups([duplicates.Print(b, plain) for b in bits])
    assert {tuple(group) for group in made} == expected and len(expected) > 2


def test_the_sheet_shows_pictures_from_the_whole_set():
    colours = np.arange(200, dtype=np.uint8)
    flat = colours[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    sheet = report(from_images([flat])).sheet
    assert sheet.shape == (8 * CELL, 8 * CELL, 3)
    middles = sheet[CELL // 2 :: CELL, CELL // 2 :: CELL, 0].ravel().astype(int)
    assert (np.diff(middles) >= 3).all() and middles[0] < 4 and middles[-1] > 195
    assert len(spread([str(i) for i in range(65)], SHEET_PICTURES)) == SHEET_PICTURES


def test_classes_without_pictures_and_pictures_without_a_class_are_counted(tmp_path):
    for i, name in enumerate(("full/1.png", "full/2.png", "out.png")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        scene(i).save(tmp_path / name)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "1.png").write_text("no picture")
    (tmp_path / "empty").mkdir()
    found = report(open_folder(tmp_path))
    assert found.classes == {"broken": 0, "empty": 0, "full": 2, "": 1}
    assert "classes: 0 broken, 0 empty, 2 full, 1 in none" in found.text()


def test_a_set_that_cannot_be_read_at_all_is_still_told(tmp_path):
    for name in ("1.png", "2.jpg"):
        (tmp_path / name).write_text("no picture")
    found = report(open_folder(tmp_path))
    assert "cannot be read: 2 (1.png, 2.jpg)" in found.text()
    assert found.sheet.shape == (CELL, CELL, 3)


def test_memory_does_not_grow_with_the_number_of_pictures(tmp_path):
    """Beyond the sheet nothing but sizes and fingerprints stays of a picture."""
    for i in range(200):
        scene(i, (64, 64)).save(tmp_path / f"{i}.png")
    whole = open_folder(tmp_path)

    def peak(count):
        tracemalloc.start()
        try:
            report(dataclasses.replace(whole, names=whole.names[:count]))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    one = 3 * CELL * CELL
    peak(20)  # what is loaded once
    assert peak(200) - peak(80) < AHEAD * one


@pytest.mark.skipif(sys.platform != "linux", reason="names that are no text")
def test_a_name_that_is_no_text_is_printed_as_it_is(tmp_path, monkeypatch):
    for name in ("a.png", "b.png"):
        scene(1).save(tmp_path / name)
    name = os.fsdecode(b"caf\xe9.png")
    (tmp_path / name).write_text("no picture")
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="utf-8"))
    assert main(["data", "report", str(tmp_path)]) == 0
    assert b"cannot be read: 1 (caf\xe9.png)" in written.getvalue()


def test_the_command_prints_it_and_writes_the_sheet(folder, found, tmp_path, capsys):
    sheet = tmp_path / "new" / "sheet.png"
    assert main(["data", "report", str(folder), "--sheet", str(sheet)]) == 0
    assert capsys.readouterr().out == found.text() + "\n"
    with Image.open(sheet) as picture:
        assert np.array_equal(np.asarray(picture), found.sheet)
    for inside in ("a/3.png", "new.png"):  # one of the pictures, and one to be
        before = sorted(folder.rglob("*")), (folder / "a" / "3.png").read_bytes()
        assert main(["data", "report", str(folder), "--sheet", str(folder / inside)]) == 1
        assert "would be one of the pictures" in capsys.readouterr().err
        assert before == (sorted(folder.rglob("*")), (folder / "a" / "3.png").read_bytes())
    assert main(["data", "report", str(tmp_path / "nowhere")]) == 1
    assert "There is no folder" in capsys.readouterr().err
