"""What latents are like as numbers, and how to make others so: moments, spectra."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .sphere import wide


@dataclass(frozen=True, eq=False)
class Moments:
    """Of each channel of samples.

    Attributes:
        mean: wide, `[n, c]`.
        std: likewise, over places.
    """

    mean: Tensor
    std: Tensor


def moments(x: Tensor) -> Moments:
    """Mean and deviation over all places of each channel of samples `[n, c, ...]`."""
    places = wide(x, x).flatten(2)
    return Moments(places.mean(dim=2), places.std(dim=2, correction=0))


def blended(known: Moments, weights: Tensor) -> Moments:
    """Moments between those of several samples.

    Args:
        known: of `k` samples.
        weights: `[n, k]`, each row of sum 1.
    """
    w = wide(weights, known.mean)
    return Moments(w @ known.mean, w @ known.std)


def matched(x: Tensor, wanted: Moments) -> Tensor:
    """Samples `[n, c, ...]` with other moments (AdaIN, Huang and Belongie 2017).

    A channel of one value has no spread that could be widened: it gets the mean.
    """
    own, shape = moments(x), (*x.shape[:2], *[1] * (x.ndim - 2))
    flat = own.std <= 1e-6 * own.mean.abs().clamp(min=1e-6)
    scale = torch.where(flat, 0.0, wanted.std / own.std.clamp(min=1e-12))
    made = (wide(x, x) - own.mean.reshape(shape)) * scale.reshape(shape)
    return (made + wanted.mean.reshape(shape)).to(x.dtype)


def spectrum(x: Tensor) -> Tensor:
    """The power of each ring of frequencies, wide `[n, c, rings]`; the first is the mean's.

    Args:
        x: `[n, c, h, w]`; rings are one cycle wide over the shorter side.
    """
    power = torch.fft.fft2(wide(x, x), norm="ortho").abs().square()
    rings, count = _rings(x)
    sums = power.new_zeros(*x.shape[:2], len(count))
    sums.index_add_(2, rings.flatten(), power.flatten(2))
    return sums / count


def with_spectrum(x: Tensor, wanted: Tensor) -> Tensor:
    """Samples `[n, c, h, w]` whose rings of frequencies have other powers; phases stay.

    Args:
        x: the samples.
        wanted: `[n, c, rings]`, as of `spectrum`.
    """
    rings, _ = _rings(x)
    own = spectrum(x)
    gain = (wide(wanted, own) / own.clamp(min=torch.finfo(own.dtype).tiny)).sqrt()
    gain = torch.where(own > 0, gain, torch.zeros_like(gain))
    frequencies = torch.fft.fft2(wide(x, x)) * gain[:, :, rings]
    return torch.fft.ifft2(frequencies).real.to(x.dtype)


def excess_kurtosis(x: Tensor) -> Tensor:
    """Of all numbers of samples `[n, ...]`: wide, `[n]`; 0 of a normal distribution."""
    flat = wide(x, x).flatten(1)
    apart = flat - flat.mean(dim=1, keepdim=True)
    variance = apart.square().mean(dim=1)
    return apart.pow(4).mean(dim=1) / variance.square().clamp(min=1e-30) - 3


def _rings(x: Tensor) -> tuple[Tensor, Tensor]:
    """Which ring each frequency of `[..., h, w]` is of, `[h, w]`, and how many each has."""
    h, w = x.shape[-2:]
    across = torch.fft.fftfreq(w, device=x.device), torch.fft.fftfreq(h, device=x.device)
    far = torch.hypot(across[1][:, None], across[0][None, :]) * min(h, w)
    rings = far.round().long()
    count = torch.bincount(rings.flatten())
    return rings, count.clamp(min=1)
