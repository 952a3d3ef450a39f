"""The shared workflows with a VAE of one's own, run by `genart run` on a real ComfyUI."""

import shutil
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from prompts import Graph
from test_workflows import ROOT, differ, frames, settings, tiles
from training_runs import write_pictures

from comfy_genart_nodes.headless.cli import main


@pytest.fixture
def genart(server: Any, tmp_path: Path) -> Any:
    """Run a shared workflow with a small VAE of random weights; what it made, by name."""
    graph = Graph()
    graph.node("GenartTestWriteTinyDiffusion", seed=3)
    graph.run(server)

    def run(name: str, values: dict[str, Any]) -> dict[str, Path]:
        workflow = ROOT / "workflows" / f"{name}.json"
        if '"VAELoader"' in workflow.read_text(encoding="utf-8"):
            values = {"Load VAE.vae_name": "tiny_sd3.safetensors"} | values
        where = ["--server", server.url, "--out", str(tmp_path / "out")]
        assert main(["run", str(workflow), *where, *settings(values)]) == 0
        return {path.name: path for path in (tmp_path / "out").iterdir()}

    return run


def test_vae_round_trip_shows_what_changed_and_how_it_drifts(genart, server):
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(picture).save(server.base / "input" / "workflow_picture.png")
    made = genart("vae_round_trip", {"Load Image.image": "workflow_picture.png"})
    compared = np.asarray(Image.open(made["vae_compared_00001_.png"]))
    assert compared.shape[1] == 3 * 256 + 16 and compared.shape[0] > 256
    assert np.abs(compared[:256:4, :256:4].astype(int) - picture).max() <= 1
    rebuilt, error = (compared[:256:4, x : x + 256 : 4] for x in (264, 528))
    assert rebuilt.std() > 5 and error.std() > 5
    drift = tiles(made["vae_drift_00001_.png"], 4, 2)
    assert differ(drift)
    first = drift[0].reshape(64, 3, 64, 3, 3).mean((1, 3))
    assert np.abs(first - rebuilt).mean() < 10


def test_vae_attributes_go_from_none_to_the_whole(genart, server):
    rng = np.random.default_rng(2)
    attribute = server.base / "input" / "my_attribute"
    for kind, colour in (("with", (220, 40, 40)), ("without", (40, 40, 220))):
        (attribute / kind).mkdir(parents=True)
        for number in range(5):
            noise = rng.integers(-30, 31, (64, 64, 3)) + np.array(colour)
            path = attribute / kind / f"{number}.png"
            Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(path)
    made = genart("vae_attributes", {})
    shutil.rmtree(attribute)
    rows = tiles(made["vae_attribute_00001_.png"], 5, 5).reshape(5, 5, -1)
    away = np.abs(rows - rows[:, :1]).mean(axis=2)  # from the first of each row
    assert (np.diff(away, axis=1) > 0).all()


def test_a_clip_dances_to_its_sound(genart, server):
    graph = Graph()
    frames = graph.node("EmptyImage", width=64, height=48, batch_size=60, color=0x804020)
    audio = graph.node("GenartMakeTestBeat", seed=0, bpm=120.0, bars=1)
    clip = graph.node("CreateVideo", images=frames, audio=audio, fps=30.0)
    names = {"filename_prefix": "dancing_input", "format": "auto", "codec": "auto"}
    saved = graph.node("SaveVideo", video=clip, **names)
    file = graph.run(server)[saved[0]]["images"][0]["filename"]
    shutil.copy(server.base / "output" / file, server.base / "input" / "my_clip.mp4")
    made = genart("dancing_clip", {})
    with av.open(str(made["dancing_clip_00001_.mp4"])) as video:
        assert video.streams.video[0].average_rate == 30
        assert abs(video.streams.video[0].frames - 60) <= 1  # AAC makes the sound a little longer
        assert video.streams.video[0].width == 64 and len(video.streams.audio) == 1


@pytest.fixture
def pictures(server: Any):
    """Folders of soft pictures, as the training workflows name them."""
    places = [server.base / "input" / name for name in ("my_pictures", "my_style")]
    for place in places:
        write_pictures(place, 16)
    soft = np.random.default_rng(3).integers(0, 256, (4, 4, 3), np.uint8)
    large = Image.fromarray(soft).resize((64, 64), Image.Resampling.BICUBIC)
    large.save(server.base / "input" / ONE["Load Image.image"])
    yield places
    for place in places:
        shutil.rmtree(place)


ONE = {"Load Image.image": "workflow_picture.png"}
SHORT = {
    "Train VAE.kimg": 0.008,
    "Train VAE.batch_size": 2,
    "Train VAE.resolution": 32,
    "Train VAE.width": 16,
    "Train VAE.perceptual": 0,
    "Train VAE.measure_every": 0,
}


