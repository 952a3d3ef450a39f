"""`genart data report DIR`: what a set of pictures is like, before hours go into training on it."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import GenartError
from ..files import written


def add_report(sets: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `report` to `genart data`."""
    report = sets.add_parser(
        "report",
        help="sizes, duplicates, unreadable files, classes, licences of your pictures",
        description="Look through a folder or zip file of pictures before training on it. "
        "Nothing is changed.",
    )
    report.add_argument("folder", type=Path, metavar="DIR", help="folder or zip file of pictures")
    report.add_argument(
        "--sheet", type=Path, metavar="PNG", help="write a contact sheet of up to 64 of them"
    )
    report.set_defaults(handler=_report)


def _report(args: argparse.Namespace) -> int:
    from PIL import Image

    from ..training.dataset_report import report
    from ..training.picture_sets import open_pictures

    sheet = args.sheet and args.sheet.expanduser().absolute()
    if sheet and sheet.resolve().is_relative_to(args.folder.expanduser().resolve()):
        raise GenartError(
            f"{sheet} would be one of the pictures: write the sheet to another folder."
        )
    found = report(open_pictures(args.folder))
    if sheet:
        with written(sheet) as temporary:
            Image.fromarray(found.sheet).save(temporary, format="PNG")
    print(found.text())
    return 0
