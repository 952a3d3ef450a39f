"""Picture Folder, Pictures and Images from each other, Dataset Report in a real ComfyUI."""

import os
import sys
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from prompts import Graph, NodeError, fetch
from small_gans import refusal
from training_runs import new_name, place, train
from zips import locked, png, zipped

CELL = 96  # of the contact sheet
SHOWN = (128, 128, 128)  # beside its pictures, and behind what is transparent
RED, GREEN, BLUE = 0xC80000, 0x00C800, 0x0000C8


def flat(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (40, 40)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def scene(seed: int, size: tuple[int, int] = (64, 48)) -> Image.Image:
    """A picture with something in it, another for every seed."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture
def folder(server: Any) -> Path:
    """A new folder in the server's input."""
    path = server.base / "input" / f"set {uuid.uuid4().hex[:8]}"
    path.mkdir()
    return path


def listed(server: Any, folder: str) -> str:
    """What Picture Folder says of a folder."""
    graph = Graph()
    node = graph.node("GenartOpenPictureFolder", folder=folder)
    graph.node("PreviewAny", source=node)
    return graph.run(server)[node[0]]["text"][0]


def reported(server: Any, graph: Graph, dataset: list[Any]) -> tuple[str, np.ndarray]:
    """The text of Dataset Report, and its contact sheet as float [h, w, 3]."""
    node = graph.node("GenartReportDataset", dataset=dataset)
    saved = graph.node("SaveImage", images=node, filename_prefix="contact")
    shown = graph.node("PreviewAny", source=[node[0], 1])
    outputs = graph.run(server)
    text = outputs[node[0]]["text"][0]
    assert outputs[shown[0]]["text"] == [text]
    return text, fetch(server, outputs[saved[0]]["images"])[0].astype(float)


def cells(sheet: np.ndarray, count: int) -> list[tuple[int, int, int]]:
    """The colours in the middle of a contact sheet's first pictures."""
    columns = sheet.shape[1] // CELL
    places = [(CELL * (i // columns) + 48, CELL * (i % columns) + 48) for i in range(count)]
    return [tuple(int(value) for value in sheet[place]) for place in places]


def images(graph: Graph, colour: int, count: int = 1, side: int = 32) -> list[Any]:
    return graph.node("EmptyImage", width=side, height=side, batch_size=count, color=colour)


def from_images(graph: Graph, images: list[Any], class_name: str = "", **more: Any) -> list[Any]:
    return graph.node("GenartPicturesFromImages", images=images, class_name=class_name, **more)


def rgb(colour: int) -> tuple[int, int, int]:
    return colour >> 16, colour >> 8 & 255, colour & 255


def test_a_folder_is_read_in_natural_order_without_what_is_hidden(server, folder):
    colours = {"10.png": (200, 0, 0), "9.png": (0, 200, 0), "1.png": (0, 0, 200)}
    for name, colour in colours.items():
        flat(folder / name, colour)
    for hidden in (".thumbnails/1.png", ".2.png", "__MACOSX/3.png"):
        flat(folder / hidden, (9, 9, 9))
    (folder / "notes.txt").write_text("no picture")
    assert listed(server, folder.name).startswith("3 pictures")
    assert listed(server, f' "{folder}" ').startswith("3 pictures")  # as Windows copies paths
    graph = Graph()
    text, sheet = reported(server, graph, graph.node("GenartOpenPictureFolder", folder=folder.name))
    assert "3 pictures" in text and "classes: none" in text
    assert cells(sheet, 3) == [(0, 0, 200), (0, 200, 0), (200, 0, 0)]


def test_a_zip_is_the_folder_in_it(server, folder):
    for i, name in enumerate(("b/2.png", "b/10.png", "a/1.png")):
        flat(folder / name, (60 * i, 100, 0))
    files = {f"all/{p.relative_to(folder)}": p.read_bytes() for p in folder.rglob("*.png")}
    path = zipped(folder.with_suffix(".zip"), files | {"__MACOSX/all/._1.png": b""})
    assert listed(server, path.name) == f"3 pictures in {path}, 2 sub-folders"
    found = []
    for name in (folder.name, path.name):
        graph = Graph()
        dataset = graph.node("GenartOpenPictureFolder", folder=name)
        text, sheet = reported(server, graph, dataset)
        found.append((text.split("\n")[1:], sheet.tobytes()))
    assert found[0] == found[1]
    assert "classes: 1 a, 2 b" in found[0][0]


def test_a_change_of_the_licences_alone_is_seen(server, folder):
    for i in range(2):
        flat(folder / f"{i}.png", (90 * i, 0, 0))

    def licences() -> str:
        graph = Graph()
        dataset = graph.node("GenartOpenPictureFolder", folder=folder.name)
        text, _ = reported(server, graph, dataset)
        return next(line for line in text.split("\n") if line.startswith("licences"))

    assert licences() == "licences: 2 no licence given"
    (folder / "licenses.csv").write_text("path,license\n.,CC0-1.0\n")
    assert licences() == "licences: 2 CC0-1.0"


def test_the_report_finds_what_to_mend(server, folder):
    placed = Image.Exif()
    placed.get_ifd(0x8825)[1] = "N"
    for name in ("a", "b"):
        (folder / name).mkdir()
    for i in range(6):
        scene(i).save(folder / "ab"[i > 3] / f"{i}.png")
    scene(0).save(folder / "b" / "again.jpg", quality=70, exif=placed)
    half = os.fsdecode(b"h\xe9lf.png") if sys.platform == "linux" else "half.png"  # not in UTF-8
    (folder / "b" / half).write_bytes((folder / "a" / "1.png").read_bytes()[:400])
    (folder / "licenses.csv").write_text("path,license,consent\n.,CC-BY-4.0,yes\nb/,MIT,no\n")
    graph = Graph()
    dataset = graph.node("GenartOpenPictureFolder", folder=folder.name)
    text, sheet = reported(server, graph, dataset)
    lines = text.split("\n")
    assert lines[0] == f"8 pictures in {folder}"
    assert f"cannot be read: 1 (b/{half})" in lines
    assert "near-duplicates: 1 group, 1 pictures more than needed" in lines
    assert "  2 (a/0.png, b/again.jpg)" in lines
    assert "classes: 4 a, 3 b" in lines
    assert "licences: 4 CC-BY-4.0, 4 MIT" in lines and "consent: 4 yes, 4 no, 0 not said" in lines
    assert "GPS positions in 1" in lines[-1]
    assert sheet.shape == (3 * CELL, 3 * CELL, 3)
    shown = sheet[12 : CELL - 12, :CELL].mean(axis=(0, 1))  # the first is wide: grey above, below
    expected = np.asarray(scene(0), float).mean(axis=(0, 1))
    assert np.abs(shown - expected).max() < 3
    assert tuple(sheet[2, 2]) == SHOWN


def test_a_batch_becomes_pictures_in_its_order(server):
    graph = Graph()
    both = graph.node("ImageBatch", image1=images(graph, RED), image2=images(graph, GREEN))
    text, sheet = reported(server, graph, from_images(graph, both))
    assert text.startswith("2 pictures in The batch of images\n")
    assert cells(sheet, 2) == [rgb(RED), rgb(GREEN)]


def test_a_list_of_batches_of_many_sizes_is_one_set(server, folder):
    """ComfyUI's own node gives a list, a batch of another size for each file."""
    sizes = {(200, 0, 0): (20, 20), (0, 200, 0): (50, 30), (0, 0, 200): (30, 80)}
    for i, (colour, size) in enumerate(sizes.items()):
        flat(folder / f"{i}.png", colour, size)
    graph = Graph()
    each = graph.node("LoadImageDataSetFromFolder", folder=folder.name)
    text, sheet = reported(server, graph, from_images(graph, each))
    assert text.startswith("3 pictures") and "shape: 1 square, 1 wide, 1 tall" in text
    assert sorted(cells(sheet, 3)) == sorted(sizes)


def test_alpha_is_kept(server):
    graph = Graph()
    clear = graph.node("SolidMask", value=1.0, width=32, height=32)
    opaque = graph.node("SolidMask", value=0.0, width=32, height=32)
    parts = [
        graph.node("JoinImageWithAlpha", image=images(graph, BLUE), alpha=mask)
        for mask in (opaque, clear)
    ]
    first = from_images(graph, parts[0])
    _, sheet = reported(server, graph, from_images(graph, parts[1], pictures=first))
    assert cells(sheet, 2) == [rgb(BLUE), SHOWN]


def test_images_join_a_folder_as_classes(server, folder):
    for i in range(2):
        flat(folder / "photos" / f"{i}.png", (0, 90 + i, 0))
    graph = Graph()
    dataset = graph.node("GenartOpenPictureFolder", folder=folder.name)
    some = from_images(graph, images(graph, RED, 3), " paintings ", pictures=dataset)
    all_ = from_images(graph, images(graph, BLUE, 2, 50), "drawings", pictures=some)
    text, sheet = reported(server, graph, all_)
    assert text.startswith(f"7 pictures in {folder} with 3 images with 2 images\n")
    assert "classes: 2 drawings, 3 paintings, 2 photos" in text
    assert cells(sheet, 7) == [(0, 90, 0), (0, 91, 0), *[rgb(RED)] * 3, *[rgb(BLUE)] * 2]


def test_the_camera_and_its_place_stay_behind(server, folder):
    exif = Image.Exif()
    exif[0x010F] = "SECRETCAMERA"
    exif.get_ifd(0x8825)[1] = "NSECRETPLACE"
    for i in range(4):
        scene(i).save(folder / f"{i}.jpg", exif=exif)
    assert b"SECRET" in (folder / "0.jpg").read_bytes()
    graph = Graph()
    name = new_name()
    train(graph, folder.name, name, kimg=0.008)
    graph.run(server)
    files = [path for path in place(server, name).rglob("*") if path.is_file()]
    assert {".npy", ".png", ".safetensors"} <= {path.suffix for path in files}
    assert not any(b"SECRET" in path.read_bytes() for path in files)


def test_images_that_are_no_numbers_are_refused(server):
    graph = Graph()
    broken = graph.node(
        "ImageBlend",
        image1=images(graph, RED),
        image2=images(graph, BLUE),
        blend_factor=float("nan"),
        blend_mode="normal",
    )
    error = refusal(server, graph, from_images(graph, broken))
    assert error.node == "GenartPicturesFromImages" and "no numbers" in error.message


@pytest.mark.parametrize("name", ["../outside.png", "/outside.png", "C:\\outside.png"])
def test_a_zip_with_paths_outside_it_is_refused(server, tmp_path, name):
    path = zipped(tmp_path / "bad.zip", {"1.png": png(), "2.png": png(), name: png()})
    assert "outside itself" in zip_refusal(server, path)


def test_zips_that_cannot_be_read_are_refused(server, tmp_path):
    (tmp_path / "text.zip").write_bytes(b"PK\3\4 no zip")
    assert "no zip file" in zip_refusal(server, tmp_path / "text.zip")
    assert "password" in zip_refusal(server, locked(tmp_path / "locked.zip"))
    one = zipped(tmp_path / "one.zip", {"1.png": png(), "notes.txt": b""})
    assert "only one picture" in zip_refusal(server, one)


def zip_refusal(server: Any, path: Path) -> str:
    graph = Graph()
    error = refusal(server, graph, graph.node("GenartOpenPictureFolder", folder=str(path)))
    assert error.node == "GenartOpenPictureFolder" and str(path) in error.message
    return error.message


def test_licences_that_no_one_can_read_are_named_by_their_line(server, folder):
    for i in range(2):
        flat(folder / f"{i}.png", (90 * i, 0, 0))
    (folder / "licenses.csv").write_text("path,license\n.,free for all?\n")
    graph = Graph()
    dataset = graph.node("GenartOpenPictureFolder", folder=folder.name)
    error = refusal(server, graph, [graph.node("GenartReportDataset", dataset=dataset)[0], 1])
    assert "Line 2" in error.message and "'free for all?'" in error.message


@pytest.mark.parametrize("name", ["a/b", "..", "con", "x" * 300])
def test_a_class_that_could_be_no_folder_is_refused(server, name):
    graph = Graph()
    error = refusal(server, graph, from_images(graph, images(graph, RED, 2), name))
    assert error.node == "GenartPicturesFromImages" and "class" in error.message


@pytest.mark.parametrize(
    "value", ["\0", "x" * 5000, "~nobody_of_this_name/x", "🖼️" * 90, 5, 1e308, True, None, {"a": 1}]
)
def test_absurd_folders_are_one_sentence(server, value):
    """The page cannot send most of them; a script that posts a prompt can."""
    graph = Graph()
    node = graph.node("GenartOpenPictureFolder", folder=value)
    try:
        error = refusal(server, graph, node)
    except NodeError as told:  # by ComfyUI itself, before anything ran
        assert told.node == "server" and "required_input_missing" in told.message
    else:
        assert error.node == "GenartOpenPictureFolder"


@pytest.mark.parametrize("value", [5, 1e308, True, {"a": 1}])
def test_a_class_of_a_script_is_its_text(server, value):
    """ComfyUI makes a text of whatever a script posts; only a folder's name comes through."""
    graph = Graph()
    dataset = from_images(graph, images(graph, RED, 2), value)
    if isinstance(value, dict):
        assert "class" in refusal(server, graph, dataset).message
    else:
        assert f"classes: 2 {value}\n" in reported(server, graph, dataset)[0]


def batch(graph: Graph, folder: str, **more: Any) -> list[Any]:
    values = {"side": 16, "count": 64, "skip": 0} | more
    dataset = graph.node("GenartOpenPictureFolder", folder=folder)
    return graph.node("GenartImagesFromPictures", dataset=dataset, **values)


def test_pictures_become_a_batch_in_the_order_of_their_names(server, folder):
    for number, colour in ((10, (30, 30, 200)), (9, (20, 200, 20)), (1, (200, 10, 10))):
        flat(folder / f"{number}.png", colour, size=(40, 20 + number))
    (folder / "2.png").write_text("no picture")
    Image.new("RGBA", (20, 20), (0, 0, 0, 0)).save(folder / "11.png")
    graph = Graph()
    made = batch(graph, folder.name)
    pictures = graph.pictures(server, made)
    assert pictures.shape == (4, 16, 16, 3)
    colours = [tuple(int(v) for v in picture[8, 8]) for picture in pictures]
    assert colours == [(200, 10, 10), (20, 200, 20), (30, 30, 200), (255, 255, 255)]
    graph = Graph()
    some = graph.pictures(server, batch(graph, folder.name, skip=1, count=2))
    assert [int(picture[8, 8, 1]) for picture in some] == [200]  # of the two one is broken
    for more, says in (({"skip": 5}, "fewer than skip"), ({"skip": 1, "count": 1}, "can be read")):
        graph = Graph()
        assert says in refusal(server, graph, batch(graph, folder.name, **more)).message
