"""Names that a person gives to files and runs, and that cannot leave their folder."""

import re

from .errors import GenartError

_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def check_name(name: str, what: str) -> str:
    """A name that is one plain file name on Linux, Windows and Mac alike.

    Args:
        name: what the person wrote; blanks around it are dropped.
        what: what it names, for the message: as "run".

    Raises:
        GenartError: when it holds a folder, a character that some system refuses, or nothing.
    """
    plain = name.strip()
    length = len(plain.encode("utf-8", "surrogatepass"))
    fits = 0 < length <= 120 and plain[0] not in ".-" and plain[-1] != "."
    if (
        not fits
        or re.search(r'[\x00-\x1f\x7f/\\:*?"<>|\ud800-\udfff]', plain)
        or _RESERVED.fullmatch(plain)
    ):
        raise GenartError(
            f"{name!r} cannot name a {what}: use a short name of letters, digits, blanks, - and _, "
            "without folders."
        )
    return plain
