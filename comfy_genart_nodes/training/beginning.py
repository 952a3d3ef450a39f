"""Begin a run, or open it to go on: settings checked, pictures decoded, the folder whole."""

import itertools
import os
import platform
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from .. import __version__
from ..errors import GenartError
from ..evaluation.features import weights
from ..files import unwritable
from ..gan.checkpoint import LoadedGAN
from ..names import check_name
from . import parents
from .config import TrainConfig, differences
from .licences import counted, terms_of
from .measuring import held_out, wanted_apart
from .picture_sets import PictureSet, class_labels
from .pictures import write_array
from .players import group_of
from .run_folder import FORMAT, PLACE, RunFolder, write_json
from .team import Team, check_processes

STALE_SECONDS = 3600.0


def prepare(
    runs: Path,
    name: str,
    pictures: PictureSet,
    config: TrainConfig,
    device: str,
    threads: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    parent: LoadedGAN | None = None,
    processes: int = 1,
) -> RunFolder:
    """Begin a run, or open the one of that name to go on with new stop rules.

    A new run's folder appears whole, with its pictures decoded, or not at all.

    Args:
        runs: the folder of all runs.
        name: the run's name.
        pictures: what to train on.
        config: the settings.
        device: where to train, as torch names it.
        threads: CPU threads; part of the arithmetic, so a run keeps those it began with.
        progress: called with (done, total) while pictures are decoded; may raise to stop.
        parent: the network to go on from; its family and shapes take the place of the settings'.
        processes: that train the run together, each on a graphics card of its own.

    Raises:
        GenartError: when the name will not do, pictures cannot be read or are too few, the parent
            makes other pictures, the processes are too many, or the run exists with other settings.
    """
    path = runs / check_name(name, "run")
    _check_device(device)
    machine = {
        "device": device,
        "processes": processes,
        "threads": threads or torch.get_num_threads(),
        "precision": _precision(config, device),
    }
    if path.exists():
        return _reopen(RunFolder(path), pictures, config, machine, parent)
    rival = parents.rival_of(parent) if parent else None
    classes = len(class_labels(pictures, pictures.names)[0]) if config.classes else 0
    # What cannot go well fails before the long work.
    family = settled(config, len(pictures), classes, parent, rival is not None).family
    _check_team(family, config.batch, device, processes)
    _sweep(path)
    temporary = runs / f".{path.name}.{os.getpid()}.tmp"
    try:
        for folder in ("samples", "checkpoints"):
            (temporary / folder).mkdir(parents=True)
        data = _decode(pictures, config, temporary / "pictures.npy", progress)
        config = settled(config, len(data["pictures"]), classes, parent, rival is not None)
        if parent:
            parents.keep(temporary, parent, rival)
        versions = {
            "genart": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        }
        run = {
            "format": FORMAT,
            "config": config.to_json(),
            "data": data,
            "machine": machine,
            "versions": versions,
        }
        write_json(temporary / "run.json", run)
        temporary.rename(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return RunFolder(path)


def _decode(
    pictures: PictureSet, config: TrainConfig, array: Path, progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Write the array of a new run's pictures; what `run.json` says of them.

    With classes: their names, and for each picture in the array the place of its class. Always:
    how many of those pictures are under which licence, and of whom there is consent.
    """
    terms_of(pictures.manifest, pictures.names)  # what cannot go well fails before the long work
    kept, broken = write_array(
        pictures, config.resolution, array, config.fit, config.background, config.seed, progress
    )
    classes, labels = class_labels(pictures, kept) if config.classes else ([], [])
    return {
        "folder": pictures.place,
        "fingerprint": pictures.fingerprint,
        "pictures": kept,
        "skipped": broken,
        "classes": classes,
        "labels": labels,
        "terms": counted(terms_of(pictures.manifest, kept)),
    }


def settled(
    config: TrainConfig, count: int, classes: int, parent: LoadedGAN | None, judged: bool
) -> TrainConfig:
    """The settings that a run has once its pictures, and the network it goes on from, are known.

    Args:
        config: those asked for.
        count: of pictures.
        classes: of theirs.
        parent: the network.
        judged: whether its discriminator is known too.

    Raises:
        GenartError: when they do not go together.
    """
    if parent:
        config = parents.descend(config, parent, classes, judged)
    elif config.recipe == "fine-tune":
        raise GenartError("The recipe fine-tune goes on with a network: give it one.")
    else:
        config.generator_spec(classes)
    if config.measure_kimg:
        weights()  # better missed now than after hours
    if config.measure_kimg and not config.held_out:
        config = replace(config, held_out=wanted_apart(count))
    held_out(count, config.held_out, config.seed)
    shown = count - config.held_out
    if shown < config.batch:
        apart = f", {config.held_out} of them kept apart," if config.held_out else ""
        raise GenartError(
            f"{count} pictures{apart} are fewer than a batch of {config.batch}: add some, or lower "
            f"the batch to {max(shown, 2)} or less."
        )
    return config


def _check_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch built without CUDA
        reason = str(error).strip().splitlines()[0]
        raise GenartError(
            f"Cannot train on the device {device!r}: {reason.rstrip('.')}. Try cpu or cuda."
        ) from error


def _check_team(family: str, batch: int, device: str, processes: int) -> None:
    """Refuse more processes than the device, or the batch, has room for."""
    check_processes(device, processes)
    Team(size=processes).share(batch, group_of(family))


def _sweep(path: Path) -> None:
    """Remove what processes that were killed left of the same run's beginning."""
    if not path.parent.is_dir():
        return
    for left in path.parent.iterdir():
        mine = left.name.startswith(f".{path.name}.") and left.suffix == ".tmp"
        if mine and time.time() - left.stat().st_mtime > STALE_SECONDS:
            shutil.rmtree(left, ignore_errors=True)


def _free_name(path: Path) -> str:
    """The first name after a run's that no other has."""
    plain = re.sub(r" \d+$", "", path.name)
    names = (f"{plain} {i}" for i in itertools.count(2))
    return next(name for name in names if not path.with_name(name).exists())


def _reopen(
    run: RunFolder,
    pictures: PictureSet,
    config: TrainConfig,
    machine: dict[str, Any],
    parent: LoadedGAN | None,
) -> RunFolder:
    count, classes = len(run.data["pictures"]), len(run.data.get("classes", ()))
    changed = []
    if run.data["fingerprint"] != pictures.fingerprint:
        changed.append(f"{count} pictures (now {len(pictures)}, or others)")
    else:
        known = parents.read(run.path)
        judged = known is not None and known.discriminator is not None
        config = settled(config, count, classes, parent, judged)
    changed = differences(run.config, config) + changed
    if changed:
        raise GenartError(
            f"The run {run.path.name!r} was begun with {', '.join(changed)}: go on with the old "
            f"settings, or choose a new name, as {_free_name(run.path)!r}."
        )
    _check_team(config.family, config.batch, machine["device"], machine["processes"])
    places = {name: run.machine.get(name, 1) for name in PLACE}
    if (config, {name: machine[name] for name in PLACE}) != (run.config, places):
        with run.locked():
            run.update(config, machine)
    return run


def _precision(config: TrainConfig, device: str) -> str:
    """The arithmetic that "auto" stands for: bf16 where the hardware multiplies it faster."""
    if config.precision != "auto":
        return config.precision
    kind = torch.device(device).type
    if kind == "cpu":
        fast = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()
    else:
        fast = kind == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16" if fast else "fp32"
