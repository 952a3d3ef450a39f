"""Write the card of a VAE trained on the emoji: the network, its pictures, its measures.

    python benchmarks/vae_card.py <output>/genart/NAME [--as emoji] [--layout stock]

Makes, in `models/vae`, `<as>.safetensors` (of the best checkpoint; in the layout "stock" ComfyUI
loads it without this pack), `<as>.md` and `<as>_rebuilt.jpg`. All figures are functions of the run
folder: run it again after more training. Principal components are fitted on the pictures that
the run learned, as many as a picture has latent numbers.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pca import pca_psnrs

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.files import written
from comfy_genart_nodes.headless.data import PACKAGE, VERSION
from comfy_genart_nodes.training.history import spent_seconds
from comfy_genart_nodes.training.measuring import held_out
from comfy_genart_nodes.training.reached import reached
from comfy_genart_nodes.training.run_folder import RunFolder
from comfy_genart_nodes.training.vae_config import VAEConfig
from comfy_genart_nodes.training.vae_measures import measure_vae
from comfy_genart_nodes.vae.files import LoadedVAE, load_vae, save_vae

FOLDER = Path(__file__).resolve().parents[1] / "models" / "vae"
BATCH, COLUMNS, SCALE = 32, 12, 2
LICENCE = "MIT (the pictures: (c) Microsoft Corporation)"


def batches(pictures: np.ndarray) -> list[Tensor]:
    """Pictures in -1..1, some at a time."""
    parts = np.array_split(pictures, -(-len(pictures) // BATCH))
    return [torch.from_numpy(part).float() / 127.5 - 1 for part in parts]


@torch.no_grad()
def rebuilt_sheet(vae: LoadedVAE, pictures: np.ndarray) -> Image.Image:
    """Pictures kept apart, and below each what the VAE makes of it."""
    count = 4 * COLUMNS
    chosen = pictures[:: max(len(pictures) // count, 1)][:count]
    real = torch.from_numpy(np.array(chosen)).float() / 127.5 - 1
    made = vae.network.decode(vae.network.encode(real))
    rows = []
    for start in range(0, len(real), COLUMNS):
        rows += [real[start : start + COLUMNS], made[start : start + COLUMNS]]
    pixels = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)
    values = (pixels * 127.5 + 127.5).round().clamp(0, 255).byte()
    sheet = Image.fromarray(values.permute(1, 2, 0).numpy())
    return sheet.resize((sheet.width * SCALE, sheet.height * SCALE), Image.Resampling.NEAREST)


def card(
    run: RunFolder,
    path: Path,
    figures: dict[str, Any],
    components: list[float],
    machine: str,
) -> str:
    """The text of the card.

    Args:
        run: what was trained.
        path: the file that the card is of.
        figures: measures of the pictures kept apart.
        components: PSNR of principal components, fitted on what the run learned, without and with
            mirror images.
        machine: what it was trained on.
    """
    config, data = run.config, run.data
    assert isinstance(config, VAEConfig)
    at = reached(run, "best")
    assert at is not None
    info = at.network.header if isinstance(at.network, LoadedVAE) else {}
    kimg = info["info"]["training"]["kimg"]
    hours = spent_seconds(run.events()) / 3600
    side, factor, channels = config.resolution, config.factor, config.latent_channels
    numbers = (side // factor) ** 2 * channels
    chosen = config.to_json() | {"kimg": kimg}
    # A space that does not break keeps an option and its value on one line.
    pairs = [f"--{name.replace('_', '-')}\xa0{_short(chosen[name])}" for name in GIVEN]
    pairs += ["--mirror"] if config.mirror else []
    lines = textwrap.wrap(" ".join(pairs), 88, break_on_hyphens=False, break_long_words=False)
    options = " \\\n    ".join(lines).replace("\xa0", " ")
    count = len(data["pictures"])
    rows = {
        "pictures": f"{count} of npm `{PACKAGE}` {VERSION}, on white, {side}x{side}; "
        f"{config.held_out} of them kept apart",
        "licence": LICENCE,
        "training": f"{kimg:.0f} kimg; {60 * hours:.0f} minutes",
        "machine": f"{machine}, {run.machine['device']}, {run.machine['threads']} threads, "
        f"{run.machine['precision']}",
        "PSNR": f"{figures['psnr']:.2f} dB, of the squared error pooled over those kept apart",
        f"principal components, {numbers} numbers": f"{components[0]:.2f} dB on the same pictures, "
        f"fitted on the others; {components[1]:.2f} dB with their mirror images, too",
        "SSIM": f"{figures['ssim']:.3f}",
        "KL": f"{figures['kl']:.0f} nats a picture; {figures['active']} of {figures['units']} "
        "numbers are active",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    folder = f"<output>/genart/{run.path.name}"
    measured = sum(event["event"] == "measures" for event in run.events())
    return f"""# {path.stem}

A VAE of the recipe `{config.recipe}` for emoji in one 3D style: {channels} numbers for every
{factor}x{factor} pixels. ComfyUI's own **Load VAE** opens `{path.name}`, with this pack or without.

![Pictures that it never learned, and what it makes of them]({path.stem}_rebuilt.jpg)

| | |
|---|---|
{table}

The checkpoint is the best one of the run by the pictures kept apart, so their PSNR is the best of
{measured} looks at them. Interrupted, the same command goes on from its run's folder, and with a
larger `--kimg` past its end.

```
genart data emoji DIR --subset all --held-out 0
genart train vae DIR --run {run.path.name} --recipe {config.recipe} \\
    {options}
python benchmarks/vae_card.py {folder}
```
"""


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


GIVEN = (
    *("resolution", "latent_channels", "width", "pixel", "kl", "perceptual", "adversarial"),
    *("rate", "batch", "augment", "precision", "held_out", "measure_kimg", "kimg"),
)
"""Settings that the command in the card names."""


def main() -> None:
    """Write the files and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--as", dest="name", default="emoji")
    parser.add_argument("--layout", default="stock")
    parser.add_argument("--machine", default="unknown", help="what it was trained on, in words")
    args = parser.parse_args()
    run = RunFolder(args.run)
    found = reached(run, "best")
    if found is None or not isinstance(found.network, LoadedVAE):
        raise GenartError(f"{args.run} has no VAE that was measured: train with --measure-kimg.")
    pictures, config = run.pictures, run.config
    places = held_out(len(pictures), config.held_out, config.seed)
    apart, rest = pictures[places], np.delete(pictures, places, axis=0)
    path = FOLDER / f"{args.name}.safetensors"
    save_vae(path, found.network, args.layout)
    kept = load_vae(path)  # what the card says is true of the file
    figures = measure_vae(kept.network, batches(apart))
    mirrored = np.concatenate([rest, rest[..., ::-1]])
    numbers = [int(figures["units"])]
    components = pca_psnrs(rest, apart, numbers) + pca_psnrs(mirrored, apart, numbers)
    rebuilt_sheet(kept, apart).save(path.with_name(f"{path.stem}_rebuilt.jpg"), quality=90)
    with written(path.with_suffix(".md")) as temporary:
        temporary.write_text(card(run, path, figures, components, args.machine), encoding="utf-8")
    print(f"PSNR {figures['psnr']:.2f} dB, SSIM {figures['ssim']:.3f}, PCA {components[0]:.2f} dB")


if __name__ == "__main__":
    main()
