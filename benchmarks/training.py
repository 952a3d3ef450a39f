"""Time and memory of training, beside the original implementation, as a table.

    python benchmarks/training.py [--resolution 256 --channel-base 16384 --batch 4]
                                  [--reference DIR] [--own-precision] [--help]

StyleGAN2 with two mapping layers, no augmentation, logistic loss, Adam, a moving average of the
generator; R1 at every 16th step. A step of ours generates one batch from which the discriminator
learns and then the generator. `--reference` takes checkouts, once or more often:

- stylegan2-ada-pytorch: its networks are trained on the same pictures in two ways: with its own
  loss in the order of its own loop, which generates a batch for each network and gives R1 a pass of
  its own ("own phases"), and as ours are ("our phases").
- lightweight-gan: trained as its command does by default, and beside it our recipe for tiny data,
  which is of its kind. `--channel-max` limits its widths, `--tiny-base` sets those of the recipe.

Ours is trained in bf16 where a run left to "auto" would be, and in fp32; the first line is what the
others are compared with. stylegan2-ada-pytorch is trained on a graphics card with float16 at its
four largest sides, as by its own command; on a CPU, which is slow at float16, in fp32, but for
`--own-precision`. Every contestant is a process of its own. They take turns step by step, so that a
busy machine slows all of them; a round is 16 steps, one with R1, and ratios are medians over the
rounds' own ratios. The first step, which has R1, is not among them. On a machine that is much
busier with other things, `--threads 1 --own-time` tells the truth sooner.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.contestants import Contestant, environment, machine, median_ratio, take_turns
from benchmarks.originals import R1_EVERY, is_lightweight, is_stylegan2
from benchmarks.training_contestant import Task, pictures
from comfy_genart_nodes.training.beginning import fastest_precision
from comfy_genart_nodes.training.heap import retain_heap
from comfy_genart_nodes.training.step import Training

CONTESTANT = Path(__file__).with_name("training_contestant.py")


def tasks(args: argparse.Namespace) -> list[tuple[str, Task]]:
    """Name and task of everyone who takes part; ours as a run of its own accord comes first."""
    common: dict[str, Any] = {
        "resolution": args.resolution,
        "channel_base": args.channel_base,
        "batch": args.batch,
        "path_length": args.path_length,
        "device": args.device,
        "threads": args.threads,
        "own_time": args.own_time,
    }
    lower = fastest_precision(args.device) == "bf16"
    found = [("ours, bf16", Task(**common, half=True))] if lower else []
    found.append(("ours, fp32", Task(**common)))
    for folder in args.reference:
        name = folder.resolve().name
        half = args.own_precision or args.device.startswith("cuda")
        there = {"reference": str(folder.resolve()), "half": half}
        if is_stylegan2(folder):
            found.append((f"{name}, own phases", Task(**common, **there, own_phases=True)))
            if not args.path_length:
                found.append((f"{name}, our phases", Task(**common, **there)))
        elif is_lightweight(folder):
            tiny = {**common, "recipe": "tiny", "path_length": 0.0}
            base = args.tiny_base or args.channel_base
            own = Task(**{**tiny, "channel_base": base}, half=lower)
            found.append(("ours, recipe tiny", own))
            found.append((name, Task(**tiny, **there, channel_max=args.channel_max)))
        else:
            sys.exit(f"{folder} is no checkout of stylegan2-ada-pytorch or of lightweight-gan.")
    return found


def measure(args: argparse.Namespace) -> list[str]:
    """Rows of the table."""
    own = environment(args.retain_heap)
    taking_part = [
        Contestant(name, CONTESTANT, [json.dumps(asdict(task))], own) for name, task in tasks(args)
    ]
    round_of = R1_EVERY if args.steps is None else 1
    take_turns(taking_part, args.rounds * R1_EVERY if args.steps is None else args.steps)
    for contestant in taking_part:
        contestant.finish()
    ours = rounds(taking_part[0], round_of)
    rows = []
    for contestant in taking_part:
        own_rounds = rounds(contestant, round_of)
        per_picture = statistics.median(own_rounds) / (round_of * args.batch)
        cells = (
            contestant.name,
            f"{1000 * per_picture:.1f}",
            f"{1 / per_picture:.3f}",
            f"{median_ratio(own_rounds, ours):.2f}",
            f"{contestant.first:.1f}",
            f"{contestant.peak / 2**20:.0f}",
        )
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def rounds(contestant: Contestant, size: int) -> list[float]:
    """Seconds of each round of so many steps."""
    steps = contestant.seconds
    return [sum(steps[i : i + size]) for i in range(0, len(steps), size)]


def floor(training: Training, device: str, precision: str) -> str:
    """What a step without R1 multiplies, and how long that takes at the device's best rate."""
    with FlopCounterMode(display=False) as counted:
        training.advance()
    operations = counted.get_total_flops() / training.config.batch / 1e9
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a = torch.randn(2048, 2048, device=device, dtype=dtype)
    a @ a
    best = min(_seconds(lambda: a @ a, device) for _ in range(5))
    rate = 2 * 2048**3 / best / 1e9
    return (
        f"{operations:.2f} GFLOP a picture; products of two matrices of side 2048 reach {rate:.0f} "
        f"GFLOP/s here in {precision}: a step takes {1000 * operations / rate:.1f} ms a picture at "
        "least"
    )


