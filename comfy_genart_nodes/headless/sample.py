"""`genart sample FILE`: pictures of a GAN, written as they are made."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import GenartError
from . import gan_options, gan_output
from .gan import open_told
from .train import best_device

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..gan.latents import GANLatent
    from ..gan.networks.generator import Generator
    from ..gan.sampling import Precision, Settings

_LARGEST_BATCH = 32
_CPU_BATCH = 4  # more gain nothing there, and pictures leave later


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `sample` to the command."""
    sample = subparsers.add_parser(
        "sample",
        help="make pictures with a GAN",
        description="Make pictures with a GAN. They are written as they are made, each with its "
        "latent inside (--latents reads it back). Where names are taken the new pictures get a "
        "number, unless --force.",
    )
    sample.add_argument("file", type=Path, metavar="FILE", help="a GAN's file, of any known kind")
    what = sample.add_mutually_exclusive_group()
    what.add_argument("--seeds", default="0", help="as 0-3 or 1,5,9 (default: 0)")
    what.add_argument("--z", type=Path, metavar="FILE.npy", help="[n, z_dim]")
    what.add_argument(
        "--w", type=Path, metavar="FILE.npy", help="[n, w_dim] or [n, num_ws, w_dim], untruncated"
    )
    what.add_argument(
        "--latents", type=Path, metavar="FILE", help="a file of latents, or a PNG made here"
    )
    sample.add_argument(
        "--classes",
        metavar="X",
        help="3 for all, 0,3,9 one each, 0:0.7+3:0.3 a blend, or FILE.npy [n, classes]",
    )
    _add_look(sample)
    sample.add_argument(
        "--mix",
        action="append",
        default=[],
        metavar="[TO=]FROM:LAYERS",
        help="take layers from another latent of the batch, all numbered from 0: 1:4- for all "
        "latents, 0=1:4- for latent 0 alone; may be repeated",
    )
    sample.add_argument("--batch", type=int, metavar="N", help="pictures at a time")
    sample.add_argument("--device", help="as torch names it (default: a GPU if any)")
    sample.add_argument(
        "--precision",
        choices=("auto", "fp32", "bf16"),
        default="auto",
        help="bf16 is faster on recent GPUs and differs in the third digit; auto: bf16 on those, "
        "fp32 elsewhere",
    )
    sample.add_argument(
        "--compile", action="store_true", help="through torch.compile: slow to start, then faster"
    )
    sample.add_argument(
        "--out", type=Path, metavar="DIR", help="PNGs (default: samples, unless --raw is given)"
    )
    sample.add_argument(
        "--raw",
        type=Path,
        metavar="OUT.npz",
        help="arrays: image [n, c, h, w], about -1..1, not clipped, and w [n, num_ws, w_dim], "
        "truncated and mixed",
    )
    sample.add_argument("--force", action="store_true", help="overwrite pictures and other files")
    sample.set_defaults(handler=_sample)


def _add_look(sample: argparse.ArgumentParser) -> None:
    """Options that change pictures, not latents."""
    sample.add_argument("--psi", type=float, default=1.0, help="truncation (default: 1, none)")
    sample.add_argument("--cutoff", type=int, metavar="N", help="truncate the first N layers alone")
    sample.add_argument(
        "--centres", type=Path, metavar="FILE", help="latents in w to truncate to, the nearest one"
    )
    sample.add_argument(
        "--noise", choices=("const", "random", "none"), default="const", help="(default: const)"
    )
    sample.add_argument(
        "--noise-strength", type=float, default=1.0, metavar="X", help="(default: 1)"
    )
    sample.add_argument("--noise-seed", type=int, default=0, metavar="N", help="of random noise")
    sample.add_argument(
        "--transform",
        metavar="X",
        help="StyleGAN3: DEGREES,X,Y (turn, then move by picture sides, y down), nine numbers of "
        "a 3x3 matrix row by row, or FILE.npy with one",
    )
    sample.add_argument("--canvas", metavar="WIDTHxHEIGHT", help="StyleGAN2: another size")


@dataclass(frozen=True, eq=False)
class _Part:
    """A batch that was made.

    Attributes:
        start: place of its first picture in the whole.
        latents: as they travel in the pictures: z with its seed, or w+ where layers were mixed in.
        w: [n, num_ws, w_dim], what synthesis took.
        pictures: [n, c, h, w].
    """

    start: int
    latents: list[GANLatent]
    w: Tensor
    pictures: Tensor

    @property
    def end(self) -> int:
        return self.start + len(self.pictures)


