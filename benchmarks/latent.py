"""What each way between latents does to them, as tables and as pictures.

    python benchmarks/latent.py [--seeds 200] [--sheet docs/interpolation.jpg]

Noise first: halfway between two noises, and five noises as one, for so many seeds. A sampler
expects a deviation of 1 and an excess kurtosis of 0; of true noise 5 % fail a Kolmogorov-Smirnov
test at .05. Then encoded pictures (those that the shipped VAE never learned): how much contrast is
left halfway, in the decoded picture and in the latent. ComfyUI's own node is called as it stands.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy.stats import kstest
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.contestants import machine
from benchmarks.sheets import Cell, grid, save, tile
from comfy_genart_nodes.headless.provision import provision
from comfy_genart_nodes.latent.laws import Law, between, blend
from comfy_genart_nodes.latent.statistics import excess_kurtosis
from comfy_genart_nodes.vae.files import load_vae

ROOT = Path(__file__).resolve().parents[1]
SIDE, SUMMED = 64, 5
PICTURES, PICTURE_SIDE = ROOT / "tests" / "fixtures" / "emoji" / "unseen_32.png", 32
SHOWN, STEPS = ((40, 216), (3, 150)), 7
LEVEL = 0.05

Pair = Callable[[Tensor, Tensor, float], Tensor]
"""From two latents `[1, c, h, w]` and t to what lies there."""


def core_pair(comfyui: Path) -> Pair:
    """ComfyUI's LatentInterpolate, whose ratio is 1 at the first latent."""
    sys.path.insert(0, str(comfyui))
    sys.argv = ["main", "--cpu"]
    import comfy.options

    comfy.options.enable_args_parsing()
    from comfy_extras.nodes_latent import LatentInterpolate

    def pair(a: Tensor, b: Tensor, t: float) -> Tensor:
        made = LatentInterpolate.execute({"samples": a}, {"samples": b}, 1 - t)
        return made.result[0]["samples"]

    return pair


def our_pair(law: Law) -> Pair:
    """What Interpolate Latents does in one of its modes."""
    return lambda a, b, t: between(torch.cat([a, b]), torch.tensor([t]), law)


def our_sum(law: Law) -> Callable[[Tensor], Tensor]:
    """What Blend Latents makes of several latents, all weighed alike."""
    return lambda x: blend(x, torch.ones(1, len(x)), law)


def core_sum(pair: Pair) -> Callable[[Tensor], Tensor]:
    """All latents alike by a chain of nodes that take two: a half, a third, a quarter ..."""
    return lambda x: reduce(
        lambda mean, n: pair(mean, x[n : n + 1], 1 / (n + 1)), range(1, len(x)), x[:1]
    )


def noise(seed: int, count: int, channels: int) -> Tensor:
    """Several noises of a seed."""
    chance = torch.Generator().manual_seed(seed)
    return torch.randn(count, channels, SIDE, SIDE, generator=chance)


def figures(make: Callable[[int], Tensor], given: Callable[[int], Any], seeds: int) -> str:
    """Cells of a table: deviation, kurtosis, how many are no noise, milliseconds."""
    found, spent = [], []
    for seed in range(seeds):
        latents = given(seed)
        start = time.perf_counter()
        made = make(latents)
        spent.append(time.perf_counter() - start)
        p = kstest(made.double().flatten().numpy(), "norm", method="asymp").pvalue
        found.append((float(made.std()), float(excess_kurtosis(made)), p < LEVEL))
    std, kurtosis, failed = np.mean(found, axis=0)
    return f"{std:.3f} | {kurtosis:+.3f} | {failed:.0%} | {1000 * np.median(spent):.1f}"


