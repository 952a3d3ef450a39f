"""Autoencoders of this pack, small, with random weights in every tensor, and pictures for them."""

from typing import Any

import torch
from torch import Tensor

from comfy_genart_nodes.gan.networks.layers import initialise
from comfy_genart_nodes.vae.files import LoadedVAE, header_of
from comfy_genart_nodes.vae.networks.autoencoder import Autoencoder
from comfy_genart_nodes.vae.networks.families import FAMILIES, build

SIDE = 32

SMALL: dict[str, dict[str, Any]] = {
    "tiny": {"width": 8, "blocks": 1},
    "vector": {"resolution": SIDE, "z_dim": 5, "width": 4},
    "kl": {"widths": (32, 32), "layers": 1},
}
"""What decides the shapes of a small one of each family."""

KINDS: list[tuple[str, dict[str, Any]]] = [
    *((family, {}) for family in SMALL),
    ("tiny", {"bottleneck": "vq", "codes": 16}),
    ("tiny", {"bottleneck": "fsq", "levels": (5, 4)}),
    ("kl", {"around": True, "attention": False}),
]
"""Families with what else they can be."""


def small(family: str, seed: int = 0, **settings: Any) -> Autoencoder:
    """A network, in evaluation mode and with no layer that is zero."""
    network = build(family, FAMILIES[family][0](**SMALL[family] | settings))
    initialise(network, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.02 * torch.randn(weight.shape, generator=generator)
        # A codebook's vectors go where pictures are.
        network.upkeep(network.code(pictures(8, seed=9), None), generator)
    return network.eval().requires_grad_(False)


def loaded(network: Autoencoder, **info: Any) -> LoadedVAE:
    """A network as a file's reader gives it."""
    header = header_of(network, info)
    numbers = [float(i) for i in range(network.channels)]
    header["latents"] = {"mean": numbers, "std": numbers, "kl": numbers}
    return LoadedVAE(network, header, "")


def pictures(count: int = 2, side: int = SIDE, seed: int = 3) -> Tensor:
    """Coarse patches with noise, in -1..1."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 4, 4, generator=generator)
    fine = torch.rand(count, 3, side, side, generator=generator)
    return torch.nn.functional.interpolate(coarse, (side, side)) + fine - 1
