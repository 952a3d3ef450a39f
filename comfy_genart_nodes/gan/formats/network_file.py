"""What every reader of a foreign file gives back."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ...errors import shown
from ..networks.generator import Spec


@dataclass(frozen=True, eq=False)
class NetworkFile:
    """A generator as a foreign file holds it, its tensors renamed to ours.

    Attributes:
        family: which network, as in `families.FAMILIES`.
        spec: its shapes.
        tensors: its state, under the names of our module's `state_dict`; any float type, possibly
            mapped to the file.
        info: what is known of it, for people: `format` (which tool wrote it), `licence` (what to
            mind before using it, where known), `training` (settings the file records), ...
        warnings: sentences on what was left aside or guessed.
    """

    family: str
    spec: Spec
    tensors: dict[str, Tensor]
    info: dict[str, Any]
    warnings: tuple[str, ...] = ()


def left_aside(settings: Iterable[object]) -> list[str]:
    """Sentences on settings that no released tool writes, ten at most: a file can have any number.

    Args:
        settings: their names.
    """
    names = sorted(map(shown, settings))
    found = [f"Its setting {name} is unknown and was left aside." for name in names[:10]]
    if len(names) > 10:
        found.append(f"So were {len(names) - 10} more.")
    return found
