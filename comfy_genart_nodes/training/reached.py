"""What a run has reached: its checkpoints as networks, and the sheets beside them."""

from dataclasses import dataclass
from pathlib import Path

from ..errors import GenartError
from ..gan.checkpoint import LoadedGAN, load_gan, verify
from ..vae.files import LoadedVAE, load_vae
from .history import scores
from .run_folder import RunFolder

WHICH = ("newest", "best", "step")


@dataclass(frozen=True, eq=False)
class Reached:
    """A checkpoint of a run.

    Attributes:
        network: the averaged one: a GAN's generator, or a VAE.
        path: its file.
        about: a sentence that says which it is, and what could not be read.
    """

    network: LoadedGAN | LoadedVAE
    path: Path
    about: str


def reached(run: RunFolder, which: str = "newest", step: int = 0) -> Reached | None:
    """Read a checkpoint of a run, which may be at work.

    Args:
        run: the run.
        which: the "newest" that can be read, the "best" by its score, or the one at a "step".
        step: which, for "step".

    Returns:
        The checkpoint; None when there is none yet that is the newest, or that was measured.

    Raises:
        GenartError: when there is no such checkpoint, or none that can be read.
    """
    if which == "step":
        return _at(run, step)
    if which == "best":
        return _best(run)
    broken = ""
    for path in reversed(run.checkpoints):
        try:
            return _read(run, path, broken)
        except GenartError as error:
            if path.exists():  # else the trainer has just let go of it
                broken = broken or f"; a newer one could not be read ({error})"
    if broken:
        raise GenartError(f"No checkpoint in {run.path / 'checkpoints'} can be read{broken}.")
    return None


def newest(folder: Path) -> LoadedGAN | LoadedVAE:
    """The network in the newest checkpoint of the run in a folder.

    Raises:
        GenartError: when there is no run, or no checkpoint that can be read.
    """
    found = reached(RunFolder(folder))
    if found is None:
        raise GenartError(
            f"The run in {folder} has no checkpoint yet: wait for its first, or go on from another."
        )
    return found.network


def sheet_of(run: RunFolder, checkpoint: Path | None) -> Path | None:
    """The sheet of samples that shows a checkpoint best: the last one up to it, if any."""
    sheets = run.samples
    if checkpoint is not None:
        until = [path for path in sheets if path.stem <= checkpoint.stem]
        sheets = until or sheets[:1]
    return sheets[-1] if sheets else None


def _at(run: RunFolder, step: int) -> Reached:
    path = run.checkpoint_path(step)
    if not path.is_file():
        steps = ", ".join(str(int(path.stem.removeprefix("step"))) for path in run.checkpoints)
        raise GenartError(
            f"The run {run.path.name!r} keeps no checkpoint of step {step}: choose one of those "
            f"({steps or 'none yet'})."
        )
    return _read(run, path)


def _best(run: RunFolder) -> Reached | None:
    found = scores(run.events(), run.config.SCORE).items()
    measured = {run.checkpoint_path(step): score for step, score in found}
    kept = [path for path in measured if path.is_file()]
    if not measured and run.config.measure_kimg:
        return None
    if not kept:
        raise GenartError(
            f"None of the checkpoints that {run.path.name!r} keeps was measured: choose the newest."
        )
    path = min(kept, key=measured.__getitem__)
    return _read(run, path, f", {run.config.scored(measured[path])}")


def _read(run: RunFolder, path: Path, about: str = "") -> Reached:
    verify(path)
    load = load_vae if run.config.KIND == "vae" else load_gan
    return Reached(load(path), path, f"{run.path.name}: {path.stem}{about}")
