"""The error for whatever a person can put right."""


class GenartError(ValueError):
    """Bad input: the message is one sentence that says what was wrong and what to do."""
