"""Folders of pictures of every kind, the broken ones among them."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.training.fitting import squared
from comfy_genart_nodes.training.picture_sets import natural, open_folder
from comfy_genart_nodes.training.pictures import write_array

ORANGE = (230, 120, 20)


def save(folder, name, picture, **options):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, **options)
    return path


def flat(mode="RGB", value=ORANGE, size=(40, 40)):
    return Image.new(mode, size, value)


def decode(path, side, **how):
    with Image.open(path) as picture:
        return squared(picture, side, **how)


def close(array, value, tolerance=6):
    difference = np.abs(array.astype(int) - np.array(value).reshape(3, 1, 1))
    assert array.shape == (3, 16, 16) and difference.max() <= tolerance


def test_ordinary_modes_give_their_colour(tmp_path):
    close(decode(save(tmp_path, "a.png", flat()), 16), ORANGE)
    close(decode(save(tmp_path, "a.jpg", flat(), quality=95), 16), ORANGE)
    close(decode(save(tmp_path, "p.png", flat().convert("P")), 16), ORANGE, 30)
    close(decode(save(tmp_path, "p.gif", flat()), 16), ORANGE)
    close(decode(save(tmp_path, "c.jpg", flat().convert("CMYK"), quality=95), 16), ORANGE, 30)
    close(decode(save(tmp_path, "l.png", flat("L", 99)), 16), (99, 99, 99))
    close(decode(save(tmp_path, "one.png", flat("1", 1)), 16), (255, 255, 255))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_grey_is_scaled(tmp_path, suffix):
    values = np.full((40, 40), 0x8080, dtype=np.uint16)
    close(decode(save(tmp_path, f"d.{suffix}", Image.fromarray(values)), 16), (128, 128, 128))


@pytest.mark.parametrize(
    ("values", "kind", "grey"),
    [
        (0.5, np.float32, 128),  # fractions
        (128.0, np.float32, 128),  # fractions of bytes
        (0x8080, np.float32, 128),
        (2**30, np.int32, 255),  # beyond 16 bits the largest is white
        (100, np.uint16, 0),  # dark, and not a byte
    ],
)
def test_grey_of_other_kinds_is_scaled_by_its_kind(tmp_path, values, kind, grey):
    picture = Image.fromarray(np.full((40, 40), values, dtype=kind))
    close(decode(save(tmp_path, "d.tif", picture), 16), (grey,) * 3)


def test_what_is_transparent_is_white(tmp_path):
    clear = flat("RGBA", (*ORANGE, 0))
    close(decode(save(tmp_path, "t.png", clear), 16), (255, 255, 255))
    close(decode(save(tmp_path, "t.webp", clear), 16), (255, 255, 255))
    close(decode(save(tmp_path, "la.png", flat("LA", (0, 128))), 16), (127, 127, 127))
    palette = flat("P", 0)
    palette.putpalette([*ORANGE, 0, 0, 0])
    close(decode(save(tmp_path, "tp.png", palette, transparency=0), 16), (255, 255, 255))


def test_photographs_are_turned_upright(tmp_path):
    picture = flat("RGB", (255, 255, 255), (16, 16))
    picture.paste((0, 0, 0), (0, 0, 16, 8))  # black above
    exif = Image.Exif()
    exif[0x0112] = 3  # held upside down
    upright = decode(save(tmp_path, "e.png", picture, exif=exif), 16)
    assert upright[:, :6].min() > 200 and upright[:, -6:].max() < 50


def test_the_middle_square_is_kept(tmp_path):
    wide = flat("RGB", (0, 0, 0), (64, 16))
    wide.paste((255, 255, 255), (24, 0, 40, 16))
    assert decode(save(tmp_path, "w.png", wide), 16).min() > 250


def test_natural_order_sub_folders_and_hidden_files(tmp_path):
    for name in ("10.png", "2.png", "b/1.JPG", ".hidden/1.png", ".x.png"):
        save(tmp_path, name, flat())
    (tmp_path / "notes.txt").write_text("no picture")
    folder = open_folder(tmp_path)
    assert folder.names == ("2.png", "10.png", "b/1.JPG")
    before = folder.fingerprint
    assert open_folder(tmp_path).fingerprint == before
    save(tmp_path, "3.png", flat())
    assert open_folder(tmp_path).fingerprint != before


def test_linked_folders_are_entered_and_circles_are_left(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    save(elsewhere, "1.png", flat())
    save(tmp_path / "set", "2.png", flat())
    (tmp_path / "set" / "linked").symlink_to(elsewhere, target_is_directory=True)
    (elsewhere / "back").symlink_to(tmp_path / "set", target_is_directory=True)
    pictures = open_folder(tmp_path / "set")
    assert set(pictures.names) == {"2.png", "linked/1.png"}
    assert pictures.folders == ("linked",)
    with pictures.reading() as read:
        assert read("linked/1.png").size == flat().size


def test_names_of_every_kind_are_ordered_and_drawn_from(tmp_path):
    long = "9" * 5000
    assert natural(f"a{long}") > natural("a10") > natural("a9")
    squared(flat(), 16, "random", key=os.fsdecode(b"undecodable \xff"))


def test_folders_without_enough_pictures_are_refused(tmp_path):
    with pytest.raises(GenartError, match="no folder"):
        open_folder(tmp_path / "nowhere")
    for name in ("~nobody_of_this_name/pictures", "x" * 5000):
        with pytest.raises(GenartError, match="There is no folder"):
            open_folder(name)
    with pytest.raises(GenartError, match="has no picture"):
        open_folder(tmp_path)
    save(tmp_path, "a.png", flat())
    with pytest.raises(GenartError, match="only one picture"):
        open_folder(tmp_path)


def test_broken_pictures_are_left_out_and_named(tmp_path):
    pictures = tmp_path / "in"
    for i in range(3):
        save(pictures, f"{i}.png", flat(value=(i * 50, 0, 0)))
    whole = (pictures / "0.png").read_bytes()
    noise = np.random.default_rng(0).integers(0, 256, (90, 90, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG")
    (pictures / "1a.png").write_bytes(b"no picture at all")
    (pictures / "1b.jpg").write_bytes(buffer.getvalue()[:2000])
    (pictures / "9.png").write_bytes(whole[: len(whole) // 2])
    kept, broken = write_array(open_folder(pictures), 16, tmp_path / "array.npy")
    assert kept == ["0.png", "1.png", "2.png"]
    assert broken == ["1a.png", "1b.jpg", "9.png"]
    array = np.load(tmp_path / "array.npy")
    assert array.shape == (3, 3, 16, 16) and array.dtype == np.uint8
    assert array[:, 0, 0, 0].tolist() == [0, 50, 100]


def test_too_few_readable_pictures_are_refused(tmp_path):
    pictures = tmp_path / "in"
    save(pictures, "0.png", flat())
    (pictures / "1.png").write_bytes(b"no picture")
    with pytest.raises(GenartError, match="Only 1 of 2"):
        write_array(open_folder(pictures), 16, tmp_path / "array.npy")
