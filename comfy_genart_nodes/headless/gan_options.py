"""The words of `genart sample` as what the engine takes. Torch is imported when first used."""

from __future__ import annotations

import argparse
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import GenartError
from ..ranges import read_ranges

if TYPE_CHECKING:
    from torch import Tensor

    from ..gan.checkpoint import LoadedGAN
    from ..gan.latents import GANLatent
    from ..gan.sampling import Settings


_LARGEST = 1e6


@dataclass(frozen=True, eq=False)
class Mix:
    """Layers of some latents of a batch that come from another.

    Attributes:
        targets: places of the latents that change.
        source: the latent the layers come from, as it was before any mixing.
        layers: which layers.
    """

    targets: frozenset[int]
    source: GANLatent
    layers: list[int]


def read_latents(args: argparse.Namespace, gan: LoadedGAN) -> GANLatent:
    """The batch to show: seeds, arrays, or a file of latents, with its classes.

    Raises:
        GenartError: when a file or a text is bad, or does not fit the network.
    """
    from ..gan.classes import read_classes, with_classes

    latent = _batch(args, gan)
    spec = gan.spec
    if args.classes is not None:
        if args.classes.endswith(".npy"):
            classes = read_array(Path(args.classes), (2,), "classes, [n, number of classes]")
        else:
            classes = read_classes(spec, args.classes, len(latent))
        return with_classes(spec, latent, classes)
    if spec.c_dim and latent.space == "z" and latent.classes is None:
        raise GenartError(
            f"This GAN has {spec.c_dim} classes: say which to make, as --classes 0, or --classes "
            f'"0:0.5 + {spec.c_dim - 1}:0.5" for a blend.'
        )
    return latent


def _batch(args: argparse.Namespace, gan: LoadedGAN) -> GANLatent:
    from ..gan.latent_files import load_latents, read_png
    from ..gan.latents import NO_SEED, SEED_LIMIT, GANLatent, draw

    if args.latents is not None:
        with args.latents.open("rb") if args.latents.is_file() else _missing(args.latents) as file:
            is_png = file.read(4) == b"\x89PNG"
        return (read_png if is_png else load_latents)(args.latents)
    if args.z is not None:
        z = read_array(args.z, (2,), "z, [n, z_dim]").float()
        return GANLatent("z", z, None, (NO_SEED,) * len(z), gan.hash)
    if args.w is not None:
        w = read_array(args.w, (2, 3), "w, [n, w_dim] or [n, num_ws, w_dim]").float()
        return GANLatent("w" if w.dim() == 2 else "w+", w, None, (NO_SEED,) * len(w), gan.hash)
    seeds = tuple(read_ranges(args.seeds, SEED_LIMIT, "seed"))
    return GANLatent("z", draw(gan.spec, seeds), None, seeds, gan.hash)


def _missing(path: Path) -> Any:
    raise GenartError(f"There is no file {path}: choose one that exists.")


def read_array(path: Path, dimensions: tuple[int, ...], what: str) -> Tensor:
    """A numpy file as float64; mapped first, so that its header cannot ask for more than it has.

    Raises:
        GenartError: when it is missing, no plain array of numbers, or of other dimensions.
    """
    import numpy as np
    import torch

    if not path.is_file():
        _missing(path)
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        plain = found.dtype.kind in "fiub"
    except Exception as error:  # numpy's reader of headers raises what Python's parser raises
        raise GenartError(
            f"{path.name} is no whole .npy file of numbers: save it with numpy.save."
        ) from error
    if not plain or found.ndim not in dimensions or not found.size:
        raise GenartError(
            f"{path.name} holds {found.dtype} of shape {tuple(found.shape)}: wanted is {what}."
        )
    numbers = torch.from_numpy(np.array(found, dtype=np.float64))
    if not bool(numbers.float().isfinite().all()):
        raise GenartError(f"{path.name} holds numbers that are not finite: make it again.")
    return numbers


