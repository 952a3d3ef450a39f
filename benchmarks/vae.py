"""Decoding with a VAE of SD's shape: whole, in ComfyUI's tiles, and seamlessly, as a table.

    python benchmarks/vae.py [--sizes 512x512 1024x1024] [--memory 16] [--device cuda]

Weights are random (the shape is what costs), one latent a size, fp32. Every way is a process of its
own, one after the other. Errors are against the whole pass. "Extra" is the most memory that the
process held beyond what it had before it decoded, weights included; on a GPU, of its memory. There
each way decodes once before it is timed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.contestants import machine, peak_bytes
from comfy_genart_nodes.headless.provision import provision
from comfy_genart_nodes.vae.seamless import decoder_of
from comfy_genart_nodes.vae.strips import Workshop

WAYS = ("whole", "tiled", "seamless")


def decode(way: str, size: str, memory: int, device: str, comfyui: Path, result: Path) -> None:
    """In a process of its own: decode, keep the picture, say what it took."""
    sys.path.insert(0, str(comfyui))
    sys.argv = ["main", "--cpu" if device == "cpu" else "--fp32-vae"]
    import comfy.options

    comfy.options.enable_args_parsing()
    import comfy.sd

    torch.backends.cudnn.allow_tf32 = False  # or convolutions of a GPU round to 11 bits

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

    def work() -> torch.Tensor:
        if way == "whole":
            return vae.decode(latent)
        if way == "tiled":  # as its node does by default
            return vae.decode_tiled(latent, tile_x=64, tile_y=64, overlap=8)
        shop = Workshop(torch.device(device), memory << 20)
        made = decoder_of(vae.first_stage_model)(latent, shop)
        return vae.process_output(made).movedim(1, -1)

    with torch.inference_mode():
        seconds, extra, made = on_cpu(work) if device == "cpu" else on_gpu(work)
    torch.save(made, result)
    print(seconds, extra / 2**20)


def on_cpu(work: Callable[[], torch.Tensor]) -> tuple[float, float, torch.Tensor]:
    """Seconds, bytes beyond those it began with, and what was made."""
    before, start = resident(), time.perf_counter()
    made = work()
    return time.perf_counter() - start, peak_bytes() - before, made


def on_gpu(work: Callable[[], torch.Tensor]) -> tuple[float, float, torch.Tensor]:
    """As `on_cpu`, of the GPU's memory, after a first time that nobody counts."""
    work()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    made = work()
    torch.cuda.synchronize()
    return time.perf_counter() - start, torch.cuda.max_memory_allocated(), made


def resident() -> int:
    """Bytes that this process holds now (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def rows(size: str, args: argparse.Namespace, comfyui: Path, folder: Path) -> list[str]:
    """Of the table, for a size, width x height."""
    found, whole, first = [], None, 0.0
    for way in WAYS:
        result = folder / f"{way}{size}.pt"
        own = [way, size, str(args.memory), args.device, str(comfyui), str(result)]
        line = [sys.executable, __file__, "--decode", *own]
        said = subprocess.run(line, capture_output=True, text=True, check=True).stdout
        seconds, extra = map(float, said.splitlines()[-1].split())
        made = torch.load(result)
        whole, first = (made, seconds) if whole is None else (whole, first)
        apart = (made - whole).abs()
        found.append(
            f"| {size} | {way} | {seconds:.2f} | {seconds / first:.2f} | {extra:.0f} | "
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
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--decode", nargs=6, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.decode:
        way, size, memory, device, comfyui, result = args.decode
        decode(way, size, int(memory), device, Path(comfyui), Path(result))
        return
    comfyui = args.comfyui or provision()
    threads = torch.get_num_threads()
    print(f"{machine(args.device, threads, False)}; fp32, strips of {args.memory} MB\n")
    print("| picture | way | s | x whole | extra MB | largest error | mean error |")
    print("|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for size in args.sizes:
            print("\n".join(rows(size, args, comfyui, Path(folder))), flush=True)


if __name__ == "__main__":
    main()
