"""How fast every recipe of GANs and VAEs takes steps, and in how much memory, as a table.

    python benchmarks/steps.py [--device cuda] [--seconds 1] [--side 64] [--recipes tiny kl ...]

Pictures are noise, which costs what pictures cost; settings are the recipes' own at that side, with
ADA's p at .3. 16 steps or more, so that the lazy terms (R1, path lengths) are among them, after two
that prepare them, on a GPU 17. Without features: those of `perceptual` need a package. On a GPU the
steps of GANs are played from recordings; `--unrecorded` orders them kernel by kernel. Memory is
PyTorch's on a GPU, and not told on a CPU.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.contestants import machine
from comfy_genart_nodes.training import recipes, vae_config
from comfy_genart_nodes.training.beginning import fastest_precision
from comfy_genart_nodes.training.learners import Learning
from comfy_genart_nodes.training.step import Training
from comfy_genart_nodes.training.vae_step import VAETraining

LEAST = 16
ADA_P = 0.3
GANS = [name for name in recipes.RECIPES if name != "fine-tune"]
VAES = [name for name in vae_config.RECIPES if name != vae_config.FINE_TUNE]


def learning(kind: str, recipe: str, side: int, device: torch.device, precision: str) -> Learning:
    """A training at its first step."""
    chance = np.random.default_rng(0)
    pictures = chance.integers(0, 256, (128, 3, side, side), dtype=np.uint8)
    if kind == "gan":
        training = Training(recipes.settings(recipe, resolution=side), pictures, device, precision)
        training.ada_p = ADA_P
        return training
    given = {"resolution": side, "perceptual": 0.0, "adversarial_after": 0.0}
    config = vae_config.vae_settings(recipe, **given)
    return VAETraining(config, pictures, device, precision)


def row(kind: str, recipe: str, args: argparse.Namespace, precision: str) -> str:
    """Of the table."""
    device = torch.device(args.device)
    on_gpu = device.type == "cuda"
    torch.backends.cudnn.benchmark = on_gpu  # as a run has it
    wait: Callable[[], None] = torch.cuda.synchronize if on_gpu else lambda: None
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    training = learning(kind, recipe, args.side, device, precision)
    if args.unrecorded and isinstance(training, Training):
        training.recorder = None
    for _ in range(17 if on_gpu else 2):  # each kind of step twice: worked once, and recorded
        training.advance()
    wait()
    start, steps = time.perf_counter(), 0
    while steps < LEAST or time.perf_counter() - start < args.seconds:
        training.advance()
        steps += 1
    wait()
    each = (time.perf_counter() - start) / steps
    batch = training.config.batch
    memory = f"{torch.cuda.max_memory_allocated() / 2**20:.0f}" if on_gpu else ""
    return f"| {kind} `{recipe}` | {batch} | {1000 * each:.0f} | {batch / each:.0f} | {memory} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--unrecorded", action="store_true")
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--recipes", nargs="+", choices=[*GANS, *VAES], default=[*GANS, *VAES])
    args = parser.parse_args()
    precision = fastest_precision(args.device)
    print(f"{machine(args.device, torch.get_num_threads(), False)}; {args.side}x{args.side}")
    print(f"{precision}\n\n| recipe | batch | ms a step | pictures/s | MB |\n|---|---|---|---|---|")
    for kind, names in (("gan", GANS), ("vae", VAES)):
        for recipe in names:
            if recipe in args.recipes:
                print(row(kind, recipe, args, precision), flush=True)


if __name__ == "__main__":
    main()
