"""Latents to pictures."""

import torch
from torch import Tensor

from ..errors import GenartError
from .latents import GANLatent, to_w, truncate
from .stylegan2 import Generator, NoiseMode


def sample(
    generator: Generator,
    latent: GANLatent,
    psi: float = 1.0,
    cutoff: int | None = None,
    noise_mode: NoiseMode = "const",
    noise_seed: int = 0,
    first: int = 0,
) -> Tensor:
    """Make the pictures of a batch of latents, on the generator's device.

    Every picture's random noise depends on the seed and its place alone, so that a long batch may
    be made in pieces of any size.

    Args:
        generator: the network.
        latent: its latents, at least one.
        psi: truncation; 1 for none, 0 for the mean picture.
        cutoff: how many of the first layers to truncate; None for all.
        noise_mode: "const" (the network's own), "random" or "none".
        noise_seed: of random noise.
        first: place of the first latent in the whole batch.

    Returns:
        [n, c, resolution, resolution], float32, about -1..1.

    Raises:
        GenartError: when the latents do not fit the network.
    """
    spec = generator.spec
    if latent.space != "z" and latent.tensor.shape[-1] != spec.w_dim:
        raise GenartError(
            f"These latents have {latent.tensor.shape[-1]} numbers, this GAN wants {spec.w_dim}: "
            "they were made for another GAN."
        )
    if latent.space == "w+" and latent.tensor.shape[1] != spec.num_ws:
        raise GenartError(
            f"These latents have {latent.tensor.shape[1]} layers, this GAN has {spec.num_ws}."
        )
    mapping = generator.mapping
    w = to_w(generator, latent).tensor.to(mapping.w_avg.device)
    ws = w if latent.space == "w+" else w[:, None].expand(-1, spec.num_ws, -1)
    ws = truncate(ws, mapping.w_avg, psi, cutoff)
    generators = None
    if noise_mode == "random":
        # Spread by a large odd factor: neighbouring seeds share no picture's noise.
        generators = [
            torch.Generator().manual_seed((noise_seed * 0x9E3779B1 + first + i) % 2**63)
            for i in range(len(latent))
        ]
    with torch.no_grad():
        return generator.synthesis(ws, noise_mode, generators).float()