def _seconds(work: Callable[[], object], device: str) -> float:
    start = time.perf_counter()
    work()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - start


def profile(args: argparse.Namespace) -> None:
    """Print where the time of ours goes, in a step with R1 and in one without; what is least."""
    torch.set_num_threads(args.threads)
    retain_heap()
    task = tasks(args)[0][1]
    precision = "bf16" if task.half else "fp32"
    training = Training(task.config, pictures(task), torch.device(args.device), precision)
    for kind in ("with R1", "without"):
        with torch.profiler.profile() as seen:
            training.advance()
        print(f"\nA step {kind}: where the time goes")
        print(seen.key_averages().table(sort_by="self_cpu_time_total", row_limit=15))
    print(f"\n{floor(training, args.device, precision)}")


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--reference", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--channel-base", type=int, default=16384)
    parser.add_argument("--channel-max", type=int, default=512, help="of lightweight-gan")
    parser.add_argument("--tiny-base", type=int, help="of the recipe; the channel base otherwise")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--path-length", type=float, default=0.0, help="its weight; 0 for none")
    parser.add_argument("--rounds", type=int, default=3, help=f"of {R1_EVERY} steps")
    parser.add_argument(
        "--steps",
        type=int,
        choices=range(1, R1_EVERY),
        metavar="N",
        help="in place of rounds so many steps, none with R1, where a round takes too long",
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--own-time",
        action="store_true",
        help="count each process's CPU seconds, for a busy machine: with --threads 1",
    )
    parser.add_argument(
        "--own-precision",
        action="store_true",
        help="stylegan2-ada-pytorch with float16 on a CPU, too, as its own command has it",
    )
    parser.add_argument(
        "--retain-heap",
        action="store_true",
        help="let the others keep freed memory (glibc), too, as a trainer of ours always does",
    )
    parser.add_argument("--profile", action="store_true", help="only print where our time goes")
    return parser.parse_args()


def main() -> None:
    """Print the table."""
    args = arguments()
    amount = f"{args.rounds} rounds" if args.steps is None else f"{args.steps} steps without R1"
    print(
        f"{machine(args.device, args.threads, args.retain_heap)}; {args.resolution}x"
        f"{args.resolution}, channel base {args.channel_base}, batch {args.batch}, path length "
        f"{args.path_length or 'off'}, fp32 where not said otherwise, {amount}, "
        f"{'seconds of the CPU' if args.own_time else 'seconds on the wall'}\n",
        flush=True,
    )
    if args.profile:
        profile(args)
        return
    print("| contestant | s/kimg | pictures/s | x ours | first step, s | peak MB |")
    print("|---|---|---|---|---|---|", flush=True)
    print("\n".join(measure(args)), flush=True)


if __name__ == "__main__":
    main()
