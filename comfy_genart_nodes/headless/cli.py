"""The `genart` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ..errors import GenartError
from . import comfyui, data, provision, run, train

# Each has `add_parser(subparsers)`, which sets `handler`: a function of the parsed arguments that
# returns the exit code. None of them imports torch before its handler runs.
_SUBJECTS = (provision, comfyui, run, train, data)


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
    args = parser.parse_args(arguments)
    try:
        code: int = args.handler(args)
        return code
    except GenartError as error:
        print(f"genart: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("genart: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
