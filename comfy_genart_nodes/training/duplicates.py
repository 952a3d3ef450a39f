"""Pictures that are nearly the same: the same one in another size, format or brightness.

A picture's fingerprint is 64 bits, whether each of the lowest frequencies of its grey values is
above their median (a perceptual hash over the discrete cosine transform, after Zauner 2010), and
the mean colours of 8 x 8 parts of it. Without those an icon would be the same in every colour; by
the mean colour of the whole it still would, where it is small before a plain background.
"""

import math
from dataclasses import dataclass

import numpy as np

SIDE = 32
BITS = 6
"""Fingerprints of the same picture differ in so many of 64 bits at most."""

PARTS = 8
"""Colours are compared in so many parts a side ..."""

COLOUR = 28
"""... and differ by so much of 255 at most, in any part and channel. A tenth more or less of
brightness, saturation or contrast makes 26 of it, strong JPEG 18; an icon whose hue is 30 degrees
further differs by 50 and more."""

_ONES = np.array([bin(value).count("1") for value in range(2**16)], dtype=np.uint8)


@dataclass(frozen=True, eq=False)
class Print:
    """What is compared of a picture.

    Attributes:
        bits: 64, as a whole number.
        colours: uint8 [3, PARTS, PARTS], mean red, green, blue of its parts.
    """

    bits: int
    colours: np.ndarray


def _cosines() -> np.ndarray:
    """The lowest 8 rows of the DCT-II of length `SIDE`: [8, 32]."""
    waves = np.arange(8)[:, None] * (np.arange(SIDE)[None] + 0.5)
    return np.cos(waves * math.pi / SIDE)


def fingerprint(picture: np.ndarray) -> Print:
    """The fingerprint of a picture, uint8 [3, SIDE, SIDE]."""
    values = picture.astype(np.float64)
    grey = np.tensordot([0.299, 0.587, 0.114], values, axes=1)
    low = (_cosines() @ grey @ _cosines().T).ravel()
    low[0] = 0.0  # the mean, which the colour has
    low[np.abs(low) < 1.0] = 0.0  # what rounding leaves of flat pictures
    bits = np.packbits(low > np.median(low))
    side = SIDE // PARTS
    means = values.reshape(3, PARTS, side, PARTS, side).mean(axis=(2, 4))
    return Print(int.from_bytes(bits.tobytes(), "big"), means.round().astype(np.uint8))


def groups(prints: list[Print]) -> list[list[int]]:
    """Places of pictures that are nearly the same, each group and all groups in order.

    Being nearly the same is passed on: a chain of small changes is one group.
    """
    bits = np.array([each.bits for each in prints], dtype=np.uint64)
    colours = np.array([each.colours for each in prints], dtype=np.int16)
    leader = list(range(len(prints)))

    def lead(place: int) -> int:
        while leader[place] != place:
            leader[place] = leader[leader[place]]
            place = leader[place]
        return place

    for place in range(len(prints) - 1):
        apart = np.bitwise_xor(bits[place + 1 :], bits[place])
        alike = _ONES[apart.view(np.uint16).reshape(-1, 4)].sum(axis=1) <= BITS
        others = np.flatnonzero(alike) + place + 1
        far = np.abs(colours[others] - colours[place]).max(axis=(1, 2, 3), initial=0)
        for other in others[far <= COLOUR]:
            first, second = sorted((lead(place), lead(int(other))))
            leader[second] = first
    found: dict[int, list[int]] = {}
    for place in range(len(prints)):
        found.setdefault(lead(place), []).append(place)
    return [group for group in found.values() if len(group) > 1]
