"""Low-pass filters by the Kaiser window, as StyleGAN3 designs them (arXiv 2106.12423, app. C)."""

import math

import numpy as np
import torch
from torch import Tensor


def lowpass(taps: int, cutoff: float, width: float, rate: float) -> Tensor:
    """A windowed sinc `[taps]` of sum one.

    Args:
        taps: its length.
        cutoff: frequency at which half of the amplitude passes.
        width: of the transition band, in the unit of the cutoff.
        rate: samples in the unit of length.
    """
    t = _places(taps, rate)
    ideal = torch.sinc(2 * cutoff * t) * _window(taps, width, rate)
    return (ideal / ideal.sum()).float()


def radial_lowpass(taps: int, cutoff: float, width: float, rate: float) -> Tensor:
    """The same in two dimensions, equal in every direction: a windowed jinc `[taps, taps]`.

    Its Fourier transform is a disc where the separable filter's is a square.
    """
    t = _places(taps, rate)
    radius = torch.hypot(t[:, None], t[None]).clamp(min=1e-9 / rate) * math.pi
    window = _window(taps, width, rate)
    ideal = torch.special.bessel_j1(2 * cutoff * radius) / radius * torch.outer(window, window)
    return (ideal / ideal.sum()).float()


def _places(taps: int, rate: float) -> Tensor:
    # Of numpy: on the meta device these few operations would import the compiler, for seconds.
    return torch.from_numpy((np.arange(taps) - (taps - 1) / 2) / rate)


def _window(taps: int, width: float, rate: float) -> Tensor:
    """Kaiser's window `[taps]`, as steep as the transition band allows (Kaiser 1974)."""
    attenuation = 2.285 * (taps - 1) * math.pi * width / (rate / 2) + 7.95
    if attenuation > 50:
        beta = 0.1102 * (attenuation - 8.7)
    elif attenuation > 21:
        beta = 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    else:
        beta = 0.0
    return torch.from_numpy(np.kaiser(taps, beta))
