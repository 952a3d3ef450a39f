"""Latents to pictures."""

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from ..errors import GenartError
from .latents import GANLatent, nearest_centres, to_w_plus, truncate
from .networks.generator import Frame, Generator, Look, Noise, NoiseMode

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True, eq=False)
class Settings:
    """How latents are shown; the latents themselves stay untruncated.

    Attributes:
        psi: truncation; 1 for none, 0 for the mean picture.
        cutoff: how many of the first layers to truncate; None for all.
        centres: [k, w_dim], several means of w, each latent pulled towards its nearest one
            (Mokady et al. 2022, arXiv 2202.12211); None for the network's one mean.
        noise_mode: "const" (the network's own), "random" or "none".
        noise_strength: factor on the noise.
        noise_seed: of random noise.
        frame: which part of the plane to show.
        precision: "bf16" computes the features of synthesis with eight bits of mantissa.
    """

    psi: float = 1.0
    cutoff: int | None = None
    centres: Tensor | None = None
    noise_mode: NoiseMode = "const"
    noise_strength: float = 1.0
    noise_seed: int = 0
    frame: Frame = field(default_factory=Frame)
    precision: Precision = "fp32"


def styles(generator: Generator, latent: GANLatent, settings: Settings) -> Tensor:
    """The vectors synthesis takes, mapped and truncated, on the generator's device.

    Returns:
        [n, num_ws, w_dim].

    Raises:
        GenartError: when the latents or the centres do not fit the network.
    """
    ws = to_w_plus(generator, latent).tensor.to(generator.w_avg.device)
    centre = generator.w_avg
    if settings.centres is not None:
        centre = nearest_centres(ws, settings.centres.to(ws.device))
    return truncate(ws, centre, settings.psi, settings.cutoff)


def sample(
    generator: Generator, latent: GANLatent, settings: Settings | None = None, first: int = 0
) -> Tensor:
    """Make the pictures of a batch of latents, on the generator's device.

    Every picture's random noise depends on the seed and its place alone, so that a long batch may
    be made in pieces of any size.

    Args:
        generator: the network.
        latent: its latents, at least one.
        settings: truncation, noise and frame.
        first: place of the first latent in the whole batch.

    Returns:
        [n, c, height, width], float32, about -1..1.

    Raises:
        GenartError: when the latents do not fit the network, or the network the frame.
    """
    settings = settings or Settings()
    check_frame(generator, settings.frame)
    with torch.no_grad():
        ws = styles(generator, latent, settings)
        look = _look(settings, first, len(latent))
        with _computing(settings.precision, ws.device):
            return generator.synthesize(ws, look).float()


def _computing(precision: Precision, device: torch.device) -> AbstractContextManager[Any]:
    """Synthesis in a precision; fp32 asks nothing of autocast, which some devices lack."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def picture_bytes(generator: Generator, frame: Frame) -> int:
    """Memory in bytes that one picture needs while it is made, as far as it can be foreseen."""
    if frame.canvas is None:
        return generator.working_bytes
    return generator.working_bytes * math.prod(frame.canvas) // generator.spec.resolution**2


def check_frame(generator: Generator, frame: Frame) -> None:
    """Refuse a frame that a network cannot show.

    Raises:
        GenartError: naming the networks that can, or saying what is wrong with the frame.
    """
    if frame.transform is not None and not generator.movable:
        raise GenartError("Only a StyleGAN3 can move and turn its picture: this GAN is another.")
    if frame.canvas is not None and not generator.stretchable:
        raise GenartError("Only a StyleGAN2 can fill a canvas of another size: this GAN cannot.")
    if frame.transform is not None and not bool(torch.linalg.det(frame.transform.cpu().double())):
        raise GenartError("This transform squeezes the whole picture into a line: choose another.")


def _look(settings: Settings, first: int, count: int) -> Look:
    generators = None
    if settings.noise_mode == "random":
        # Spread by a large odd factor: neighbouring seeds share no picture's noise.
        generators = [
            torch.Generator().manual_seed((settings.noise_seed * 0x9E3779B1 + first + i) % 2**63)
            for i in range(count)
        ]
    noise = Noise(settings.noise_mode, settings.noise_strength, generators)
    return Look(noise, settings.frame)
