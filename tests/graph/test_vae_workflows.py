"""The shared workflows with a VAE of one's own, run by `genart run` on a real ComfyUI."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from prompts import Graph
from test_workflows import ROOT, differ, settings, tiles

from comfy_genart_nodes.headless.cli import main


@pytest.fixture
def genart(server: Any, tmp_path: Path) -> Any:
    """Run a shared workflow with a small VAE of random weights; what it made, by name."""
    graph = Graph()
    graph.node("GenartTestWriteTinyDiffusion", seed=3)
    graph.run(server)

    def run(name: str, values: dict[str, Any]) -> dict[str, Path]:
        values = {"Load VAE.vae_name": "tiny_sd3.safetensors"} | values
        where = ["--server", server.url, "--out", str(tmp_path / "out")]
        workflow = str(ROOT / "workflows" / f"{name}.json")
        assert main(["run", workflow, *where, *settings(values)]) == 0
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