def _sample(args: argparse.Namespace) -> int:
    from ..gan.latent_files import KEYWORD, to_text
    from ..gan.latents import NO_SEED
    from ..gan.networks.compiling import compiled

    settings = gan_options.read_settings(args)
    gan = open_told(args.file)
    latent = gan_options.read_latents(args, gan)
    mixes = gan_options.read_mixes(args.mix, gan, latent)
    folder = args.out or (None if args.raw else Path("samples"))
    paths: list[Path] = []
    if folder:
        paths = gan_output.picture_paths(folder, latent.seeds, NO_SEED, args.force)
    if args.raw:
        gan_output.refuse_foreign(args.raw, args.force)
    replaced = bool(args.raw) and args.raw.exists()

    device = _place(gan.generator, args.device)
    settings = replace(settings, precision=_precision(args.precision, device))
    batch = args.batch or _fitting(gan.generator, settings, device)
    generator = compiled(gan.generator) if args.compile else gan.generator
    with ExitStack() as stack:
        tell = stack.enter_context(_progress(len(latent)))
        raw = stack.enter_context(gan_output.raw_file(args.raw, len(latent))) if args.raw else None
        for part in _made(generator, latent, settings, mixes, batch):
            if raw:
                raw.add(part.pictures, part.w)
            for place, path in enumerate(paths[part.start : part.end], part.start):
                i = place - part.start
                text = to_text(part.latents[i], _about(settings, place))
                gan_output.save_picture(path, part.pictures[i], KEYWORD, text)
            tell(part.end)
    for made in filter(None, (folder, args.raw)):
        print(made)
    if replaced:
        print(f"genart: {args.raw} was there before and was replaced", file=sys.stderr)
    return 0


def _about(settings: Settings, place: int) -> dict[str, Any]:
    """How a picture was shown; its place in the batch decides its random noise."""
    frame = settings.frame
    return {
        "psi": settings.psi,
        "cutoff": settings.cutoff,
        "noise": settings.noise_mode,
        "noise_strength": settings.noise_strength,
        "noise_seed": settings.noise_seed,
        "transform": None if frame.transform is None else frame.transform.tolist(),
        "canvas": frame.canvas,
        "precision": settings.precision,
        "place": place,
    }


def _made(
    generator: Generator,
    latent: GANLatent,
    settings: Settings,
    mixes: list[gan_options.Mix],
    batch: int,
) -> Iterator[_Part]:
    """Sample batch by batch; where a GPU's memory runs out, in smaller ones."""
    import torch

    from ..gan.latents import pick
    from ..gan.sampling import sample, styles

    start = 0
    while start < len(latent):
        part = pick(latent, range(start, min(start + batch, len(latent))))
        try:
            mapped, latents = _mixed(generator, part, start, mixes)
            w = styles(generator, mapped, settings)
            pictures = sample(generator, mapped, settings, first=start)
        except torch.cuda.OutOfMemoryError as error:
            if batch == 1:
                raise GenartError(
                    "The GPU's memory does not hold even one picture: free some, or use "
                    "--device cpu."
                ) from error
            batch //= 2
            continue
        yield _Part(start, latents, w, pictures)
        start += len(part)


def _mixed(
    generator: Generator, part: GANLatent, start: int, mixes: list[gan_options.Mix]
) -> tuple[GANLatent, list[GANLatent]]:
    """A batch in w+ with what is mixed in, and each latent as it travels in its picture."""
    from ..gan.latents import pick, to_w_plus
    from ..gan.styles import mix

    mapped = to_w_plus(generator, part)
    latents = [pick(part, [i]) for i in range(len(part))]
    for each in mixes:
        chosen = [i for i in range(len(part)) if start + i in each.targets]
        if not chosen:
            continue
        changed = mix(generator, pick(mapped, chosen), each.source, each.layers)
        tensor = mapped.tensor.clone()
        tensor[chosen] = changed.tensor
        mapped = replace(mapped, tensor=tensor)
        for k, i in enumerate(chosen):
            latents[i] = pick(changed, [k])
    return mapped, latents


def _place(generator: Generator, name: str | None) -> torch.device:
    """Bring the network to the device that was asked for, else to the best there is."""
    import torch

    try:
        device = torch.device(name or best_device())
        generator.to(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise GenartError(
            f"The GAN cannot go to the device {name or 'found here'!r} "
            f"({str(error).splitlines()[0]}): try --device cpu."
        ) from error
    return device


def _precision(name: str, device: torch.device) -> Precision:
    """What was asked for; bf16 where nothing was and the GPU computes with it."""
    import torch

    if name == "auto":
        recent = device.type == "cuda" and torch.cuda.get_device_capability(device)[0] >= 8
        return "bf16" if recent else "fp32"
    return "bf16" if name == "bf16" else "fp32"


def _fitting(generator: Generator, settings: Settings, device: torch.device) -> int:
    """How many pictures to make at a time."""
    import torch

    from ..gan.sampling import picture_bytes

    if device.type != "cuda":
        return _CPU_BATCH
    free, _ = torch.cuda.mem_get_info(device)
    return int(max(1, min(_LARGEST_BATCH, free // 2 // picture_bytes(generator, settings.frame))))


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A line on stderr that counts pictures: anew every second, or every minute into a file."""
    terminal = sys.stderr.isatty()
    began = said = time.monotonic()

    def tell(done: int) -> None:
        nonlocal said
        now = time.monotonic()
        if done < total and now - said < (1 if terminal else 60):
            return
        said = now
        speed = done / max(now - began, 1e-3)
        line = f"{done}/{total} pictures, {speed:.1f}/s"
        print(line, end="\r" if terminal and done < total else "\n", file=sys.stderr, flush=True)

    yield tell
