"""What a hundred pictures teach: our recipe "tiny" beside others, by KID against held-out pictures.

    genart data emoji DIR --held-out 200
    python benchmarks/tiny_data.py DIR --reference STYLEGAN2_ADA [--reference LIGHTWEIGHT_GAN]
                                   [--seconds 600] [--kimg 1] [--seeds 3] [--out FOLDER]
                                   [--device cuda]

Trains at 64x64 on 100 of the pictures in DIR/people and compares 500 samples of the averaged
generator (psi 1) with DIR/people-held-out, which show other subjects: after equal time, one seed;
and after equal kimg, over several seeds. Batch 8 and DiffAugment for everyone; on a CPU fp32, on a
graphics card the precision that everyone's own command takes there:

- ours: the recipe "tiny" as it is, but for its width;
- stylegan2-ada-pytorch: its networks and its loss in the order of its own loop, style mixing, R1
  lazily, rate .0025 and gamma as its configuration "auto" has them; no path lengths, which would
  slow it down; DiffAugment in place of ADA;
- lightweight-gan: as its command trains by default, but for its width and the batch.

Each is a process with one thread. On a CPU those of a seed run side by side, and time is each one's
own CPU seconds, so that a busy machine slows all and favours none; on a graphics card one runs
after the other, and time is that of the clock. What a folder holds is not trained again: the
command goes on where it was interrupted, but for the runs it was interrupted in.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.contestants import environment, machine
from benchmarks.originals import is_lightweight, is_stylegan2
from benchmarks.sheets import save
from benchmarks.tiny_data_contestant import SAMPLES, Task
from comfy_genart_nodes.evaluation.features import Features
from comfy_genart_nodes.evaluation.kid import kid, kid_interval
from comfy_genart_nodes.training.draws import generator
from comfy_genart_nodes.training.picture_sets import open_folder
from comfy_genart_nodes.training.pictures import decoded

CONTESTANT = Path(__file__).with_name("tiny_data_contestant.py")
SIDE, PICTURES = 64, 100
AUTO = {"rate": 0.0025, "ema_kimg": 2.5}  # stylegan2-ada-pytorch's "auto", at batch 8
COLUMNS, ROWS = 16, 2  # of samples in the grid
LABEL = 22  # pixels


def contestants(args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """By name: recipe, checkout and settings of everyone who takes part."""
    common = {"batch": 8, "resolution": SIDE}
    found: dict[str, dict[str, Any]] = {
        "ours": {
            "recipe": "tiny",
            "reference": "",
            "given": {**common, "channel_base": args.tiny_base},
        }
    }
    for folder in args.reference:
        there = str(folder.resolve())
        if is_stylegan2(folder):
            given = {**common, **AUTO, "channel_base": args.channel_base}
            found["stylegan2-ada-pytorch"] = {"recipe": "stylegan2", "given": given}
        elif is_lightweight(folder):
            given = {**common, "channel_max": args.channel_max}
            found["lightweight-gan"] = {"recipe": "tiny", "given": given}
        else:
            sys.exit(f"{folder} is no checkout of stylegan2-ada-pytorch or of lightweight-gan.")
        list(found.values())[-1]["reference"] = there
    return found


def shown(folder: Path, most: int | None) -> np.ndarray:
    """Pictures of a folder, uint8 [n, 3, side, side]: all, or so many of them chosen by chance."""
    made = np.stack([one for _, one in decoded(open_folder(folder), SIDE) if one is not None])
    if most is None:
        return made
    places = torch.randperm(len(made), generator=generator(0, 0, "tiny data"))[:most]
    return made[sorted(places.tolist())]


def train(args: argparse.Namespace, seed: int) -> None:
    """Everyone's run of a seed, side by side; the first seed's goes on until time is up."""
    running = []
    for name, settings in contestants(args).items():
        folder = args.out / f"{name}-seed{seed}"
        seconds = args.seconds if seed == 0 else 0.0
        wanted = ([f"seconds{seconds:g}"] if seconds else []) + (
            [f"kimg{args.kimg:g}"] if args.kimg else []
        )
        given = {**settings["given"], "seed": seed}
        task = Task(
            settings["recipe"],
            settings["reference"],
            given,
            str(args.out / "training.npy"),
            str(folder),
            seconds,
            args.kimg,
            device=args.device,
        )
        asked, kept = json.dumps(asdict(task)), folder / "task.json"
        same = kept.exists() and kept.read_text() == asked
        if same and all((folder / f"{each}.json").exists() for each in wanted):
            continue
        folder.mkdir(parents=True, exist_ok=True)
        kept.write_text(asked)
        line = [sys.executable, str(CONTESTANT), asked]
        with (folder / "log.txt").open("w") as log:
            running.append(subprocess.Popen(line, env=environment(True), stdout=log, stderr=log))
            if args.device != "cpu":
                running[-1].wait()
    for process in running:
        if process.wait():
            sys.exit(f"A run of seed {seed} gave up: see log.txt in {args.out}.")


def measure(args: argparse.Namespace) -> list[str]:
    """Rows of the table."""
    features = Features()

    def seen(path: Path) -> Tensor:
        return features(torch.from_numpy(np.load(path)).float() / 127.5 - 1)

    held_out, training = seen(args.out / "held_out.npy"), seen(args.out / "training.npy")
    rows = [f"| the training pictures themselves | | | | {1000 * kid(training, held_out):.1f} |"]
    for what in ("seconds", "kimg"):
        for name in contestants(args):
            seeds = range(1) if what == "seconds" else range(args.seeds)
            figures, values, low_high = [], [], ""
            for seed in seeds:
                path = args.out / f"{name}-seed{seed}" / f"{what}{getattr(args, what):g}.npy"
                if not path.exists():
                    continue
                made = seen(path)
                figures.append(json.loads(path.with_suffix(".json").read_text()))
                values.append(1000 * kid(made, held_out))
                if what == "seconds":
                    ends = kid_interval(made, held_out, generator=generator(0, 0, "interval"))
                    low_high = f" ({1000 * ends[0]:.1f} to {1000 * ends[1]:.1f})"
            if values:
                rows.append(_row(name, figures, values, low_high))
    return rows


def _row(name: str, figures: list[dict[str, float]], values: list[float], low_high: str) -> str:
    cells = (
        name,
        f"{figures[0]['parameters'] / 1e6:.1f}",
        f"{statistics.mean(each['seconds'] for each in figures):.0f}",
        f"{figures[0]['kimg']:.2f}",
        ", ".join(f"{value:.1f}" for value in values) + low_high,
    )
    return "| " + " | ".join(cells) + " |"


def grid(args: argparse.Namespace) -> Image.Image:
    """Training pictures, then everyone's first samples after equal time and after equal kimg."""
    parts = [("Some of the training pictures", args.out / "training.npy")]
    for what, unit in (("seconds", "seconds"), ("kimg", "kimg")):
        for name in contestants(args):
            value = getattr(args, what)
            path = args.out / f"{name}-seed0" / f"{what}{value:g}.npy"
            if path.exists():
                told = json.loads(path.with_suffix(".json").read_text())
                took = f"{told['kimg']:.2f} kimg in {told['seconds']:.0f} s"
                parts.append((f"{name} after {value:g} {unit} ({took})", path))
    height = LABEL + ROWS * SIDE
    sheet = Image.new("RGB", (COLUMNS * SIDE, height * len(parts)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    for place, (label, path) in enumerate(parts):
        top = place * height
        draw.text((4, top + 3), label, fill="black", font=font)
        for i, picture in enumerate(np.load(path)[: ROWS * COLUMNS]):
            where = (i % COLUMNS * SIDE, top + LABEL + i // COLUMNS * SIDE)
            sheet.paste(Image.fromarray(picture.transpose(1, 2, 0)), where)
    return sheet


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder that genart data emoji made")
    parser.add_argument("--reference", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument("--seconds", type=float, default=600, help="equal for all")
    parser.add_argument("--kimg", type=float, default=1, help="equal for all")
    parser.add_argument("--seeds", type=int, default=3, help="at equal kimg")
    parser.add_argument("--tiny-base", type=int, default=2048, help="channel base of ours")
    parser.add_argument("--channel-base", type=int, default=1024, help="of the StyleGAN2")
    parser.add_argument("--channel-max", type=int, default=128, help="of lightweight-gan")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("tiny_data"), help="what is kept")
    parser.add_argument("--sheet", type=Path, default=Path("tiny_data.jpg"), help="samples")
    return parser.parse_args()


def main() -> None:
    """Train what is missing, print the table and write the grid."""
    args = arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    np.save(args.out / "training.npy", shown(args.data / "people", PICTURES))
    np.save(args.out / "held_out.npy", shown(args.data / "people-held-out", None))
    for seed in range(args.seeds if args.kimg else 1):
        train(args, seed)
    print(
        f"{machine(args.device, 1, True)}; {SIDE}x{SIDE}, batch 8, {PICTURES} pictures, {SAMPLES} "
        f"samples, KID x 1000 over {Features.name}\n"
    )
    print("| | M parameters | seconds | kimg | KID x 1000 |")
    print("|---|---|---|---|---|")
    print("\n".join(measure(args)), flush=True)
    save(grid(args), args.sheet)


if __name__ == "__main__":
    main()
