"""Memory of a ComfyUI while it makes a long video, as a table.

    python benchmarks/video_memory.py [gan | latents] [FRAMES]

Starts the ComfyUI of `genart setup`, makes a video of 100 frames (so that everything is loaded),
then one of FRAMES, and prints what the server holds at every tenth of it, and at most in each:
resident memory as the operating system counts it. `gan`: 10000 frames of the shipped GAN.
`latents`: 2000 frames of 256x256 by a small VAE of random weights.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from comfy_genart_nodes.headless.client import Server
from comfy_genart_nodes.headless.comfyui import running
from comfy_genart_nodes.headless.provision import ComfyUI, prepare_base, provision
from comfy_genart_nodes.vae.files import LoadedVAE, header_of, save_vae
from comfy_genart_nodes.vae.networks.families import build
from comfy_genart_nodes.vae.networks.tiny import TinySpec

GAN, VAE = "emoji_people_64.safetensors", "small.safetensors"
FRAMES = {"gan": 10_000, "latents": 2_000}
SIDE = {"gan": 64, "latents": 256}
SHORT = 100


def prompt(kind: str, frames: int) -> dict[str, Any]:
    """Straight into a file: a walk through four keys, or latents by chance."""
    file = {"fps": 24.0, "filename_prefix": "video"}
    side = SIDE[kind]
    if kind == "latents":
        drawn = {"seed": 0, "batch_size": frames, "width": side, "height": side}
        nodes: dict[str, dict[str, Any]] = {
            "GenartLoadVAE": {"vae_name": VAE},
            "GenartSampleVAEPrior": {"vae": ["1", 0], **drawn, "temperature": 1.0},
            "GenartDecodeLatentsToVideo": {"vae": ["1", 0], "samples": ["2", 0], **file},
        }
    else:
        look = {"psi": 0.7, "cutoff": -1, "noise_mode": "const", "noise_seed": 0}
        drawn = {"seed": 0, "batch_size": 4, "class_index": -1}
        walk = {"frames": frames, "mode": "slerp z", "loop": True}
        nodes = {
            "GenartLoadGAN": {"gan_name": GAN, "precision": "auto", "compile": False},
            "GenartMakeGANLatent": {"gan": ["1", 0], **drawn},
            "GenartWalkGANLatents": {"keys": ["2", 0], **walk},
            "GenartSampleGANToVideo": {"gan": ["1", 0], "latents": ["3", 0], **file, **look},
        }
    return {
        str(number): {"class_type": name, "inputs": inputs}
        for number, (name, inputs) in enumerate(nodes.items(), 1)
    }


def write_vae(path: Path) -> None:
    """A quick VAE of random weights."""
    network = build("tiny", TinySpec(width=16, blocks=1))
    network.initialise(torch.Generator().manual_seed(0))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_vae(path, LoadedVAE(network, header_of(network, {"name": path.stem}), ""), "own")


def watch(
    server: Server, process: psutil.Process, queued: dict[str, Any]
) -> list[tuple[float, int]]:
    """Make the video; seconds since its start and bytes held, five times a second."""
    id_ = server.post("/prompt", {"prompt": queued})["prompt_id"]
    began, seen = time.monotonic(), []
    while not (entry := server.get(f"/history/{id_}")):
        seen.append((time.monotonic() - began, process.memory_info().rss))
        time.sleep(0.2)
    if entry[id_]["status"]["status_str"] != "success":
        sys.exit(f"The server made no video: {entry[id_]['status']['messages'][-1]}")
    return seen


def main(kind: str, frames: int) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        prepare_base(Path(folder))
        write_vae(Path(folder) / "models" / "vae" / VAE)
        comfyui = ComfyUI(provision(), (sys.executable,), Path(folder))
        with running(comfyui) as server:
            children = psutil.Process().children(recursive=True)
            process = max(children, key=lambda each: each.memory_info().rss)
            short = watch(server, process, prompt(kind, SHORT))
            seen = watch(server, process, prompt(kind, frames))
    side = SIDE[kind]
    print(f"{frames} frames {side}x{side} in {seen[-1][0]:.0f} s")
    print(f"as IMAGE batch they would hold {frames * side * side * 3 * 4 / 2**20:.0f} MB more")
    for number, run in ((SHORT, short), (frames, seen)):
        print(f"at most, {number} frames: {max(held for _, held in run) / 2**20:.0f} MB")
    print("| of the way | MB |\n|---|---|")
    for tenth in range(11):
        seconds, held = seen[round(tenth / 10 * (len(seen) - 1))]
        print(f"| {tenth * 10} % ({seconds:.0f} s) | {held / 2**20:.0f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("kind", nargs="?", choices=FRAMES, default="gan")
    parser.add_argument("frames", nargs="?", type=int)
    given = parser.parse_args()
    main(given.kind, given.frames or FRAMES[given.kind])
