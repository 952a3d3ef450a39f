"""`genart data emoji`: fetch an open set of pictures to train on.

The set is npm's `@lobehub/fluent-emoji-3d` 1.1.0: Microsoft's Fluent emoji in one 3D style, 3,391
WebP pictures of 256x256 with transparency, MIT. Nothing is fetched unless this command is run, and
the archive must match the digest below, wherever it came from.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import io
import math
import os
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Literal

from ..errors import GenartError
from ..files import written
from .client import reason
from .data_report import add_report

Subset = Literal["people", "all"]

PACKAGE = "@lobehub/fluent-emoji-3d"
VERSION = "1.1.0"
ARCHIVE = f"fluent-emoji-3d-{VERSION}.tgz"
SHA512 = (
    "5a5ab69554ad4e7afc043a48274a449d328ee0bb83c71a931214ef46d0f50cb4"
    "45d267bba207914232a87a10c75ee549d9069e720979c1106feb4954006de1ee"
)
LICENSE_NOTE = f"""These pictures are Microsoft's Fluent emoji (3D style), (c) Microsoft
Corporation, as packed by LobeHub in the npm package {PACKAGE} {VERSION}.

Licence: MIT. Source: https://github.com/microsoft/fluentui-emoji and
https://github.com/lobehub/fluent-emoji
"""

# Unicode code points, as they stand in the file names (joined by "-").
_SKIN_TONES = frozenset(("1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff"))
_GENDERS = frozenset(("2640", "2642"))
_JOINERS = frozenset(("200d", "fe0f"))
_ADULTS = frozenset(("1f468", "1f469", "1f9d1"))  # man, woman, person
_CHILDREN = frozenset(("1f466", "1f467", "1f9d2"))  # boy, girl, child
# Single people drawn as a head or a bust seen from the front. Left out: fairies, merpeople, genies,
# zombies, trolls (no human shape or colour), the bow and the deaf person (cropped by the frame),
# the disguise (no face), pregnant people (seen from the side).
_PEOPLE_CODES = """
    1f385 1f466 1f467 1f468 1f469 1f46e 1f470 1f471 1f472 1f473 1f474 1f475 1f476 1f477 1f478
    1f47c 1f481 1f482 1f486 1f487 1f575 1f645 1f646 1f64b 1f64d 1f64e 1f926 1f931 1f934 1f935
    1f936 1f937 1f977 1f9b8 1f9b9 1f9d1 1f9d2 1f9d3 1f9d4 1f9d5 1f9d9 1f9db 1f9dd 1fac5
"""
_PEOPLE = frozenset(_PEOPLE_CODES.split())
# With one of these in the sequence it is a couple or a whole figure: heart, handshake, wheelchairs,
# white cane, a pair with bunny ears.
_NOT_ALONE = frozenset(("2764", "1f91d", "1f9bc", "1f9bd", "1f9af", "1f430"))


def _codes(name: str) -> list[str]:
    """The code points of a file's stem that carry meaning beyond skin tone, gender and joining."""
    plain = _SKIN_TONES | _GENDERS | _JOINERS
    return [code for code in name.split("-") if code not in plain]


def is_person(name: str) -> bool:
    """Whether a file's stem (`1f469-1f3fd-200d-1f680`) is one person, as head or bust."""
    codes = _codes(name)
    if not codes or codes[0] not in _PEOPLE or _NOT_ALONE.intersection(codes):
        return False
    return sum(code in _ADULTS | _CHILDREN for code in codes) <= 1


def subject(name: str) -> str:
    """What a picture shows, whatever the skin tone and the gender: `1f680` for every astronaut.

    Pictures of one subject are near-duplicates (the person and the man of most professions
    differ by a few pixels), so they belong on the same side of a split.
    """
    codes = _codes(name)
    if codes and codes[0] == "1f471":  # blond hair: the same drawing as man, woman, person
        return "adult"
    if codes and codes[0] in _ADULTS | _CHILDREN:
        return "-".join(codes[1:]) or ("adult" if codes[0] in _ADULTS else "child")
    return "-".join(codes) or name


def held_out(names: Iterable[str], least: int) -> set[str]:
    """Choose whole subjects, in the order of a hash of their names, until `least` are held out.

    The choice depends on nothing but the names: it is the same on every machine and for ever.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[subject(name)].append(name)
    chosen: set[str] = set()
    for key in sorted(groups, key=lambda key: hashlib.sha256(key.encode()).hexdigest()):
        if len(chosen) >= least:
            break
        chosen.update(groups[key])
    return chosen


def _registry() -> str:
    """The registry of the environment, else the one npm is set to, else the public one."""
    keys = ("npm_config_registry", "NPM_CONFIG_REGISTRY")  # npm reads both
    address = next((os.environ[key] for key in keys if os.environ.get(key)), "")
    npm = shutil.which("npm")
    if not address and npm:
        command = [npm, "config", "get", "registry"]
        with suppress(subprocess.TimeoutExpired):
            asked = subprocess.run(command, capture_output=True, text=True, timeout=60)
            address = asked.stdout.strip()
    if not address.startswith(("https://", "http://")):
        address = "https://registry.npmjs.org"
    return address.rstrip("/")


def _download() -> bytes:
    """Fetch the archive from npm's registry."""
    address = f"{_registry()}/{PACKAGE}/-/{ARCHIVE}"
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            content: bytes = answer.read()
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise GenartError(
            f"Could not fetch {PACKAGE} from npm's registry ({reason(error)}); check the network, "
            f"or fetch {ARCHIVE} on another machine and pass it with --from."
        ) from error
    return content


