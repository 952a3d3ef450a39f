"""Begin a run, or open it to go on: settings checked, pictures decoded, the folder whole."""

import itertools
import os
import platform
import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from .. import __version__
from ..errors import GenartError
from ..evaluation.features import weights
from ..files import replace as rename
from ..files import unwritable
from ..names import check_name
from .licences import counted, terms_of
from .lineage import Lineage, Parent, kept, lineage
from .measuring import held_out, wanted_apart
from .picture_sets import PictureSet, check_count, class_labels
from .pictures import write_array
from .run_config import RunConfig, differences
from .run_folder import FORMAT, PLACE, HeldError, RunFolder, write_json
from .team import Team, check_processes

STALE_SECONDS = 3600.0


def prepare(
    runs: Path,
    name: str,
    pictures: PictureSet | None,
    config: RunConfig,
    device: str,
    threads: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    parent: Parent | None = None,
    processes: int = 1,
    joined: int = 1,
    called: Mapping[str, str] = MappingProxyType({}),
) -> RunFolder:
    """Begin a run, or open the one of that name to go on with new stop rules.

    A new run's folder appears whole, with its pictures decoded, or not at all.

    Args:
        runs: the folder of all runs.
        name: the run's name.
        pictures: what to train on; a run that goes on has its own and needs none.
        config: the settings.
        device: where to train, as torch names it.
        threads: CPU threads; part of the arithmetic, so a run keeps those it began with.
        progress: called with (done, total) while pictures are decoded; may raise to stop.
        parent: the network to go on from; its family and shapes take the place of the settings'.
        processes: that are to train the run together, each on a graphics card of its own.
        joined: processes that were started already to do so, wherever they are.
        called: what the person calls some of the settings, for sentences.

    Raises:
        GenartError: when the name will not do, pictures cannot be read or are too few, the parent
            makes other pictures, the processes are too many, or the run exists with other settings.
    """
    path = runs / check_name(name, "run")
    check_device(device)
    auto = config.precision == "auto"
    machine = {
        "device": device,
        "processes": processes,
        "threads": threads or torch.get_num_threads(),
        "precision": fastest_precision(device) if auto else config.precision,
    }
    if path.exists():
        return _reopen(RunFolder(path), pictures, config, machine, joined, parent, called)
    if pictures is None:
        raise GenartError(
            f"There is no run {path.name!r} yet that could go on without pictures: wire "
            "a dataset, or name a folder in a shell."
        )
    origin = lineage(config, parent)
    labelled = getattr(config, "classes", False)  # which few kinds of networks know
    classes = len(class_labels(pictures, pictures.names)[0]) if labelled else 0
    # What cannot go well fails before the long work.
    likely = settled(config, len(pictures), classes, origin)
    origin.check(likely, classes)
    _check_team(likely, origin, device, processes, joined)
    _sweep(path)
    temporary = runs / f".{path.name}.{os.getpid()}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)  # of another who had this number, and was killed
    try:
        for folder in ("samples", "checkpoints"):
            (temporary / folder).mkdir(parents=True)
        data = _decode(pictures, config, bool(classes), temporary / "pictures.npy", progress)
        config = settled(config, len(data["pictures"]), classes, origin)
        _check_shown(data, config)
        origin.keep(temporary)
        versions = {
            "genart": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        }
        run = {
            "format": FORMAT,
            "kind": config.KIND,
            "config": config.to_json(),
            "data": data,
            "machine": machine,
            "versions": versions,
        }
        write_json(temporary / "run.json", run)
        rename(temporary, path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return RunFolder(path)


def _decode(
    pictures: PictureSet,
    config: RunConfig,
    labelled: bool,
    array: Path,
    progress: Callable[[int, int], None],
) -> dict[str, Any]:
    """Write the array of a new run's pictures; what `run.json` says of them.

    With classes: their names, and for each picture in the array the place of its class. Always:
    how many of those pictures are under which licence, and of whom there is consent.
    """
    terms_of(pictures.manifest, pictures.names)  # what cannot go well fails before the long work
    names, broken = write_array(
        pictures, config.resolution, array, config.fit, config.background, config.seed, progress
    )
    classes, labels = class_labels(pictures, names) if labelled else ([], [])
    return {
        "folder": pictures.place,
        "fingerprint": pictures.fingerprint,
        "pictures": names,
        "skipped": broken,
        "classes": classes,
        "labels": labels,
        "terms": counted(terms_of(pictures.manifest, names)),
    }


def settled(config: RunConfig, count: int, classes: int, origin: Lineage) -> RunConfig:
    """The settings that a run has once its pictures, and where it comes from, are known.

    Args:
        config: those asked for.
        count: of pictures.
        classes: of theirs.
        origin: what it begins with.

    Raises:
        GenartError: when they do not go together.
    """
    config = origin.settled(config, classes)
    if config.needs_features:
        weights()  # better missed now than after hours
    if config.measure_kimg and not config.held_out:
        config = replace(config, held_out=wanted_apart(count))
    held_out(count, config.held_out, config.seed)
    shown = count - config.held_out
    check_count("The set", count)
    if shown < config.batch:
        apart = f", {config.held_out} of them kept apart," if config.held_out else ""
        raise GenartError(
            f"{count} pictures{apart} are fewer than a batch of {config.batch}: add some, or lower "
            f"the batch to {max(shown, 2)} or less."
        )
    return config


def _check_shown(data: dict[str, Any], config: RunConfig) -> None:
    """Refuse to keep apart all pictures of a class: the network would offer what it never saw."""
    count = len(data["pictures"])
    apart = set(held_out(count, config.held_out, config.seed))
    shown = {data["labels"][place] for place in set(range(len(data["labels"]))) - apart}
    missing = sorted(set(range(len(data["classes"]))) - shown)
    if missing:
        raise GenartError(
            f"Every picture of the class {data['classes'][missing[0]]!r} would be kept apart for "
            f"measuring ({config.held_out} of {count} are, at random): add pictures to it, lower "
            "held_out, or change the seed."
        )


def check_device(device: str) -> None:
    """Refuse a device that torch does not know, or that is not there.

    Raises:
        GenartError: naming what torch says of it.
    """
    try:
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch built without CUDA
        reason = str(error).strip().splitlines()[0]
        raise GenartError(
            f"Cannot train on the device {device!r}: {reason.rstrip('.')}. Try cpu or cuda."
        ) from error


def _check_team(
    config: RunConfig, origin: Lineage, device: str, processes: int, joined: int
) -> None:
    """Refuse more processes than the device, or the batch, has room for."""
    check_processes(device, processes)
    Team(size=max(processes, joined)).share(config.batch, origin.group(config))


def _sweep(path: Path) -> None:
    """Remove what processes that were killed left of the same run's beginning."""
    if not path.parent.is_dir():
        return
    mine = re.compile(rf"\.{re.escape(path.name)}\.\d+\.tmp")
    for left in path.parent.iterdir():
        if mine.fullmatch(left.name) and time.time() - _last_written(left) > STALE_SECONDS:
            shutil.rmtree(left, ignore_errors=True)


def _last_written(folder: Path) -> float:
    """When anything in a folder has grown or come."""
    return max((each.stat().st_mtime for each in (folder, *folder.iterdir())), default=0.0)


def _free_name(path: Path) -> str:
    """The first name after a run's that no other has."""
    plain = re.sub(r" \d+$", "", path.name)
    names = (f"{plain} {i}" for i in itertools.count(2))
    return next(name for name in names if not path.with_name(name).exists())


def _reopen(
    run: RunFolder,
    pictures: PictureSet | None,
    config: RunConfig,
    machine: dict[str, Any],
    joined: int,
    parent: Parent | None,
    called: Mapping[str, str],
) -> RunFolder:
    count, classes = len(run.data["pictures"]), len(run.data.get("classes", ()))
    another = f"choose a new name, as {_free_name(run.path)!r}"
    if pictures is not None and run.data["fingerprint"] != pictures.fingerprint:
        raise GenartError(
            f"The run {run.path.name!r} was begun with {count} pictures, and these {len(pictures)} "
            "are others: unwire dataset (in a shell, leave out DATA), and it goes on with the "
            f"pictures that it has, or {another}."
        )
    if config.KIND != run.config.KIND:
        raise GenartError(
            f"The run {run.path.name!r} trains a {run.config.KIND.upper()}, not a "
            f"{config.KIND.upper()}: {another}."
        )
    if config.measure_kimg and not run.config.held_out:
        raise GenartError(
            f"The run {run.path.name!r} kept no pictures apart when it began, so that it cannot be "
            f"measured while it trains: leave {called.get('measure_kimg', 'measure_kimg')} at 0 "
            "(Measure Run measures it with pictures from elsewhere), or choose a new name, as "
            f"{_free_name(run.path)!r}."
        )
    if not config.held_out:
        config = replace(config, held_out=run.config.held_out)
    origin = kept(run, parent)
    config = settled(config, count, classes, origin)
    changed = _unexplained(differences(run.config, config, called), run.config, config)
    if changed:
        raise GenartError(
            f"The run {run.path.name!r} was begun with {', '.join(changed)}: go on with the old "
            f"settings, or {another}."
        )
    _check_team(config, origin, machine["device"], machine["processes"], joined)
    places = {name: run.machine.get(name, 1) for name in PLACE}
    if (config, {name: machine[name] for name in PLACE}) != (run.config, places):
        try:
            with run.locked():
                run.update(config, machine)
        except HeldError as error:
            raise GenartError(
                f"The run {run.path.name!r} is being trained now, with other settings than these: "
                "stop it first (Stop Run, or Ctrl-C where it runs), or set them back."
            ) from error
    return run


def _unexplained(changed: list[str], old: RunConfig, new: RunConfig) -> list[str]:
    """Of settings that differ, the recipe alone where it differs: it explains most others."""
    if old.recipe == new.recipe:
        return changed
    return [f"recipe {old.recipe} (now {new.recipe})"]


def fastest_precision(device: str) -> str:
    """The arithmetic that "auto" stands for: bf16 where the hardware multiplies it faster."""
    kind = torch.device(device).type
    if kind == "cpu":
        signs = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
        fast = any(getattr(torch.cpu, sign, bool)() for sign in signs)
    else:
        fast = kind == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16" if fast else "fp32"
