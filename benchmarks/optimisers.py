"""How soon a small VAE learns with Adam and with Muon: equal time, one after the other.

    python benchmarks/optimisers.py FOLDER [--seconds 120] [--side 32] [--width 32]

FOLDER as for `benchmarks/pca.py`. Each learns for so many seconds with the trainer's own steps, at
the rates below; --rate tries another for both. PSNR is that of the averaged network on pictures
kept apart, rounded to eight bits.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pca import divided
from vae_card import batches

from comfy_genart_nodes.training.vae_config import vae_settings
from comfy_genart_nodes.training.vae_measures import measure_vae
from comfy_genart_nodes.training.vae_step import VAETraining

RATES = {"adam": 0.001, "muon": 0.0015}
PLAIN = {"latent_channels": 16, "pixel": "l2", "perceptual": 0.0, "adversarial": 0.0}


def learned(
    optimiser: str, train: np.ndarray, apart: np.ndarray, width: int, seconds: float, rate: float
) -> tuple[float, float]:
    """Thousand pictures seen in the time, and PSNR in dB."""
    config = vae_settings(
        "tiny",
        **PLAIN,
        resolution=train.shape[-1],
        width=width,
        optimiser=optimiser,
        rate=rate,
    )
    training = VAETraining(config, train, torch.device("cpu"), "fp32")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        training.advance()
    found = measure_vae(training.average, batches(apart))
    return training.step * config.batch / 1000, found["psnr"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--held-out", type=int, default=391)
    parser.add_argument("--rate", type=float)
    args = parser.parse_args()
    train, apart = divided(args.folder, args.side, args.held_out)
    print(f"{len(train)} pictures, {len(apart)} kept apart; {torch.get_num_threads()} threads")
    print("optimiser   kimg  PSNR (dB)")
    for name, usual in RATES.items():
        rate = args.rate or usual
        kimg, psnr = learned(name, train, apart, args.width, args.seconds, rate)
        print(f"{name:9} {kimg:6.1f}  {psnr:9.2f}", flush=True)


if __name__ == "__main__":
    main()
