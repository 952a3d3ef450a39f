"""Decoding with a VAE of SD's shape: whole, in ComfyUI's tiles, and seamlessly, as a table.

    python benchmarks/vae.py [--sizes 512x512 1024x1024] [--memory 16] [--comfyui DIR]

Weights are random (the shape is what costs), one latent a size, fp32 on the CPU. Every way is a
process of its own, one after the other. Errors are against the whole pass. "Extra" is the most
memory that the process held beyond what it had before it decoded, weights included.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.contestants import machine, peak_bytes
from comfy_genart_nodes.headless.provision import provision
from comfy_genart_nodes.vae.seamless import decoder_of
from comfy_genart_nodes.vae.strips import Workshop

WAYS = ("whole", "tiled", "seamless")


def decode(way: str, size: str, memory: int, comfyui: Path, result: Path) -> None:
    """In a process of its own: decode, keep the picture, say what it took."""
    sys.path.insert(0, str(comfyui))
    sys.argv = ["main", "--cpu"]
    import comfy.options

    comfy.options.enable_args_parsing()
    import comfy.sd

    shape = {"double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3}
    shape |= {"ch": 128, "ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": []}
    shape["dropout"] = 0.0
    from comfy.ldm.models.autoencoder import AutoencoderKL

    model = AutoencoderKL(ddconfig=shape, embed_dim=4)
    generator = torch.Generator().manual_seed(0)
    for name, weight in model.state_dict().items():
        weight.normal_(std=0.02 if weight.ndim > 1 else 0.2, generator=generator)
        if "norm" in name and name.endswith("weight"):
            weight.add_(1)
    vae = comfy.sd.VAE(
        sd=model.state_dict(), config={"params": {"ddconfig": shape, "embed_dim": 4}}
    )
    width, height = map(int, size.split("x"))
    latent = torch.randn(1, 4, height // 8, width // 8, generator=generator)
    before, start = resident(), time.perf_counter()
    with torch.inference_mode():
        if way == "whole":
            made = vae.decode(latent)
        elif way == "tiled":  # as its node does by default
            made = vae.decode_tiled(latent, tile_x=64, tile_y=64, overlap=8)
        else:
            coder = decoder_of(vae.first_stage_model)
            shop = Workshop(torch.device("cpu"), memory << 20)
            made = vae.process_output(coder(latent, shop))
            made = made.movedim(1, -1)
    seconds = time.perf_counter() - start
    torch.save(made, result)
    print(seconds, (peak_bytes() - before) / 2**20)


def resident() -> int:
    """Bytes that this process holds now (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def rows(size: str, args: argparse.Namespace, comfyui: Path, folder: Path) -> list[str]:
    """Of the table, for a size, width x height."""
    found, whole, first = [], None, 0.0
    for way in WAYS:
        result = folder / f"{way}{size}.pt"
        own = [way, size, str(args.memory), str(comfyui), str(result)]
        line = [sys.executable, __file__, "--decode", *own]
        said = subprocess.run(line, capture_output=True, text=True, check=True).stdout
        seconds, extra = map(float, said.splitlines()[-1].split())
        made = torch.load(result)
        whole, first = (made, seconds) if whole is None else (whole, first)
        apart = (made - whole).abs()
        found.append(
            f"| {size} | {way} | {seconds:.1f} | {seconds / first:.2f} | {extra:.0f} | "
            f"{apart.max():.1e} | {apart.mean():.1e} |"
        )
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", default=["512x512", "1024x1024"])
    parser.add_argument("--memory", type=int, default=16, help="MB of a strip")
    parser.add_argument("--comfyui", type=Path, help="a checkout; the project's own otherwise")
    parser.add_argument("--decode", nargs=5, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.decode:
        way, size, memory, comfyui, result = args.decode
        decode(way, size, int(memory), Path(comfyui), Path(result))
        return
    comfyui = args.comfyui or provision()
    threads = torch.get_num_threads()
    print(f"{machine('cpu', threads, False)}; fp32, strips of {args.memory} MB\n")
    print("| picture | way | s | x whole | extra MB | largest error | mean error |")
    print("|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for size in args.sizes:
            print("\n".join(rows(size, args, comfyui, Path(folder))), flush=True)


if __name__ == "__main__":
    main()
