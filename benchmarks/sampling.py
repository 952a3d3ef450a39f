"""Time and memory of sampling, beside the original implementations, as a table.

    python benchmarks/sampling.py [--families sg2-16384 ...] [--reference DIR ...] [--help]

Every network gets random weights. Given checkouts of stylegan2-ada-pytorch, stylegan3 or R3GAN, the
originals get the same weights and latents, and the table says how far their pictures differ. Every
contestant is a process of its own with the same environment; they take turns, so that a busy
machine slows all of them, and ratios are medians over the turns' own ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.contestants import Contestant, environment, machine, median_ratio, take_turns
from benchmarks.sampling_contestant import FAMILIES, Task, originals, ours
from comfy_genart_nodes.gan.networks.generator import Look

CONTESTANT = Path(__file__).with_name("sampling_contestant.py")


def contestants(args: argparse.Namespace, family: str, weights: Path) -> list[tuple[str, Task]]:
    """Name and task of everyone who takes part; ours in fp32 comes first."""
    common: dict[str, Any] = {
        "family": family,
        "resolution": args.resolution,
        "batch": args.batch,
        "device": args.device,
        "threads": args.threads,
        "weights": str(weights),
    }
    found = [("ours", Task(**common))]
    if args.compile:
        found.append(("ours, compiled", Task(**common, compile=True)))
    if args.bf16:
        found.append(("ours, bf16", Task(**common, bf16=True)))
        if args.compile:
            found.append(("ours, compiled, bf16", Task(**common, bf16=True, compile=True)))
    for folder in args.reference:
        if family.split("-")[0] in originals(folder):
            task = Task(**common, reference=str(folder.resolve()))
            found.append((folder.resolve().name, task))
    return found


def measure(args: argparse.Namespace, family: str, own: dict[str, str]) -> list[str]:
    """Rows of the table for one family."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = folder / "weights.safetensors"
        generator = ours(family, args.resolution)
        save_file({key: t.contiguous() for key, t in generator.state_dict().items()}, weights)
        del generator
        taking_part = [
            Contestant(
                name, CONTESTANT, [json.dumps(asdict(task)), str(folder / f"{name}.npy")], own
            )
            for name, task in contestants(args, family, weights)
        ]
        take_turns(taking_part, args.turns)
        for contestant in taking_part:
            contestant.finish()
        pictures = [np.load(folder / f"{contestant.name}.npy") for contestant in taking_part]
    first, rows = taking_part[0], []
    scale = np.abs(pictures[0]).max()
    for contestant, made in zip(taking_part, pictures, strict=True):
        error = np.abs(made - pictures[0])
        cells = (
            family,
            contestant.name,
            f"{statistics.median(contestant.seconds):.3f}",
            f"{median_ratio(contestant.seconds, first.seconds):.2f}",
            f"{contestant.first:.1f}",
            f"{contestant.peak / 2**20:.0f}",
            f"{error.max() / scale:.1e}, {error.mean() / scale:.1e}",
        )
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def profile(args: argparse.Namespace, family: str) -> None:
    """Print where the time of ours goes."""
    generator = ours(family, args.resolution).to(args.device)
    ws = torch.randn(args.batch, generator.spec.num_ws, generator.spec.w_dim, device=args.device)
    with torch.inference_mode():
        generator.synthesize(ws, Look())
        with torch.profiler.profile() as seen:
            generator.synthesize(ws, Look())
    print(f"\n{family}: where the time goes")
    print(seen.key_averages().table(sort_by="self_cpu_time_total", row_limit=12))


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--reference", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true", help="ours through torch.compile, too")
    parser.add_argument("--bf16", action="store_true", help="ours in bf16, too")
    parser.add_argument(
        "--retain-heap",
        action="store_true",
        help="let every process keep freed memory (glibc), which spares it page faults",
    )
    parser.add_argument("--profile", action="store_true", help="only print where our time goes")
    return parser.parse_args()


def main() -> None:
    """Print the table, family by family."""
    args = arguments()
    print(
        f"{machine(args.device, args.threads, args.retain_heap)}; {args.resolution}x"
        f"{args.resolution}, batch {args.batch}, synthesis in fp32 where not said otherwise, "
        f"{args.turns} turns\n",
        flush=True,
    )
    if args.profile:
        torch.set_num_threads(args.threads)
        for family in args.families:
            profile(args, family)
        return
    own = environment(args.retain_heap)
    print(
        "| network | contestant | s | x ours | first s | peak MB | differs from ours: most, mean |"
    )
    print("|---|---|---|---|---|---|---|", flush=True)
    for family in args.families:
        print("\n".join(measure(args, family, own)), flush=True)


if __name__ == "__main__":
    main()
