"""The error for whatever a person can put right, and what may be quoted from files."""


class GenartError(ValueError):
    """Bad input: the message is one sentence that says what was wrong and what to do."""


def printable(text: str) -> str:
    """A text from a file on one line, without letters that steer a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def shown(value: object, most: int = 40) -> str:
    """A value from a file as a few letters on one line; of anything large only what it is."""
    if not isinstance(value, (str, int, float, type(None))):
        return f"a {type(value).__name__}"
    return printable(str(value)[:most])
