"""Write the card of a trained GAN: the network to share, its pictures, and what was measured.

    python benchmarks/model_card.py RUN HELD_OUT --name emoji-people-64 --data "..." --licence MIT

Makes, in `models/gan`, `<name>.safetensors` (the generator alone), `<name>.md`, and
`<name>_samples.jpg`, `<name>_progress.jpg`, `<name>_nearest.jpg`. All of it is a function of the
run folder and the held-out pictures: run it again after more training.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.evaluation.features import Features
from comfy_genart_nodes.evaluation.kid import kid, kid_subsets
from comfy_genart_nodes.evaluation.nearest import copying_percentile, leave_one_out, nearest
from comfy_genart_nodes.files import written
from comfy_genart_nodes.gan.checkpoint import LoadedGAN, load_gan, read_header, save_gan
from comfy_genart_nodes.gan.latents import from_seeds
from comfy_genart_nodes.gan.sampling import sample
from comfy_genart_nodes.headless.data import subject
from comfy_genart_nodes.training.pictures import decode, open_folder
from comfy_genart_nodes.training.run_folder import RunFolder

LIMIT = 16_000_000  # bytes of a network that ships with the pack
SUBSETS, SUBSET_SIZE = 100, 50
TILE = 128
BLANK = "\n\n"
ROWS = 8


@dataclass(frozen=True)
class Measured:
    """KID (as it is, not times 1000) and the copying check of one network.

    Attributes:
        kid_held_out: samples against held-out pictures: all, then mean and std over subsets.
        kid_floor: training pictures against held-out pictures, in the same three figures.
        kid_training: samples against training pictures.
        percentiles: of the samples' nearest distances, by calibration: "pictures" and "subjects".
        held_out_percentiles: the same for the held-out pictures, which nobody copied.
        held_out: how many there are.
    """

    kid_held_out: tuple[float, float, float]
    kid_floor: tuple[float, float, float]
    kid_training: tuple[float, float, float]
    percentiles: dict[str, Tensor]
    held_out_percentiles: dict[str, Tensor]
    held_out: int


def in_range(pictures: np.ndarray) -> Tensor:
    """Decoded uint8 pictures `[n, 3, s, s]` as -1..1."""
    return torch.from_numpy(np.array(pictures)).float() / 127.5 - 1


def draw(gan: LoadedGAN, count: int, seed: int = 0) -> Tensor:
    """Samples of the seeds `seed, seed + 1, ...` at psi 1, as 8-bit pictures see them."""
    parts = []
    for start in range(0, count, 32):
        latent = from_seeds(gan.spec, seed + start, min(32, count - start), model=gan.hash)
        parts.append(sample(gan.generator, latent).clamp(-1, 1))
    return ((torch.cat(parts) + 1) * 127.5).round() / 127.5 - 1


def three(a: Tensor, b: Tensor) -> tuple[float, float, float]:
    """KID over the whole sets, then mean and standard deviation over subsets."""
    size = min(SUBSET_SIZE, len(a), len(b))
    generator = torch.Generator().manual_seed(0)
    return kid(a, b), *kid_subsets(a, b, subsets=SUBSETS, subset_size=size, generator=generator)


def measure(samples: Tensor, training: Tensor, held_out: Tensor, names: list[str]) -> Measured:
    """Compare features of samples, training and held-out pictures.

    Args:
        samples: `[n, d]`.
        training: `[m, d]`.
        held_out: `[k, d]`.
        names: file names of the training pictures; one subject's are each other's look-alikes.
    """
    subjects = [subject(Path(name).stem) for name in names]
    number = {key: i for i, key in enumerate(dict.fromkeys(subjects))}
    calibrations = {
        "pictures": leave_one_out(training),
        "subjects": leave_one_out(training, [number[key] for key in subjects]),
    }

    def percentiles(features: Tensor) -> dict[str, Tensor]:
        distance = nearest(features, training).distance[:, 0]
        return {key: copying_percentile(distance, known) for key, known in calibrations.items()}

    return Measured(
        three(samples, held_out),
        three(training, held_out),
        three(samples, training),
        percentiles(samples),
        percentiles(held_out),
        len(held_out),
    )


def tile(picture: Tensor) -> Image.Image:
    """One picture `[3, s, s]` in -1..1, at the size of the card's sheets."""
    values = ((picture.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    return Image.fromarray(values).resize((TILE, TILE), Image.Resampling.BICUBIC)


def grid(rows: list[list[Image.Image | None]], labels: list[str] | None = None) -> Image.Image:
    """Tiles in rows, a None left empty, with a label at the left of each row."""
    left = 90 if labels else 0
    sheet = Image.new("RGB", (left + TILE * max(map(len, rows)), TILE * len(rows)), "white")
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            if picture is not None:
                sheet.paste(picture.resize((TILE, TILE)), (left + x * TILE, y * TILE))
        if labels:
            ImageDraw.Draw(sheet).text((6, y * TILE + TILE // 2 - 6), labels[y], fill="black")
    return sheet


def save(picture: Image.Image, path: Path) -> None:
    """Write a JPEG, whole or not at all."""
    with written(path) as temporary:
        picture.save(temporary, "JPEG", quality=88)


def samples_sheet(pictures: Tensor) -> Image.Image:
    """The first 64 samples, by seed, nothing chosen."""
    tiles = [tile(picture) for picture in pictures[: ROWS * 8]]
    return grid([list(tiles[i : i + 8]) for i in range(0, len(tiles), 8)])


def progress_sheet(run: RunFolder) -> Image.Image:
    """The first eight pictures of the run's own sheets, at ever doubling intervals."""
    sheets = run.samples
    if not sheets:
        raise GenartError(f"{run.path} holds no sheets of samples yet; train on first.")
    side = run.config.resolution
    last = len(sheets) - 1
    places = sorted({round(last / 2**i) for i in range(ROWS - 1)} | {0})
    rows: list[list[Image.Image | None]] = []
    labels = []
    for place in places:
        with Image.open(sheets[place]) as opened:
            sheet = opened.convert("RGB")
        count = min(8, sheet.width // side)
        rows.append([sheet.crop((x * side, 0, (x + 1) * side, side)) for x in range(count)])
        step = int(sheets[place].stem.removeprefix("step"))
        labels.append(f"{step * run.config.batch / 1000:.0f} kimg")
    return grid(rows, labels)


def nearest_sheet(pictures: Tensor, features: Tensor, data: Tensor, known: Tensor) -> Image.Image:
    """Eight samples, each beside its four nearest training pictures, twice.

    Left, the first eight seeds; right, the eight of all samples that lie nearest to a training
    picture: the worst cases.
    """
    found = nearest(features, known, k=4)
    worst = found.distance[:, 0].argsort()[:ROWS].tolist()
    rows: list[list[Image.Image | None]] = []
    for first, near in zip(range(ROWS), worst, strict=True):
        row: list[Image.Image | None] = []
        for i in (first, near):
            row += [tile(pictures[i]), *(tile(data[j]) for j in found.index[i].tolist()), None]
        rows.append(row[:-1])
    return grid(rows)


def command(run: RunFolder) -> str:
    """The shell command that makes this run, or goes on with it."""
    config, default = run.config.to_json(), type(run.config)().to_json()
    parts = ["genart train gan", "DIR/" + Path(run.data["folder"]).name, "--run", run.path.name]
    for key, value in config.items():
        if value == default[key] or value is None:
            continue
        text = ",".join(value) or "none" if isinstance(value, list) else str(value)
        parts.append(f"--{key.replace('_', '-')}" + ("" if value is True else f" {text}"))
    return " ".join(parts)


def described(run: RunFolder) -> str:
    """The machine as far as the run folder knows it."""
    return f"{run.machine['device']}, {run.machine['threads']} threads, {run.config.precision}"


def hours(run: RunFolder) -> float:
    """Time spent training, in hours, over all the run's sittings."""
    total = start = last = 0.0
    for event in run.events():
        if event["event"] in ("started", "resumed"):
            total, start = total + last - start, event["time"]
        last = event["time"]
    return (total + last - start) / 3600


def _kid_row(what: str, figures: tuple[float, float, float]) -> str:
    whole, mean, std = (1000 * value for value in figures)
    return f"| {what} | {whole:.2f} | {mean:.2f} ± {std:.2f} |"


def _copy_row(what: str, values: Tensor) -> str:
    low, middle = values.quantile(0.05), values.median()
    below = 100 * (values < 5).double().mean()
    return f"| {what} | {low:.0f} | {middle:.0f} | {below:.0f} % |"


def card(
    name: str,
    run: RunFolder,
    gan: LoadedGAN,
    measured: Measured,
    *,
    step: int,
    count: int,
    data: str,
    licence: str,
    machine: str,
    prose: str,
) -> str:
    """The card's Markdown."""
    config = run.config
    kimg = step * config.batch / 1000
    trained_on = len(run.data["pictures"])
    parameters = sum(p.numel() for p in gan.generator.parameters()) / 1e6
    size = f"{config.resolution}x{config.resolution}"
    subsets = f"{SUBSETS} pairs of subsets of {min(SUBSET_SIZE, measured.held_out)}"
    kid_rows = "\n".join(
        (
            _kid_row("samples / held-out pictures", measured.kid_held_out),
            _kid_row("training pictures / held-out pictures (the floor)", measured.kid_floor),
            _kid_row("samples / training pictures", measured.kid_training),
        )
    )
    copy_rows = "\n".join(
        (
            _copy_row("samples, against pictures", measured.percentiles["pictures"]),
            _copy_row("held-out, against pictures", measured.held_out_percentiles["pictures"]),
            _copy_row("samples, against subjects", measured.percentiles["subjects"]),
            _copy_row("held-out, against subjects", measured.held_out_percentiles["subjects"]),
        )
    )
    return f"""# {name}

{prose + BLANK if prose else ""}![samples]({name}_samples.jpg)

Seeds 0 to 63 at psi 1, none chosen.

| | |
|---|---|
| network | StyleGAN2 (skip), {size}, {parameters:.1f} M parameters |
| data | {trained_on} pictures: {data} |
| licence of data and weights | {licence} |
| trained | {step} steps of {config.batch} pictures = {kimg:.0f} kimg |
| which is | {kimg * 1000 / trained_on:.0f} times through the data |
| time and machine | {hours(run):.1f} h on {machine} |
| seed | {config.seed} |
| SHA-256 of the network | `{gan.hash}` |

## How it was made

    {command(run)}

The same command with a larger `--kimg` goes on from the last checkpoint of the run.

![progress]({name}_progress.jpg)

The same eight latents as training went on.

## How near it is to pictures it never saw

KID x 1000 (lower is nearer) over {Features.name} features of {count} samples (seeds from 0,
psi 1), {measured.held_out} held-out and {trained_on} training pictures, all at {size}. "Subsets":
mean and standard deviation over {subsets}. The held-out pictures show subjects that are not among
the training pictures, so a network that knew the training set by heart would get the floor, not 0.
The numbers compare only with others over the same features.

| | whole sets | subsets |
|---|---|---|
{kid_rows}

## Is it a copy?

Each sample's distance to its nearest training picture, as a percentile of the training pictures'
own nearest distances. "Against pictures": any other training picture counts as a neighbour there;
"against subjects": only those of another subject do (the set holds each figure in six skin tones
and up to three genders, near-duplicates). Low is close. Low against subjects: the sample shows one
of the training figures, perhaps recoloured, rather than a new one. Low against pictures as well:
it is nearer than the skin tones of one figure are to each other, as a copy would be. The held-out
rows show what new subjects get that nobody copied.

| | 5 % of them are at or under | median | under 5 |
|---|---|---|---|
{copy_rows}

![nearest]({name}_nearest.jpg)

Left: the samples of seeds 0 to 7, each with its four nearest training pictures. Right: the same for
the eight samples of all {count} that lie nearest to one, the worst cases.
"""


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument("held_out", type=Path, help="folder of pictures kept apart")
    parser.add_argument("--name", required=True, help="of the files in --out")
    parser.add_argument("--data", required=True, help="one line: which pictures, from where")
    parser.add_argument("--licence", required=True)
    parser.add_argument("--machine", help="what it was trained on (default: as far as known)")
    parser.add_argument("--prose", type=Path, help="Markdown that opens the card")
    parser.add_argument("--checkpoint", type=Path, help="default: the run's last")
    parser.add_argument("--samples", type=int, default=1000, help="to measure with")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "models/gan")
    return parser.parse_args()


def main() -> int:
    """Measure a run's checkpoint and write its card."""
    given = arguments()
    run = RunFolder(given.run)
    if not run.checkpoints:
        raise GenartError(f"{given.run} holds no checkpoint yet; train on first.")
    checkpoint = given.checkpoint or run.checkpoints[-1]
    step = int(read_header(checkpoint)["step"])
    if given.samples < 64:
        raise GenartError(f"--samples must be at least 64, not {given.samples}.")
    gan = load_gan(checkpoint)
    pictures = draw(gan, given.samples)
    data = in_range(np.load(run.path / "pictures.npy", mmap_mode="r"))
    kept = open_folder(given.held_out)
    side = run.config.resolution
    held_out = in_range(np.stack([decode(kept.folder / name, side) for name in kept.files]))

    features = Features()
    known, fresh = features(data), features(pictures)
    measured = measure(fresh, known, features(held_out), run.data["pictures"])

    target = given.out / f"{given.name}.safetensors"
    about = {"name": given.name, "data": given.data, "licence": given.licence}
    save_gan(target, gan.generator, {**gan.info, **about})
    if target.stat().st_size > LIMIT:
        raise GenartError(f"{target} is larger than {LIMIT} bytes; train a smaller network.")
    save(samples_sheet(pictures), given.out / f"{given.name}_samples.jpg")
    save(progress_sheet(run), given.out / f"{given.name}_progress.jpg")
    save(nearest_sheet(pictures, fresh, data, known), given.out / f"{given.name}_nearest.jpg")
    prose = given.prose.read_text(encoding="utf-8").strip() if given.prose else ""
    text = card(
        given.name,
        run,
        gan,
        measured,
        step=step,
        count=given.samples,
        data=given.data,
        licence=given.licence,
        machine=given.machine or described(run),
        prose=prose,
    )
    with written(given.out / f"{given.name}.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    rows = {"held-out": measured.kid_held_out, "floor": measured.kid_floor}
    print(json.dumps({"kid x 1000": {k: round(1000 * v[0], 2) for k, v in rows.items()}}))
    print(target.with_suffix(".md"))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except GenartError as error:
        sys.exit(f"{error}")