def read_settings(args: argparse.Namespace) -> Settings:
    """How to show the latents.

    Raises:
        GenartError: when a file, a text or a number is bad.
    """
    from ..gan.networks.generator import Frame
    from ..gan.sampling import Settings

    _check_numbers(args)
    frame = Frame(
        transform=None if args.transform is None else read_transform(args.transform),
        canvas=None if args.canvas is None else read_canvas(args.canvas),
    )
    return Settings(
        psi=args.psi,
        cutoff=args.cutoff,
        centres=None if args.centres is None else _centres(args.centres),
        noise_mode=args.noise,
        noise_strength=args.noise_strength,
        noise_seed=args.noise_seed,
        frame=frame,
    )


def _check_numbers(args: argparse.Namespace) -> None:
    """Refuse numbers that mean nothing, or that no float32 can hold."""
    for option, value in (("--psi", args.psi), ("--noise-strength", args.noise_strength)):
        if not abs(value) <= _LARGEST:
            raise GenartError(f"{option} {value} is no number of use: give one, as 0.7.")
    if args.cutoff is not None and args.cutoff < 0:
        raise GenartError("--cutoff counts the layers to truncate: give 0 or more.")
    if args.batch is not None and args.batch < 1:
        raise GenartError("--batch counts pictures at a time: give 1 or more.")


def _centres(path: Path) -> Tensor:
    from ..gan.latent_files import load_latents

    found = load_latents(path)
    if found.space != "w":
        raise GenartError(f"{path.name} holds latents in {found.space}: centres lie in w.")
    return found.tensor


def read_transform(text: str) -> Tensor:
    """`DEGREES,X,Y`, nine numbers row by row, or a `.npy` file, to a matrix [3, 3].

    Raises:
        GenartError: for anything else.
    """
    import torch

    from ..gan.networks.transforms import matrix

    if text.endswith(".npy"):
        found = read_array(Path(text), (2,), "a 3x3 matrix")
        if found.shape != (3, 3):
            raise GenartError(f"{text} holds a matrix of {tuple(found.shape)}: wanted is 3x3.")
        return found
    try:
        numbers = [float(word) for word in re.split(r"[,;\s]+", text.strip())]
    except ValueError:
        numbers = []
    if len(numbers) not in (3, 9) or not all(math.isfinite(number) for number in numbers):
        raise GenartError(
            f"--transform {text!r} is not DEGREES,X,Y as 30,0.1,-0.2, nor nine numbers, nor a "
            ".npy file."
        )
    if len(numbers) == 3:
        return matrix(numbers[1], numbers[2], numbers[0])
    return torch.tensor(numbers, dtype=torch.float64).reshape(3, 3)


def read_canvas(text: str) -> tuple[int, int]:
    """`WIDTHxHEIGHT` to height and width.

    Raises:
        GenartError: for anything else.
    """
    match = re.fullmatch(r"\s*(\d{1,5})\s*[xX]\s*(\d{1,5})\s*", text)
    if match is None:
        raise GenartError(f"--canvas {text!r} is not WIDTHxHEIGHT, as 512x256.")
    return int(match[2]), int(match[1])


def read_mixes(words: list[str], gan: LoadedGAN, latent: GANLatent) -> list[Mix]:
    """`[TO=]FROM:LAYERS`, as `0=1:4-`: layers 4 and up of latent 0 come from latent 1.

    Raises:
        GenartError: for anything else, and for places or layers that are not there.
    """
    from ..gan.latents import pick
    from ..gan.styles import check_mixable

    mixes = []
    if words:
        check_mixable(gan.spec)
    for word in words:
        match = re.fullmatch(r"(?:([^=:]+)=)?\s*(-?\d{1,9})\s*:([^=:]+)", word)
        if match is None:
            raise GenartError(
                f"--mix {word!r} is not FROM:LAYERS or TO=FROM:LAYERS, as 1:4- or 0,2=1:4-."
            )
        targets = read_ranges(match[1] or "0-", len(latent))
        (source,) = read_ranges(match[2], len(latent))
        layers = read_ranges(match[3], gan.spec.num_ws, "layer")
        mixes.append(Mix(frozenset(targets), pick(latent, [source]), layers))
    return mixes
