"""VAEs of this pack in a ComfyUI that has never heard of it."""

import math
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from prompts import Graph

from comfy_genart_nodes.training.vae_config import vae_settings
from comfy_genart_nodes.training.vae_step import VAETraining
from comfy_genart_nodes.vae.files import LoadedVAE, header_of, save_vae
from comfy_genart_nodes.vae.likeness import psnr

SIDE = 32


@pytest.fixture(scope="module")
def unseen(repository: Path) -> np.ndarray:
    """Emoji, uint8 [391, 32, 32, 3]: those that a run of seed 0 keeps apart."""
    with Image.open(repository / "tests" / "fixtures" / "emoji" / "unseen_32.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    rows, columns = (side // SIDE for side in pixels.shape[:2])
    cells = pixels.reshape(rows, SIDE, columns, SIDE, 3).swapaxes(1, 2).reshape(-1, SIDE, SIDE, 3)
    return cells[:391]


def round_trip(server: Any, pictures: np.ndarray, file: Path) -> np.ndarray:
    """What ComfyUI's own nodes make of pictures with the VAE in a file."""
    folder = server.base / "models" / "vae"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, folder)
    frames = [Image.fromarray(picture) for picture in pictures]
    frames[0].save(
        server.base / "input" / "unseen.tif",
        save_all=True,
        append_images=frames[1:],
        compression="tiff_deflate",
    )
    graph = Graph()
    images = graph.node("LoadImage", image="unseen.tif")
    vae = graph.node("VAELoader", vae_name=file.name)
    latents = graph.node("VAEEncode", pixels=images, vae=vae)
    return graph.pictures(server, graph.node("VAEDecode", samples=latents, vae=vae))


def decibel(made: np.ndarray, real: np.ndarray) -> float:
    error = (made.astype(np.float64) - real) / 255
    return -10 * math.log10(float((error**2).mean()))


def test_it_has_no_node_of_the_pack(bare_server):
    assert not [name for name in bare_server.object_info() if name.startswith("Genart")]


def test_a_fresh_vae_does_what_it_did_where_it_learned(bare_server, unseen, tmp_path):
    real = torch.from_numpy(unseen[:48]).movedim(-1, 1)
    config = vae_settings(
        "tiny", resolution=SIDE, width=16, pixel="l2", perceptual=0.0, adversarial=0.0
    )
    training = VAETraining(config, real.numpy(), torch.device("cpu"), "fp32")
    for _ in range(40):
        training.advance()
    network = training.average
    save_vae(
        tmp_path / "fresh.safetensors", LoadedVAE(network, header_of(network, {}), ""), "stock"
    )
    signed = real.float() / 127.5 - 1
    with torch.no_grad():
        here = psnr(network.decode(network.encode(signed)), signed)
    there = decibel(
        round_trip(bare_server, unseen[:48], tmp_path / "fresh.safetensors"), unseen[:48]
    )
    assert here > 12  # it has learned: grey alone comes to 8
    assert there == pytest.approx(here, abs=0.03)


def test_the_shipped_vae_is_worth_what_its_card_says(bare_server, repository, unseen):
    folder = repository / "models" / "vae"
    said = re.search(r"PSNR \| ([0-9.]+) dB", (folder / "emoji.md").read_text())
    made = round_trip(bare_server, unseen, folder / "emoji.safetensors")
    # SaveImage cuts numbers off where the card rounds them: .01 dB.
    assert decibel(made, unseen) == pytest.approx(float(said[1]), abs=0.03)