def _archive(source: Path | None) -> bytes:
    """The archive's bytes, checked against the pinned digest."""
    if source is None:
        content = _download()
    else:
        try:
            content = source.read_bytes()
        except OSError as error:
            raise GenartError(
                f"Cannot read {source} ({error.strerror}); give the path of {ARCHIVE} to --from."
            ) from error
    if hashlib.sha512(content).hexdigest() != SHA512:
        raise GenartError(
            f"{source or 'What the registry sent'} is not {PACKAGE} {VERSION} (its SHA-512 "
            "differs); fetch it again."
        )
    return content


def _pictures(archive: bytes) -> dict[str, bytes]:
    """The `package/assets/*.webp` of the archive by stem; every other member is ignored."""
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for member in tar:
            path = PurePosixPath(member.name)
            wanted = path.parts[:-1] == ("package", "assets") and path.suffix == ".webp"
            if wanted and member.isfile() and (stream := tar.extractfile(member)):
                found[path.stem] = stream.read()
    return found


def _is_there(folder: Path, pictures: dict[str, bytes]) -> bool:
    """Whether the folder already holds exactly these pictures; anything else in it is an error."""
    if not folder.exists():
        return False
    wanted = {f"{name}.webp": len(content) for name, content in pictures.items()}
    present = {path.name: path.stat().st_size for path in folder.iterdir()}
    if present != wanted:
        raise GenartError(
            f"{folder} already exists and holds other files; choose another folder or remove it."
        )
    return True


def _write_folder(folder: Path, pictures: dict[str, bytes]) -> None:
    """Write the pictures under a temporary name and rename, so that a folder is whole or absent."""
    if not pictures or _is_there(folder, pictures):
        return
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".genart-") as scratch:
        fresh = Path(scratch) / folder.name
        fresh.mkdir()
        for name, content in pictures.items():
            (fresh / f"{name}.webp").write_bytes(content)
        fresh.rename(folder)


def fetch_emoji(
    folder: Path,
    subset: Subset = "people",
    held_out_least: int | None = None,
    source: Path | None = None,
) -> tuple[Path, Path, int, int]:
    """Write the emoji into `folder/<subset>` and, for judging, `folder/<subset>-held-out`.

    Args:
        folder: Made if absent. Calling again with the same arguments changes nothing.
        subset: "people" (single people, heads and busts) or "all".
        held_out_least: Hold out whole subjects until at least so many pictures; a tenth if None.
        source: The npm archive, already fetched; None downloads it.

    Returns:
        The two folders, and how many pictures each holds.

    Raises:
        GenartError: No network, a wrong archive, or other files where the pictures should go.
    """
    found = _pictures(_archive(source))
    names = [name for name in found if subset == "all" or is_person(name)]
    least = math.ceil(len(names) / 10) if held_out_least is None else held_out_least
    kept_back = held_out(names, least)
    if least < 0 or len(kept_back) == len(names):
        raise GenartError(
            f"Cannot hold out {least} of {len(names)} pictures and train on the rest; "
            "choose a smaller --held-out."
        )
    train = {name: found[name] for name in names if name not in kept_back}
    judge = {name: found[name] for name in names if name in kept_back}
    train_folder, judge_folder = folder / subset, folder / f"{subset}-held-out"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with written(folder / "LICENSE") as temporary:
            temporary.write_text(LICENSE_NOTE, encoding="utf-8")
        _write_folder(train_folder, train)
        _write_folder(judge_folder, judge)
    except OSError as error:
        raise GenartError(f"Cannot write into {folder} ({error.strerror}).") from error
    return train_folder, judge_folder, len(train), len(judge)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `data` to the command line; the function that runs it is set as `handler`."""
    data = commands.add_parser("data", help="pictures to train on: fetch a set, or report on yours")
    sets = data.add_subparsers(dest="set", required=True, metavar="SET")
    emoji = sets.add_parser("emoji", help="3,391 emoji in one 3D style, MIT (16 MB, from npm)")
    emoji.add_argument("folder", type=Path, metavar="DIR", help="where the folders are made")
    emoji.add_argument("--subset", choices=("people", "all"), default="people")
    emoji.add_argument(
        "--held-out",
        type=int,
        metavar="N",
        help="keep at least N pictures apart to judge by, whole subjects (default: a tenth)",
    )
    emoji.add_argument("--from", dest="source", type=Path, metavar=ARCHIVE, help="do not download")
    emoji.set_defaults(handler=run)
    add_report(sets)


def run(arguments: argparse.Namespace) -> int:
    """Run `genart data emoji`."""
    fetched = fetch_emoji(arguments.folder, arguments.subset, arguments.held_out, arguments.source)
    train, judge, train_count, judge_count = fetched
    print(f"{train}: {train_count} pictures to train on")
    if judge_count:
        print(f"{judge}: {judge_count} held out, to judge by")
    return 0
