"""The shared workflows with paths at constant speed, run by `genart run` on a real ComfyUI."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from test_workflows import ROOT, differ, frames, settings

from comfy_genart_nodes.headless.cli import main
from comfy_genart_nodes.latent.speed import steps, unevenness
from comfy_genart_nodes.training.sight import Sight


def run(server: Any, folder: Path, name: str, values: dict[str, Any]) -> Path:
    """Where a workflow's results lie."""
    where = ["--server", server.url, "--out", str(folder)]
    workflow = ROOT / "workflows" / f"{name}.json"
    assert main(["run", str(workflow), *where, *settings(values)]) == 0
    return folder


def film(folder: Path, begins: str) -> np.ndarray:
    """The one animation whose name begins so."""
    (path,) = folder.glob(f"{begins}_*.webp")
    return frames(path)


def variation(shown: np.ndarray) -> float:
    """How unequal the steps of a loop are."""
    pictures = torch.from_numpy(shown).movedim(-1, 1).float() / 127.5 - 1
    return unevenness(steps((Sight("features")(part) for part in pictures.split(16)), True))


def test_one_side_is_at_constant_speed_and_both_go_the_same_way(server, tmp_path):
    exact = {"Upscale Image By.scale_by": 1, "SaveAnimatedWEBP.lossless": "true"}
    shown = film(run(server, tmp_path, "even_speed", exact), "even_speed")
    assert shown.shape == (72, 64, 130, 3)
    before, after = shown[:, :, :64], shown[:, :, 66:]
    assert np.array_equal(before[0], after[0])
    assert variation(before) > 0.3 and variation(after) < 0.1
    said = next(path for path in tmp_path.iterdir() if path.suffix == ".txt").read_text()
    assert "Even GAN Path:\n  Steps differed by" in said


def test_latents_go_round_through_their_pictures_evenly_or_with_rests(server, tmp_path):
    exact = {"Enlarge the pictures.scale_by": 1, "Save endless.lossless": "true"}
    made = run(server, tmp_path, "latent_path", exact)
    endless, rests = (film(made, f"latent_path_{kind}") for kind in ("endless", "with_rests"))
    assert endless.shape == (48, 64, 64, 3) and differ(endless)
    assert 40 < len(rests) <= 48  # WebP joins those at a rest that are alike
    assert variation(endless) < 0.1 and variation(rests) > 2 * variation(endless)
    steps_of = np.abs(np.roll(endless, -1, axis=0) - endless).mean((1, 2, 3))
    assert steps_of[-1] < 2 * steps_of[:-1].mean()
