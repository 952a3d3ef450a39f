"""Numbers and ranges as a person writes them: `0, 3, 5-8, -1, 4-`; seeds; `1, 2, .5`."""

import math
import re

from .errors import GenartError

_LARGEST = 10**6
_MOST_SEEDS = 1000
LARGEST_SEED = 2**64 - 1
"""That of ComfyUI."""
_SEEDS = re.compile(r"([0-9]{1,20})(?:\s*-\s*([0-9]{1,20}))?")
_PART = re.compile(r"(-?\d{1,10})(?:\s*(-)\s*(\d{1,10})?)?")


def read_ranges(text: str, count: int, what: str = "latent") -> list[int]:
    """Numbers and ranges to indices into `count` things.

    Args:
        text: as `0, 3, 5-8`; a negative number counts from the end, an open range (`4-`) goes on
            to the end.
        count: how many things there are, numbered from 0.
        what: one of them, for the message.

    Returns:
        Indices from 0 to count - 1 in the order written, repeated where written twice.

    Raises:
        GenartError: for anything else, for a number outside, and for more than a million.
    """
    indices: list[int] = []
    for part in (p.strip() for p in text.split(",")):
        first, last = _ends(part, text, count, what)
        if len(indices) + last - first >= _LARGEST:
            raise GenartError(f"{text!r} names more than a million numbers: ask for fewer.")
        indices.extend(range(first, last + 1))
    return indices


def _ends(part: str, text: str, count: int, what: str) -> tuple[int, int]:
    """First and last index of one number or range."""
    match = _PART.fullmatch(part)
    if match is None:
        raise GenartError(f"{part!r} is no number and no range: write them as 0, 3, 5-8.")
    first = int(match[1])
    last = first
    if match[2]:
        last = count - 1 if match[3] is None else int(match[3])
    closed = match[3] is not None
    if not (-count <= first < count and last < count) or (closed and not 0 <= first <= last):
        raise GenartError(f"There is no {what} {part}: they are numbered 0 to {count - 1}.")
    first = first % count
    return first, (last if match[2] else first)


def read_numbers(text: str, what: str) -> list[float]:
    """Numbers with commas between them, as `1, 2, .5`.

    Args:
        text: what a person wrote.
        what: they are, for the message.

    Raises:
        GenartError: for anything else, and for what is not finite.
    """
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = [math.nan]
    if not all(map(math.isfinite, numbers)):
        raise GenartError(f"{text!r} are no {what}: write numbers with commas, as 1, 2, .5.")
    return numbers


def read_seeds(text: str) -> list[int]:
    """Seeds as a person writes them, `1, 7, 20-22`, in that order.

    Raises:
        GenartError: for anything else, for a seed that ComfyUI has not, and for more than 1000.
    """
    seeds: list[int] = []
    for part in (p.strip() for p in text.split(",")):
        match = _SEEDS.fullmatch(part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last <= LARGEST_SEED:
            raise GenartError(f"{part!r} is no seed: write numbers from 0 on, as 1, 7, 20-22.")
        if len(seeds) + last - first >= _MOST_SEEDS:
            raise GenartError(f"{text!r} are more than {_MOST_SEEDS} seeds: write fewer.")
        seeds.extend(range(first, last + 1))
    return seeds


def read_times(text: str) -> list[float]:
    """Times as a person writes them, `0, 1, 2.5`; none for an empty text.

    Raises:
        GenartError: for anything else.
    """
    return read_numbers(text, "times") if text.strip() else []
