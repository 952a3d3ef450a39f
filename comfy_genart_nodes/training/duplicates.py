"""Pictures that are nearly the same: the same one in another size, format or brightness.

A picture's fingerprint is 64 bits, whether each of the lowest frequencies of its grey values is
above their median (a perceptual hash over the discrete cosine transform, after Zauner 2010), and
its mean colour, without which flat pictures of all colours would be one.
"""

import math
from dataclasses import dataclass

import numpy as np

SIDE = 32
BITS = 6
"""Fingerprints of the same picture differ in so many of 64 bits at most."""

COLOUR = 12.0
"""... and in their mean colour by so much of 255, on each channel."""

_ONES = np.array([bin(value).count("1") for value in range(2**16)], dtype=np.uint8)


@dataclass(frozen=True)
class Print:
    """What is compared of a picture.

    Attributes:
        bits: 64, as a whole number.
        colour: mean of red, green, blue, 0 to 255.
    """

    bits: int
    colour: tuple[float, float, float]


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
    red, green, blue = (float(mean) for mean in values.mean(axis=(1, 2)))
    return Print(int.from_bytes(bits.tobytes(), "big"), (red, green, blue))


def groups(prints: list[Print]) -> list[list[int]]:
    """Places of pictures that are nearly the same, each group and all groups in order.

    Being nearly the same is passed on: a chain of small changes is one group.
    """
    bits = np.array([each.bits for each in prints], dtype=np.uint64)
    colours = np.array([each.colour for each in prints]).reshape(len(prints), 3)
    leader = list(range(len(prints)))

    def lead(place: int) -> int:
        while leader[place] != place:
            leader[place] = leader[leader[place]]
            place = leader[place]
        return place

    for place in range(len(prints) - 1):
        apart = np.bitwise_xor(bits[place + 1 :], bits[place])
        near = _ONES[apart.view(np.uint16).reshape(-1, 4)].sum(axis=1) <= BITS
        near &= (np.abs(colours[place + 1 :] - colours[place]) <= COLOUR).all(axis=1)
        for other in np.flatnonzero(near) + place + 1:
            first, second = sorted((lead(place), lead(int(other))))
            leader[second] = first
    found: dict[int, list[int]] = {}
    for place in range(len(prints)):
        found.setdefault(lead(place), []).append(place)
    return [group for group in found.values() if len(group) > 1]
