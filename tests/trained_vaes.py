"""Small autoencoders of this pack, with random weights strong enough to see."""

from pathlib import Path

import torch

from comfy_genart_nodes.vae.files import LoadedVAE, header_of, save_vae
from comfy_genart_nodes.vae.networks.autoencoder import Autoencoder
from comfy_genart_nodes.vae.networks.families import build
from comfy_genart_nodes.vae.networks.kl import KLSpec
from comfy_genart_nodes.vae.networks.tiny import TinySpec
from comfy_genart_nodes.vae.networks.vector import VectorSpec

SPECS = {
    "tiny": TinySpec(channels=4, width=16, blocks=1),
    "vq": TinySpec(channels=4, width=16, blocks=1, bottleneck="vq", codes=16),
    "fsq": TinySpec(channels=4, width=16, blocks=1, bottleneck="fsq", levels=(8, 5, 5, 5)),
    "vector": VectorSpec(resolution=32, z_dim=6, width=8),
    "kl": KLSpec(channels=4, widths=(32, 32), layers=1),
}
FAMILIES = {"tiny": "tiny", "vq": "tiny", "fsq": "tiny", "vector": "vector", "kl": "kl"}


def network(kind: str, seed: int = 0) -> Autoencoder:
    """One of `SPECS`, in evaluation mode."""
    made = build(FAMILIES[kind], SPECS[kind])
    generator = torch.Generator().manual_seed(seed)
    made.initialise(generator)
    with torch.no_grad():
        for weight in made.parameters():
            if weight.ndim > 1:
                spread = (1 / weight[0].numel()) ** 0.5
                weight.add_(torch.randn(weight.shape, generator=generator) * spread)
    return made.eval().requires_grad_(False)


def save(path: Path, kind: str, seed: int = 0, **latents: list[float]) -> Autoencoder:
    """Write one in this pack's layout, with what is known of its latents, and return it."""
    made = network(kind, seed)
    header = header_of(made, {"name": path.stem}) | ({"latents": latents} if latents else {})
    save_vae(path, LoadedVAE(made, header, ""), "own")
    return made
