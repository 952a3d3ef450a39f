"""The `genart` command."""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
from collections.abc import Sequence

from ..errors import GenartError
from . import comfyui, data, gan, provision, run, runs, sample, train

# Each has `add_parser(subparsers)`, which sets `handler`: a function of the parsed arguments that
# returns the exit code. None of them imports torch before its handler runs.
_SUBJECTS = (provision, comfyui, run, train, runs, data, sample, gan)

_NUMBERS = re.compile(r"-[\d.][\d.,;:=eE+\-\s]*")
"""A word that begins with a negative number: `-30,.1,-.2`, `-1`, `-1=0:4-`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code is 0, 1 (it says why) or 130 (it was interrupted).

    Args:
        arguments: The words after `genart`; those of the process where None.
    """
    parser = argparse.ArgumentParser(
        prog="genart", description="GANs and VAEs in a real ComfyUI, from the shell."
    )
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for subject in _SUBJECTS:
        subject.add_parser(subparsers)
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files may hold what is no text
        sys.stdout.reconfigure(errors="surrogateescape")
    args = parser.parse_args(_joined(sys.argv[1:] if arguments is None else arguments))
    try:
        code: int = args.handler(args)
        sys.stdout.flush()
        return code
    except GenartError as error:
        print(f"genart: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("genart: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Who reads our output, as `head`, has seen enough; nothing is left to flush into it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"genart: The system refused it: {error}.", file=sys.stderr)
        return 1


def _joined(words: Sequence[str]) -> list[str]:
    """Join `--transform -30,.1` to one word: argparse takes `-30,.1` for an option of its own."""
    joined: list[str] = []
    for word in words:
        option = joined[-1] if joined else ""
        if _NUMBERS.fullmatch(word) and option.startswith("--") and "=" not in option:
            joined[-1] = f"{option}={word}"
        else:
            joined.append(word)
    return joined


if __name__ == "__main__":
    sys.exit(main())
