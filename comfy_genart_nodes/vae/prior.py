"""What is known of a VAE's latents as a whole, and draws from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import GenartError
from .latent_spaces import Scaled


@dataclass(frozen=True, eq=False)
class Statistics:
    """Latents of many pictures, channel by channel.

    Attributes:
        mean: `[c]`.
        std: `[c]`, their standard deviation.
        source: where both are from, to be shown.
        kl: `[c]`, how much each channel tells of a picture, in nats; None where it is not known.
    """

    mean: Tensor
    std: Tensor
    source: str
    kl: Tensor | None = None


def statistics_of(module: nn.Module, channels: int) -> Statistics | None:
    """What a VAE itself says of its latents.

    Args:
        module: as ComfyUI has it.
        channels: of its latents.

    Returns:
        What its training measured; else what the scale and shift of its file say, with which
        latents have about mean 0 and deviation 1; None where it says nothing.
    """
    trained = _trained(getattr(module, "latent_statistics", None) or {}, channels)
    if trained is not None:
        return trained
    scaled = _scaled(module)
    if scaled is None:
        return None
    shift, deviation = scaled
    return Statistics(
        shift.float().cpu().expand(channels).clone(),
        deviation.float().cpu().expand(channels).clone(),
        "scale and shift of the VAE's file",
    )


def _trained(known: Mapping[str, Sequence[float]], channels: int) -> Statistics | None:
    """What a trainer measured, as a file's header has it; None where it has not all."""
    mean, std, kl = (torch.tensor(known.get(name, [])) for name in ("mean", "std", "kl"))
    if not len(mean) == len(std) == channels:
        return None
    telling = len(kl) == channels and float(kl.max()) > 0  # finite codes have no KL
    return Statistics(mean, std, "measured when the VAE was trained", kl if telling else None)


def _scaled(module: Any) -> tuple[Tensor, Tensor] | None:
    """Mean and deviation of latents, as the scale and shift of a file have them."""
    if hasattr(module, "vae_scale") and hasattr(module, "vae_shift"):  # TAESD's layout
        return module.vae_shift.detach(), 1 / module.vae_scale.detach()
    space = getattr(module, "space", None)
    if isinstance(space, Scaled) and space != Scaled():
        return torch.tensor(space.shift), torch.tensor(1 / space.scale)
    config = getattr(getattr(module, "network", None), "config", None)
    if not isinstance(config, Mapping):
        return None
    if config.get("latents_mean") is not None and config.get("latents_std") is not None:
        return torch.tensor(config["latents_mean"]), torch.tensor(config["latents_std"])
    scale = config.get("scaling_factor")
    if not scale:
        return None
    return torch.tensor(config.get("shift_factor") or 0.0), torch.tensor(1 / scale)


def measured(latents: Tensor, source: str) -> Statistics:
    """Statistics of latents `[n, c, ...]`, over pictures and places."""
    values = latents.float().cpu().movedim(1, 0).flatten(1)  # [c, n * places]
    return Statistics(values.mean(1), values.std(1, correction=0), source)


def standard(channels: int) -> Statistics:
    """Those that every VAE's training pulls towards: mean 0 and deviation 1."""
    return Statistics(
        torch.zeros(channels), torch.ones(channels), "mean 0 and deviation 1: nothing is known"
    )


def sample(known: Statistics, shape: tuple[int, ...], seed: int, temperature: float) -> Tensor:
    """Latents by chance: every number is drawn for itself, with its channel's mean and deviation.

    Args:
        known: of the latent space.
        shape: `[n, c, ...]`; the latent at a place of the batch is the same however many follow.
        seed: of the first; the next ones have the next seeds.
        temperature: times the deviation; 0 gives the mean.

    Raises:
        GenartError: when the statistics are of another number of channels.
    """
    if len(known.mean) != shape[1]:
        raise GenartError(
            f"The statistics are of {len(known.mean)} channels, and this VAE's latents have "
            f"{shape[1]}: wire latents that this VAE encoded."
        )
    column = (-1, *[1] * (len(shape) - 2))
    draws = [
        torch.randn(shape[1:], generator=torch.Generator().manual_seed((seed + place) % 2**64))
        for place in range(shape[0])
    ]
    return known.mean.view(column) + temperature * known.std.view(column) * torch.stack(draws)


def settled(module: Any, latents: Tensor) -> Tensor:
    """Latents as a VAE with finite codes has them, the nearest; those of others as they are.

    Args:
        module: as ComfyUI has it.
        latents: `[n, c, h, w]`.
    """
    network: Any = getattr(module, "network", None)
    if getattr(network, "code_count", None) is None:
        return latents
    where = next(network.parameters())
    made: Tensor = network.bottleneck.settle(latents.to(where))
    return made.to(latents)