def noise_table(core: Pair, seeds: int) -> None:
    """Halves of two noises and sums of five."""
    pairs = {
        "Interpolate Latents, mode noise": our_pair("noise"),
        "plain mean": our_pair("straight"),
        "ComfyUI's LatentInterpolate": core,
    }
    sums = {
        "Blend Latents, mode noise": our_sum("noise"),
        "plain mean": our_sum("straight"),
        "ComfyUI's LatentInterpolate, four in a row": core_sum(core),
    }
    ways = [("2", name, lambda x, p=p: p(x[:1], x[1:], 0.5)) for name, p in pairs.items()]
    ways += [(str(SUMMED), name, way) for name, way in sums.items()]
    print("| channels | noises | way | deviation | kurtosis | no noise | ms |")
    print("|---|---|---|---|---|---|---|")
    for channels in (4, 16):
        for count, name, way in ways:
            cells = figures(way, lambda s, k=int(count), c=channels: noise(s, k, c), seeds)
            print(f"| {channels} | {count} | {name} | {cells} |", flush=True)


def unseen() -> Tensor:
    """Pictures that the shipped VAE never learned, `[n, 3, h, w]` in -1..1."""
    with Image.open(PICTURES) as sheet:
        pixels = torch.from_numpy(np.array(sheet.convert("RGB"))).movedim(2, 0)
    cells = pixels.unflatten(1, (-1, PICTURE_SIDE)).unflatten(3, (-1, PICTURE_SIDE))
    return cells.movedim((1, 3), (0, 1)).flatten(0, 1).float() / 127.5 - 1


def picture_ways(core: Pair) -> dict[str, Pair]:
    """From one encoded picture to another, by the names of the modes."""
    return {
        "picture": our_pair("picture"),
        "straight": our_pair("straight"),
        "noise": our_pair("noise"),
        "ComfyUI's": core,
    }


def picture_table(latents: Tensor, decode: Callable[[Tensor], Tensor], core: Pair) -> None:
    """Contrast halfway against that of the ends."""
    print("| way | contrast of the picture | least tenth | deviation of the latent |")
    print("|---|---|---|---|")
    firsts, seconds = latents[:-1:2].split(1), latents[1::2].split(1)
    ends = _spread(decode(latents)), _spread(latents)
    wanted = [(each[:-1:2] + each[1::2])[: len(firsts)] / 2 for each in ends]
    for name, pair in picture_ways(core).items():
        halves = torch.cat([pair(a, b, 0.5) for a, b in zip(firsts, seconds, strict=False)])
        left = _spread(decode(halves)) / wanted[0]
        kept = float((_spread(halves) / wanted[1]).mean())
        print(f"| {name} | {left.mean():.3f} | {left.quantile(0.1):.3f} | {kept:.3f} |", flush=True)


def _spread(x: Tensor) -> Tensor:
    return x.flatten(1).std(dim=1)


def sheet(latents: Tensor, decode: Callable[[Tensor], Tensor], core: Pair) -> Image.Image:
    """Rows: ways, for two pairs of pictures; columns: t."""
    rows: list[list[Cell]] = []
    for first, second in SHOWN:
        a, b = latents[first : first + 1], latents[second : second + 1]
        for name, pair in picture_ways(core).items():
            made = [pair(a, b, i / (STEPS - 1)) for i in range(STEPS)]
            rows.append([name, *(tile(picture) for picture in decode(torch.cat(made)))])
    return grid(rows)


@torch.inference_mode()
def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--sheet", type=Path, help="a .jpg to write")
    parser.add_argument("--comfyui", type=Path, help="a checkout; the project's own otherwise")
    args = parser.parse_args()
    core = core_pair(args.comfyui or provision())
    network = load_vae(ROOT / "models" / "vae" / "emoji.safetensors").network
    pictures = unseen()
    latents = torch.cat([network.encode(part) for part in pictures.split(64)])

    def decode(made: Tensor) -> Tensor:
        return torch.cat([network.decode(part) for part in made.split(64)]).clamp(-1, 1)

    if args.sheet:
        save(sheet(latents, decode, core), args.sheet)
    print(f"{machine('cpu', torch.get_num_threads(), False)}\n")
    print(f"Noise of {SIDE}x{SIDE} places, {args.seeds} seeds:\n")
    noise_table(core, args.seeds)
    print(f"\n{len(latents) // 2} pairs of encoded pictures, halfway, of the ends' mean:\n")
    picture_table(latents, decode, core)


if __name__ == "__main__":
    main()
