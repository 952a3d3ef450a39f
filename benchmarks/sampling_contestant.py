"""One contestant of `sampling.py`: a process that makes the same pictures at every "run" it reads.

The originals are imported from the folder they are checked out in; none of their code is here.
"""

from __future__ import annotations

import importlib
import json
import math
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.contestants import serve
from comfy_genart_nodes.gan.networks.compiling import compiled
from comfy_genart_nodes.gan.networks.families import build
from comfy_genart_nodes.gan.networks.generator import Generator, Look, Spec
from comfy_genart_nodes.gan.networks.layers import initialise
from comfy_genart_nodes.gan.networks.r3gan import R3GANSpec
from comfy_genart_nodes.gan.networks.stylegan2_spec import StyleGAN2Spec
from comfy_genart_nodes.gan.networks.stylegan3_spec import StyleGAN3Spec

Make = Callable[[Tensor], Tensor]
_DERIVED = ("resample_filter", "up_filter", "down_filter", "Kernel")  # not weights


def _r3gan(resolution: int) -> R3GANSpec:
    stages = int(math.log2(resolution)) - 1
    full = asdict(R3GANSpec())
    return R3GANSpec(**{k: v[-stages:] if isinstance(v, tuple) else v for k, v in full.items()})


FAMILIES: dict[str, Callable[[int], Spec]] = {
    "sg2-16384": lambda side: StyleGAN2Spec(resolution=side, channel_base=16384),
    "sg2-32768": lambda side: StyleGAN2Spec(resolution=side, channel_base=32768),
    "sg3-t-16384": lambda side: StyleGAN3Spec(resolution=side, channel_base=16384),
    "sg3-t-32768": lambda side: StyleGAN3Spec(resolution=side, channel_base=32768),
    "sg3-r-32768": lambda side: StyleGAN3Spec(
        resolution=side,
        channel_base=32768,
        channel_max=1024,
        conv_kernel=1,
        use_radial_filters=True,
    ),
    "r3gan": _r3gan,
}
"""What can be measured: sg2 by channel base, sg3 by configuration."""

_OURS = {"sg2": "stylegan2", "sg3": "stylegan3", "r3gan": "r3gan"}


@dataclass(frozen=True)
class Task:
    """What a contestant makes, and how.

    Attributes:
        family: of `FAMILIES`.
        resolution: side of the pictures.
        batch: pictures at a time.
        device: torch's name.
        threads: of torch, on a CPU.
        weights: safetensors file with the state of our network.
        compile: through torch.compile.
        bf16: with autocast.
        reference: checkout whose implementation to run in place of ours, "" for ours.
    """

    family: str
    resolution: int
    batch: int
    device: str
    threads: int
    weights: str
    compile: bool = False
    bf16: bool = False
    reference: str = ""


def ours(family: str, resolution: int) -> Generator:
    """Our network with random weights, none of them zero."""
    generator = build(_OURS[family.split("-")[0]], FAMILIES[family](resolution))
    initialise(generator, 0)
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in generator.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.02, generator=random)
    return generator.eval().requires_grad_(False)


def originals(folder: Path) -> tuple[str, ...]:
    """Which families a checkout holds."""
    if (folder / "training" / "networks_stylegan3.py").exists():
        return ("sg2", "sg3")
    if (folder / "R3GAN" / "Networks.py").exists():
        return ("r3gan",)
    if (folder / "training" / "networks.py").exists():
        return ("sg2",)
    sys.exit(f"{folder} is no checkout of stylegan2-ada-pytorch, stylegan3 or R3GAN.")


def _ours(task: Task) -> Make:
    generator = ours(task.family, task.resolution)
    generator.load_state_dict(load_file(task.weights))
    generator.to(task.device)
    if task.compile:
        generator = compiled(generator)
    return lambda ws: generator.synthesize(ws, Look())


def _reference(task: Task) -> Make:
    """The original implementation with our weights."""
    sys.path.insert(0, task.reference)
    spec: Any = FAMILIES[task.family](task.resolution)
    kind = task.family.split("-")[0]
    network: nn.Module
    make: Make
    if kind == "r3gan":
        widths, groups, blocks = list(spec.widths), list(spec.cardinalities), list(spec.blocks)
        module = importlib.import_module("R3GAN.Networks")
        network = module.Generator(spec.z_dim, widths, groups, blocks, spec.expansion)

        def make(ws: Tensor) -> Tensor:
            return network(ws[:, 0])
    else:
        network = _nvidias(kind, spec, Path(task.reference))
        synthesis: Any = network.synthesis
        const = {"noise_mode": "const"} if kind == "sg2" else {}

        def make(ws: Tensor) -> Tensor:
            return synthesis(ws, **const)

    missing, unexpected = network.load_state_dict(load_file(task.weights), strict=False)
    if unexpected or not all(name.endswith(_DERIVED) for name in missing):
        sys.exit(f"{task.reference} has other weights: {(unexpected or missing)[0]}")
    network.eval().requires_grad_(False).to(task.device)
    return make


def _nvidias(kind: str, spec: Any, folder: Path) -> nn.Module:
    shapes = (spec.z_dim, spec.c_dim, spec.w_dim, spec.resolution, spec.img_channels)
    mapping = {"num_layers": spec.mapping_layers}
    synthesis = {"channel_base": spec.channel_base, "channel_max": spec.channel_max}
    if kind == "sg3":
        module = importlib.import_module("training.networks_stylegan3")
        synthesis["conv_kernel"] = spec.conv_kernel
        synthesis["use_radial_filters"] = spec.use_radial_filters
        return module.Generator(*shapes, mapping_kwargs=mapping, **synthesis)
    if (folder / "training" / "networks_stylegan2.py").exists():
        module = importlib.import_module("training.networks_stylegan2")
        return module.Generator(*shapes, mapping_kwargs=mapping, **synthesis)
    module = importlib.import_module("training.networks")
    return module.Generator(*shapes, mapping_kwargs=mapping, synthesis_kwargs=synthesis)


def main(task: Task, pictures: Path) -> None:
    """Make the pictures once; then again at every line read, until it says "end"."""
    made: list[Tensor] = []

    def prepare() -> Callable[[], object]:
        make = _reference(task) if task.reference else _ours(task)
        spec = FAMILIES[task.family](task.resolution)
        random = torch.Generator().manual_seed(2)
        ws = torch.randn(task.batch, spec.num_ws, spec.w_dim, generator=random).to(task.device)

        def work() -> None:
            with torch.no_grad(), torch.autocast(ws.device.type, torch.bfloat16, task.bf16):
                made[:] = [make(ws)]

        return work

    serve(prepare, task.device, task.threads)
    np.save(pictures, made[0].float().cpu().numpy())


if __name__ == "__main__":
    main(Task(**json.loads(sys.argv[1])), Path(sys.argv[2]))
