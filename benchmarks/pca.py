"""How near principal components come to pictures they were not fitted on: what a VAE is to beat.

    python benchmarks/pca.py FOLDER [--side 32] [--held-out 391] [--numbers 64 128 256 512]

FOLDER holds all pictures (for the emoji: those of `genart data emoji --subset all --held-out 0`).
They are made square and small as training makes them, on a white ground, and divided as a run of
seed 0 divides them. A picture is then its mean and as many numbers, each the weight of a component;
PSNR is of the pooled squared error of what comes back, rounded to eight bits as a VAE's pictures
are. The filter that makes pictures small decides half a decibel: compare on the same pixels only.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from comfy_genart_nodes.training.measuring import held_out
from comfy_genart_nodes.training.picture_sets import open_folder
from comfy_genart_nodes.training.pictures import write_array
from comfy_genart_nodes.vae.likeness import psnr


def divided(folder: Path, side: int, wanted: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures to learn from and those kept apart, uint8 `[n, 3, side, side]`, as of a run's."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "pictures.npy"
        write_array(open_folder(folder), side, path)
        pictures = np.load(path)
    places = held_out(len(pictures), wanted, seed=0)
    return np.delete(pictures, places, axis=0), pictures[places]


def pca_psnrs(train: np.ndarray, apart: np.ndarray, numbers: Sequence[int]) -> list[float]:
    """PSNR in dB of pictures kept apart, for each number of components fitted on the others.

    Args:
        train: uint8 `[n, 3, h, w]`.
        apart: uint8 `[m, 3, h, w]`.
        numbers: components to keep, besides the mean.
    """
    known, unknown = (torch.from_numpy(np.array(x)).float() / 127.5 - 1 for x in (train, apart))
    mean = known.mean(dim=0, keepdim=True)
    components = _components((known - mean).flatten(1))
    found = []
    for count in numbers:
        kept = components[:, :count]
        made = (unknown - mean).flatten(1) @ kept @ kept.T
        found.append(psnr(made.view_as(unknown) + mean, unknown))
    return found


def _components(rows: Tensor) -> Tensor:
    """Directions of unit length by falling variance, as columns."""
    _, vectors = torch.linalg.eigh(rows.T @ rows / len(rows))
    return vectors.flip(1)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--held-out", type=int, default=391)
    parser.add_argument("--numbers", type=int, nargs="+", default=[64, 128, 256, 512])
    arguments = parser.parse_args()
    train, apart = divided(arguments.folder, arguments.side, arguments.held_out)
    print(f"{len(train)} pictures of {arguments.side}x{arguments.side}, {len(apart)} kept apart")
    print("numbers  PSNR (dB)")
    for count, value in zip(
        arguments.numbers, pca_psnrs(train, apart, arguments.numbers), strict=True
    ):
        print(f"{count:7}  {value:9.2f}")


if __name__ == "__main__":
    main()
