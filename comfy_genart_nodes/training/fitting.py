"""One picture of any kind and shape to a square of bytes."""

import math
import random

import numpy as np
from PIL import Image, ImageColor, ImageOps

from ..errors import GenartError

Colour = tuple[int, int, int]

LEAST_AREA = 0.8
"""Of the largest square that fits into a picture, for the fit "random"."""


def colour(name: str) -> Colour:
    """A colour by its name in CSS or as #rrggbb.

    Raises:
        GenartError: when there is no such colour.
    """
    try:
        red, green, blue = ImageColor.getrgb(name.strip())[:3]
    except ValueError as error:
        raise GenartError(
            f"There is no background {name[:40]!r}: use white, black, grey or a colour as #ff8800."
        ) from error
    return red, green, blue


def squared(
    picture: Image.Image,
    side: int,
    fit: str = "crop",
    background: Colour = (255, 255, 255),
    key: str = "",
) -> np.ndarray:
    """A picture as uint8 [3, side, side]: upright, opaque, square.

    Any mode that Pillow reads will do: 16-bit grey is scaled to 8, palettes and CMYK are
    converted, animations give their first frame.

    Args:
        picture: just opened; it is decoded here, a JPEG no larger than needed.
        side: of the square.
        fit: of `run_config.FITS`. "crop" takes the middle; "random" takes a square of `LEAST_AREA`
            to all of the largest one's area, somewhere; "pad" shows the whole picture with the
            background beside it, and so does "letterbox", which never enlarges it.
        background: behind what is transparent, and beside padded pictures.
        key: what "random" draws from: the same part for the same key.

    Raises:
        OSError: (and others of Pillow's) when it cannot be read.
    """
    picture.draft("RGB", (math.ceil(1.25 * side),) * 2)
    whole = opaque(ImageOps.exif_transpose(picture), background)
    if fit in ("crop", "random"):
        made = whole.resize((side, side), Image.Resampling.LANCZOS, _part(whole.size, fit, key))
    else:
        made = _padded(whole, side, background, enlarge=fit == "pad")
    return np.asarray(made, dtype=np.uint8).transpose(2, 0, 1)


def _part(size: tuple[int, int], fit: str, key: str) -> tuple[float, float, float, float]:
    """The square of a picture that is shown, as left, upper, right, lower."""
    across, where = 1.0, (0.5, 0.5)
    if fit == "random":
        # Seeded with a text: the same on every machine. Names may hold bytes that are none.
        draw = random.Random(key.encode("utf-8", "surrogateescape"))
        across = math.sqrt(draw.uniform(LEAST_AREA, 1.0))
        where = (draw.random(), draw.random())
    length = across * min(size)
    left, upper = ((total - length) * share for total, share in zip(size, where, strict=True))
    return left, upper, left + length, upper + length


def _padded(whole: Image.Image, side: int, background: Colour, enlarge: bool) -> Image.Image:
    """A whole picture in the middle of a square."""
    scale = side / max(whole.size)
    if scale < 1 or enlarge:
        width, height = (max(1, round(length * scale)) for length in whole.size)
        whole = whole.resize((width, height), Image.Resampling.LANCZOS)
    made = Image.new("RGB", (side, side), background)
    made.paste(whole, ((side - whole.width) // 2, (side - whole.height) // 2))
    return made


def opaque(picture: Image.Image, background: Colour) -> Image.Image:
    """Any mode to RGB, with a colour behind what is transparent."""
    if picture.mode.startswith("I") or picture.mode == "F":
        picture = _eight_bits(picture)
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        behind = Image.new("RGBA", layer.size, background)
        return Image.alpha_composite(behind, layer).convert("RGB")
    return picture.convert("RGB")


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Grey of whole numbers beyond a byte, or of fractions, to bytes.

    White is 65535 in files of 16 bits (which open as "I", too, where they are PNG), 1 in fractions
    up to there, 255 in those that go further, and the largest number where even that is passed.
    """
    values = np.asarray(picture, dtype=np.float32)
    largest = float(values.max(initial=0))
    whites = (1.0, 255.0, 65535.0) if picture.mode == "F" else (65535.0,)
    white = next((white for white in whites if largest <= white), largest)
    scaled = np.nan_to_num(values * np.float32(255 / white))
    return Image.fromarray(scaled.clip(0, 255).round().astype(np.uint8))
