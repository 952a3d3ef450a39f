"""What each recipe costs and how far it comes in a few pictures, as a table.

    genart data emoji DIR
    python benchmarks/recipes.py DIR [--kimg 1] [--channel-base 1024] [--help]

Every recipe trains at 64x64 on DIR/people, one after the other, in a process of its own with one
thread; time is that process's CPU seconds, so that a busy machine costs nobody's. `fine-tune` goes
on from the shipped network where it is there, which learned from these very pictures: its KID says
what the first steps of fine-tuning lose, no more. KID x 1000 is that of 500 samples of the averaged
generator (psi 1) against DIR/people-held-out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.contestants import environment, machine
from benchmarks.tiny_data import SIDE, shown
from benchmarks.tiny_data_contestant import SAMPLES, Task
from comfy_genart_nodes.evaluation.features import Features
from comfy_genart_nodes.evaluation.kid import kid
from comfy_genart_nodes.training.recipes import RECIPES

CONTESTANT = Path(__file__).with_name("tiny_data_contestant.py")
SHIPPED = Path(__file__).parents[1] / "models/gan/emoji_people_64.safetensors"


def train(recipe: str, args: argparse.Namespace) -> Path:
    """Train a recipe, or find that it was; where its samples are."""
    folder = args.out / recipe
    made = folder / f"kimg{args.kimg:g}.npy"
    if made.with_suffix(".json").exists():
        return made
    folder.mkdir(parents=True, exist_ok=True)
    given = {"resolution": SIDE, "channel_base": args.channel_base}
    parent = str(SHIPPED) if recipe == "fine-tune" else ""
    pictures = str(args.out / "training.npy")
    task = Task(recipe, "", given, pictures, str(folder), 0.0, args.kimg, parent)
    line = [sys.executable, str(CONTESTANT), json.dumps(asdict(task))]
    subprocess.run(line, env=environment(True), check=True, stdout=sys.stderr)
    return made


def row(recipe: str, made: Path, held_out: torch.Tensor, features: Features) -> str:
    """Of the table."""
    told = json.loads(made.with_suffix(".json").read_text())
    pictures = torch.from_numpy(np.load(made)).float() / 127.5 - 1
    cells = (
        f"`{recipe}`",
        f"{told['parameters'] / 1e6:.1f}",
        f"{told['seconds'] / told['kimg']:.0f}",
        f"{told['peak_mb']:.0f}",
        f"{1000 * kid(features(pictures), held_out):.0f}",
    )
    return "| " + " | ".join(cells) + " |"


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder that genart data emoji made")
    parser.add_argument("--kimg", type=float, default=1, help="how long each trains")
    parser.add_argument("--channel-base", type=int, default=1024, help="the networks' width")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--out", type=Path, default=Path("recipes"), help="what is kept")
    return parser.parse_args()


def main() -> None:
    """Train what is missing and print the table."""
    args = arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    np.save(args.out / "training.npy", shown(args.data / "people", None))
    kept = torch.from_numpy(shown(args.data / "people-held-out", None)).float() / 127.5 - 1
    features = Features()
    held_out = features(kept)
    print(
        f"{machine('cpu', 1, True)}; {SIDE}x{SIDE}, channel base {args.channel_base}, "
        f"{args.kimg:g} kimg, {SAMPLES} samples\n"
    )
    print("| recipe | M parameters | CPU s/kimg | peak MB | KID x 1000 |")
    print("|---|---|---|---|---|", flush=True)
    for recipe in args.recipes:
        if recipe == "fine-tune" and not SHIPPED.exists():
            continue
        print(row(recipe, train(recipe, args), held_out, features), flush=True)


if __name__ == "__main__":
    main()
