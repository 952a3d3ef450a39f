"""`genart inspect` and `genart convert`: what a GAN's file is, and the same GAN as safetensors."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import GenartError
from .gan_output import refuse_existing


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `inspect` and `convert` to the command."""
    inspect = subparsers.add_parser("inspect", help="say what a GAN's file is")
    inspect.add_argument("file", type=Path, metavar="FILE", help="a GAN's file, of any known kind")
    inspect.add_argument("--json", action="store_true", help="as JSON")
    inspect.set_defaults(handler=_inspect)
    convert = subparsers.add_parser("convert", help="write a GAN's file as safetensors")
    convert.add_argument("file", type=Path, metavar="IN", help="a GAN's file, of any known kind")
    convert.add_argument("out", type=Path, metavar="OUT.safetensors", help="the file to write")
    convert.add_argument("--force", action="store_true", help="overwrite OUT")
    convert.set_defaults(handler=_convert)


def _inspect(args: argparse.Namespace) -> int:
    from ..gan.formats.opening import describe

    found = describe(args.file)
    if args.json:
        print(json.dumps(found, sort_keys=True, indent=2))
        return 0
    for line in _lines(found):
        print(line)
    return 0


def _lines(found: dict[str, Any], indent: str = "") -> Iterator[str]:
    """A description for people: a line for each thing known, what belongs together set in."""
    for key, value in found.items():
        if isinstance(value, dict):
            yield f"{indent}{key}"
            yield from _lines(value, indent + "  ")
        elif isinstance(value, (list, tuple)) and any(isinstance(v, str) for v in value):
            yield f"{indent}{key}"
            yield from (f"{indent}  {each}" for each in value)
        else:
            yield f"{indent}{key}: {value}"


def _convert(args: argparse.Namespace) -> int:
    from ..gan.checkpoint import save_gan
    from ..gan.formats.opening import open_gan

    if args.out.suffix != ".safetensors":
        raise GenartError(f"{args.out} must end with .safetensors: that is what is written.")
    refuse_existing([args.out], args.force)
    gan = open_gan(args.file)
    save_gan(args.out, gan.generator, gan.info)
    print(f"{args.out}  {gan.hash}")
    return 0
