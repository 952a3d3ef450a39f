"""Memory of a ComfyUI while it makes a long video of the shipped GAN, as a table.

    python benchmarks/video_memory.py [FRAMES]

Starts the ComfyUI of `genart setup`, makes a short video (so that everything is loaded), then one
of FRAMES frames (10000), and prints what the server holds at every tenth of it: resident memory as
the operating system counts it.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from comfy_genart_nodes.headless.client import Server
from comfy_genart_nodes.headless.comfyui import running
from comfy_genart_nodes.headless.provision import ComfyUI, prepare_base, provision

GAN, SIDE = "emoji_people_64.safetensors", 64


def prompt(frames: int) -> dict[str, Any]:
    """A walk through four keys, straight into a file."""
    look = {"psi": 0.7, "cutoff": -1, "noise_mode": "const", "noise_seed": 0}
    nodes = {
        "GenartLoadGAN": {"gan_name": GAN},
        "GenartMakeGANLatent": {"gan": ["1", 0], "seed": 0, "batch_size": 4, "class_index": -1},
        "GenartWalkGANLatents": {
            "keys": ["2", 0],
            "frames": frames,
            "mode": "slerp z",
            "loop": True,
        },
        "GenartSampleGANToVideo": {
            "gan": ["1", 0],
            "latents": ["3", 0],
            "fps": 24.0,
            "filename_prefix": "video",
            **look,
        },
    }
    return {
        str(number): {"class_type": kind, "inputs": inputs}
        for number, (kind, inputs) in enumerate(nodes.items(), 1)
    }


def watch(server: Server, process: psutil.Process, frames: int) -> list[tuple[float, int]]:
    """Make the video; seconds since its start and bytes held, five times a second."""
    id_ = server.post("/prompt", {"prompt": prompt(frames)})["prompt_id"]
    began, seen = time.monotonic(), []
    while not (entry := server.get(f"/history/{id_}")):
        seen.append((time.monotonic() - began, process.memory_info().rss))
        time.sleep(0.2)
    if entry[id_]["status"]["status_str"] != "success":
        sys.exit(f"The server made no video: {entry[id_]['status']['messages'][-1]}")
    return seen


def main(frames: int) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        prepare_base(Path(folder))
        comfyui = ComfyUI(provision(), (sys.executable,), Path(folder))
        with running(comfyui) as server:
            children = psutil.Process().children(recursive=True)
            process = max(children, key=lambda each: each.memory_info().rss)
            watch(server, process, 500)
            seen = watch(server, process, frames)
    print(f"{frames} frames {SIDE}x{SIDE} in {seen[-1][0]:.0f} s")
    print(f"as IMAGE batch they would hold {frames * SIDE * SIDE * 3 * 4 / 2**20:.0f} MB more")
    print("| of the way | MB |\n|---|---|")
    for tenth in range(11):
        seconds, held = seen[round(tenth / 10 * (len(seen) - 1))]
        print(f"| {tenth * 10} % ({seconds:.0f} s) | {held / 2**20:.0f} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
