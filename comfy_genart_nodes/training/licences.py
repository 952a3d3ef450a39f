"""Under which licence the pictures of a set are, and whether who is in them agreed.

`licenses.csv` beside the pictures has the columns `path` (a picture, a folder, or `.` for all),
`license` (an SPDX expression), `consent` (yes or no, may be missing) and any others. The longest
path that fits a picture speaks for it.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ..errors import GenartError
from .picture_sets import MANIFEST

NONE = "no licence given"

_ID = r"(DocumentRef-[\w.-]+:)?[A-Za-z0-9][A-Za-z0-9.-]*\+?"
_TERM = rf"\(*\s*{_ID}(\s+WITH\s+{_ID})?\s*\)*"
_EXPRESSION = re.compile(rf"{_TERM}(\s+(AND|OR)\s+{_TERM})*")


@dataclass(frozen=True)
class Terms:
    """What a line of the manifest says.

    Attributes:
        licence: an SPDX expression, or `NONE`.
        consent: "yes", "no", or "" where nothing is said.
    """

    licence: str = NONE
    consent: str = ""


def terms_of(manifest: str, names: Sequence[str]) -> list[Terms]:
    """What a manifest says of each picture.

    Args:
        manifest: its text; empty where there is none.
        names: the pictures'.

    Raises:
        GenartError: when a line cannot be understood.
    """
    lines = _read(manifest) if manifest.strip() else {}
    return [_nearest(lines, name) for name in names]


def _nearest(lines: dict[str, Terms], name: str) -> Terms:
    path = PurePosixPath(name)
    on_the_way = (str(each) for each in (path, *path.parents))
    return next((lines[each] for each in on_the_way if each in lines), Terms())


def _read(manifest: str) -> dict[str, Terms]:
    """Terms by path; the parent of all is "."."""
    rows = csv.DictReader(manifest.splitlines(), skipinitialspace=True)
    missing = {"path", "license"} - {(name or "").strip().lower() for name in rows.fieldnames or ()}
    if missing:
        raise GenartError(
            f"{MANIFEST} has no column {sorted(missing)[0]!r}: its first line must be "
            "path,license,consent."
        )
    found = {}
    for row in _rows(rows):
        values = {(name or "").strip().lower(): value for name, value in row.items()}
        path, licence, consent = (
            str(values.get(name) or "").strip() for name in ("path", "license", "consent")
        )
        if path or licence:
            found[_plain(path)] = _terms(rows.line_num, licence, consent.lower())
    return found


def _rows(rows: "csv.DictReader[str]") -> Iterator[dict[str, Any]]:
    try:
        yield from rows
    except csv.Error as error:
        raise GenartError(
            f"Line {rows.line_num + 1} of {MANIFEST} cannot be read ({error}): mend it."
        ) from error


def _plain(path: str) -> str:
    """A path as pictures are named: without "./", with the slashes of everyone but Windows."""
    return str(PurePosixPath(path.replace("\\", "/")))


def _terms(line: int, licence: str, consent: str) -> Terms:
    if licence and not (_EXPRESSION.fullmatch(licence) and _balanced(licence)):
        raise GenartError(
            f"Line {line} of {MANIFEST}: {licence[:60]!r} is no SPDX licence; write it as "
            "CC-BY-4.0, CC0-1.0, or LicenseRef-something for one of your own."
        )
    if consent not in ("", "yes", "no"):
        raise GenartError(f"Line {line} of {MANIFEST}: consent is yes or no, not {consent[:60]!r}.")
    return Terms(licence or NONE, consent)


def _balanced(text: str) -> bool:
    return text.count("(") == text.count(")")


def counted(terms: Sequence[Terms]) -> dict[str, dict[str, int]]:
    """How many pictures are under what, as a run keeps it.

    Returns:
        "licences": pictures by SPDX expression or `NONE`, the most frequent first; "consent":
        pictures with yes, no, and "not said".
    """
    licences = Counter(each.licence for each in terms)
    consent = Counter(each.consent or "not said" for each in terms)
    return {
        "licences": dict(licences.most_common()),
        "consent": {said: consent[said] for said in ("yes", "no", "not said")},
    }


def summary(terms: Sequence[Terms]) -> list[str]:
    """Lines for a person: how many pictures are under what."""
    counts = counted(terms)
    told = ", ".join(f"{count} {name}" for name, count in counts["licences"].items())
    lines = [f"licences: {told}"]
    if any(each.consent for each in terms):
        said = ", ".join(f"{count} {answer}" for answer, count in counts["consent"].items())
        lines.append(f"consent: {said}")
    return lines
