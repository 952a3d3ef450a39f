"""Latents to test with: noise, and what has the spectrum of pictures; and the law of noise."""

import torch
from scipy import stats

from comfy_genart_nodes.latent.statistics import excess_kurtosis


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    """N(0, 1)."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def pictures(*shape: int, std: float = 1.0, seed: int = 0) -> torch.Tensor:
    """Noise whose amplitude falls as one over frequency, as of photos (Field 1987)."""
    h, w = shape[-2:]
    far = torch.hypot(torch.fft.fftfreq(h)[:, None] * h, torch.fft.fftfreq(w)[None] * w)
    falling = torch.fft.fft2(noise(*shape, seed=seed)) / far.clamp(min=1)
    made = torch.fft.ifft2(falling).real
    return made / made.std() * std


def is_noise(x: torch.Tensor) -> bool:
    """Whether samples are distributed as N(0, 1), by the measures that a sampler feels."""
    low = sum(stats.kstest(each.flatten().numpy(), "norm").pvalue < 0.05 for each in x)
    kurtosis = float(excess_kurtosis(x.reshape(1, -1)))
    return abs(float(x.std()) - 1) < 0.002 and abs(kurtosis) < 0.02 and low <= 0.1 * len(x)
