"""The error for whatever a person can put right, and what may be quoted from files."""

from collections.abc import Sequence


class GenartError(ValueError):
    """Bad input: the message is one sentence that says what was wrong and what to do."""


def check_choice(name: str, value: str, options: Sequence[str]) -> None:
    """Refuse what a list does not offer (hosts up to 0.3.75 let a script post any string).

    Raises:
        GenartError: when `value` is none of `options`.
    """
    if value not in options:
        raise GenartError(f"{name} cannot be {value!r}: choose from {', '.join(options)}.")


def printable(text: str) -> str:
    """A text from a file on one line, without letters that steer a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def shown(value: object, most: int = 40) -> str:
    """A value from a file as a few letters on one line; of anything large only what it is."""
    if not isinstance(value, (str, int, float, type(None))):
        return f"a {type(value).__name__}"
    return printable(str(value)[:most])
