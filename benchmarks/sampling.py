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
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.sampling_contestant import FAMILIES, Task, originals, ours
from comfy_genart_nodes.gan.networks.generator import Look

CONTESTANT = Path(__file__).with_name("sampling_contestant.py")
RETAINED = {"MALLOC_MMAP_THRESHOLD_": "4000000000", "MALLOC_TRIM_THRESHOLD_": "8000000000"}


class Contestant:
    """A process that makes the same pictures whenever it is told to.

    Args:
        name: for the table.
        task: what it makes.
        environment: of the process.
        folder: where its pictures go.
    """

    def __init__(self, name: str, task: Task, environment: dict[str, str], folder: Path) -> None:
        self.name = name
        self.seconds: list[float] = []
        self._pictures = folder / f"{name}.npy"
        self._process = subprocess.Popen(
            [sys.executable, CONTESTANT, json.dumps(asdict(task)), str(self._pictures)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.first = self._answer()["seconds"]

    def turn(self) -> None:
        """Make the pictures once."""
        self.seconds.append(self._ask("run")["seconds"])

    def finish(self) -> np.ndarray:
        """The pictures; the process ends."""
        self.peak = self._ask("end")["peak"]
        self._process.wait()
        return np.load(self._pictures)

    def _ask(self, word: str) -> dict[str, float]:
        assert self._process.stdin is not None
        print(word, file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} gave up; what it said stands above.")
        return json.loads(line)


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


def measure(args: argparse.Namespace, family: str, environment: dict[str, str]) -> list[str]:
    """Rows of the table for one family."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = folder / "weights.safetensors"
        generator = ours(family, args.resolution)
        save_file({key: t.contiguous() for key, t in generator.state_dict().items()}, weights)
        del generator
        taking_part = [
            Contestant(name, task, environment, folder)
            for name, task in contestants(args, family, weights)
        ]
        for turn in range(args.turns):
            for contestant in taking_part if turn % 2 == 0 else reversed(taking_part):
                contestant.turn()
        pictures = [contestant.finish() for contestant in taking_part]
    first, rows = taking_part[0], []
    scale = np.abs(pictures[0]).max()
    for contestant, made in zip(taking_part, pictures, strict=True):
        ratio = statistics.median(
            own / mine for own, mine in zip(contestant.seconds, first.seconds, strict=True)
        )
        error = np.abs(made - pictures[0])
        cells = (
            family,
            contestant.name,
            f"{statistics.median(contestant.seconds):.3f}",
            f"{ratio:.2f}",
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


def machine(args: argparse.Namespace) -> str:
    """What the figures depend on, in a line."""
    if args.device.startswith("cuda"):
        name = torch.cuda.get_device_name(args.device)
    else:
        cpuinfo = Path("/proc/cpuinfo")
        lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
        models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
        name = f"{models[0] if models else platform.processor()}, {args.threads} threads"
        name += f", best instructions {torch.backends.cpu.get_cpu_capability()}"
    heap = "retained heap" if args.retain_heap else "the system's own allocator settings"
    return (
        f"{name}; torch {torch.__version__}; {heap}; {args.resolution}x{args.resolution}, batch "
        f"{args.batch}, synthesis in fp32 where not said otherwise, {args.turns} turns"
    )


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
    print(machine(args), end="\n\n", flush=True)
    if args.profile:
        torch.set_num_threads(args.threads)
        for family in args.families:
            profile(args, family)
        return
    environment = {key: value for key, value in os.environ.items() if key not in RETAINED}
    environment |= RETAINED if args.retain_heap else {}
    print(
        "| network | contestant | s | x ours | first s | peak MB | differs from ours: most, mean |"
    )
    print("|---|---|---|---|---|---|---|", flush=True)
    for family in args.families:
        print("\n".join(measure(args, family, environment)), flush=True)


if __name__ == "__main__":
    main()
