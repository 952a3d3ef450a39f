"""`genart inspect` and `genart convert`: what a GAN's file is, and the same GAN as safetensors."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import GenartError, printable
from .gan_output import refuse_existing

if TYPE_CHECKING:
    from ..gan.checkpoint import LoadedGAN


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


def open_told(path: Path) -> LoadedGAN:
    """Open a GAN's file, and say on stderr what was guessed or left aside."""
    from ..gan.formats.opening import open_gan

    gan = open_gan(path)
    for warning in gan.info.get("warnings", ()):
        print(f"genart: {printable(str(warning))}", file=sys.stderr)
    return gan


def _inspect(args: argparse.Namespace) -> int:
    from ..gan.formats.opening import describe, open_gan, summary

    gan = open_gan(args.file)
    print(json.dumps(summary(gan), indent=2) if args.json else describe(gan))
    return 0


def _convert(args: argparse.Namespace) -> int:
    from ..gan.checkpoint import save_gan

    if args.out.suffix != ".safetensors":
        raise GenartError(f"{args.out} must end with .safetensors: that is what is written.")
    refuse_existing(args.out, args.force)
    gan = open_told(args.file)
    save_gan(args.out, gan.generator, gan.info)
    print(f"{args.out}  {gan.hash}")
    return 0