def test_train_vae_keeps_it_and_shows_what_it_makes(genart, server, pictures):
    made = genart("train_vae", SHORT | ONE | {"Save VAE (Layouts).name": "workflow_vae"})
    with Image.open(made["vae_trained_seed0_00001_.png"]) as compared:
        assert compared.width > 2 * compared.height
    assert (server.base / "models" / "vae" / "workflow_vae.safetensors").is_file()


def test_fine_tune_decoder_shows_it_before_and_after(genart, server, pictures):
    values = SHORT | {"Train VAE.learning_rate": 0.01, "Train VAE.width": 0}
    values |= ONE | {"Save VAE (Layouts).name": "workflow_decoder"}
    made = genart("fine_tune_decoder", values)
    pair = np.asarray(Image.open(made["vae_decoder_seed0_00001_.png"])).astype(int)
    middle = (pair.shape[1] - 8) // 2
    before, after = pair[:, :middle], pair[:, -middle:]
    assert before.shape == after.shape and np.abs(before - after).mean() > 1
    assert (server.base / "models" / "vae" / "workflow_decoder.safetensors").is_file()


def test_traverse_vae_moves_a_number_in_each_row_and_invents(genart, server, pictures):
    sizes = {f"Sample VAE Prior.{side}": 32 for side in ("width", "height")}
    short = SHORT | {"Images from Pictures.side": 32} | sizes
    made = genart("traverse_vae", short | {"Latent Traversal.dimensions": 2})
    assert Image.open(made["vae_traversal_seed0_00001_.png"]).width > 7 * 32
    assert differ(tiles(made["vae_prior_seed0_00001_.png"], 4, 4))


def test_latent_morph_goes_from_one_picture_to_the_other(genart, server):
    rng = np.random.default_rng(4)
    for name, colour in (("first", (210, 60, 40)), ("second", (40, 70, 200))):
        picture = rng.integers(-30, 31, (8, 8, 3)) + np.array(colour)
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).resize((96, 64)).save(
            server.base / "input" / f"workflow_{name}.png"
        )
    values = {
        f"{which} picture.image": f"workflow_{which.lower()}.png" for which in ("First", "Second")
    }
    sizes = {
        f"{which} in one size.{side}": 64
        for which in ("First", "Second")
        for side in ("width", "height")
    }
    made = genart("latent_morph", values | sizes)
    shown = frames(made["latent_morph_00001_.webp"])
    assert shown.shape == (24, 64, 64, 3)
    away = np.abs(shown - shown[:1]).mean((1, 2, 3))
    assert away[12] > away[1] and away[-1] > away[12] > 1
    assert Image.open(made["latent_borrowed_colours_00001_.png"]).size == (64, 64)
    said = next(path for name, path in made.items() if name.endswith(".txt")).read_text()
    assert "Latent Doctor:" in said and "16 channels" in said


def test_latent_atlas_lies_between_four_pictures(genart, server, pictures):
    made = genart("latent_atlas", {"Images from Pictures.side": 64})
    sheet = tiles(made["latent_atlas_00001_.png"], 5, 5).reshape(5, 5, -1)
    assert differ(sheet.reshape(25, -1))
    for side in (sheet[0], sheet[-1], sheet[:, 0], sheet[:, -1]):
        away = np.abs(side - side[:1]).mean(axis=1)
        assert (np.diff(away) > 0).all()
    mixtures = [path for name, path in made.items() if name.startswith("latent_mixtures")]
    assert differ(np.stack([np.asarray(Image.open(path)) for path in mixtures]))
    assert len(mixtures) == 4


def test_keep_latents_mixes_what_it_has_kept(genart, server):
    for name, level in (("dark", 40), ("light", 210)):
        Image.new("RGB", (64, 64), (level, level, level)).save(
            server.base / "input" / f"kept_{name}.png"
        )
    values = {"First picture.image": "kept_dark.png", "Second picture.image": "kept_light.png"}
    sizes = {f"In one size.{side}": 64 for side in ("width", "height")}
    made = genart("keep_latents", values | sizes)
    mixtures = tiles(made["kept_mixtures_00001_.png"], 3, 3)
    assert differ(mixtures)
    second = np.asarray(Image.open(made["kept_second_00001_.png"]).convert("RGB"), float)
    assert np.abs(mixtures[8].reshape(64, 4, 64, 4, 3).mean((1, 3)) - second).mean() < 5
    assert list((server.base / "output" / "latents").glob("my_latents*.safetensors"))
