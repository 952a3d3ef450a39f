"""A few bars of drums and bass, to try with what hears: made of sines and noise, from a seed."""

import torch
from torch import Tensor

RATE = 44_100
_NOTES = (0, 3, 5, 7, 10)
"""Of the minor pentatonic scale, in semitones."""
_LOWEST = 55.0
_STEPS = 16
"""Of a bar."""


def beat(seed: int, bpm: float, bars: int) -> Tensor:
    """Bass drum, snare, hats and a bass line, `[2, samples]` at `RATE`; full scale is nearly used.

    Args:
        seed: of the bass line and the noise.
        bpm: quarters a minute.
        bars: of four quarters.
    """
    generator = torch.Generator().manual_seed(seed)
    step = 60 / bpm / 4 * RATE
    count = round(bars * _STEPS * step)
    room = torch.zeros(2, count + RATE, dtype=torch.float64)  # the last notes ring on, cut below
    kick, snare, hat = _kick(), _snare(generator), _hat(generator)
    line = torch.randint(len(_NOTES), (bars * _STEPS // 2,), generator=generator).tolist()
    for place in range(bars * _STEPS):
        at, inside = round(place * step), place % _STEPS
        if inside % 4 == 0:
            _add(room, kick, at, 0.5)
        if inside in (4, 12):
            _add(room, snare, at, 0.45)
        if inside % 4 == 2:
            _add(room, hat, at, 0.3 + 0.4 * (inside % 8 == 2))
        if inside % 2 == 0 and inside % 4 != 0:
            _add(room, _bass(_NOTES[line[place // 2]], 1.6 * step / RATE), at, 0.5)
    sound = room[:, :count]
    fade = torch.linspace(1, 0, min(count, RATE // 50), dtype=torch.float64)
    sound[:, count - len(fade) :] *= fade
    return (0.9 * sound / sound.abs().max()).float()


def _add(room: Tensor, sound: Tensor, at: int, side: float) -> None:
    """Put a sound into the room, from 0, left, to 1, right."""
    room[0, at : at + len(sound)] += sound * min(1.0, 2 - 2 * side)
    room[1, at : at + len(sound)] += sound * min(1.0, 2 * side)


def _time(seconds: float) -> Tensor:
    return torch.arange(round(seconds * RATE), dtype=torch.float64) / RATE


def _kick() -> Tensor:
    """A sine that falls from 160 to 45 hertz."""
    time = _time(0.35)
    phase = 45 * time + (160 - 45) * 0.03 * (1 - torch.exp(-time / 0.03))
    return torch.sin(2 * torch.pi * phase) * torch.exp(-time / 0.11)


def _snare(generator: torch.Generator) -> Tensor:
    time = _time(0.22)
    hiss = torch.randn(len(time), generator=generator, dtype=torch.float64)
    body = torch.sin(2 * torch.pi * 190 * time) * torch.exp(-time / 0.04)
    return 0.35 * body + 0.16 * hiss * torch.exp(-time / 0.06)


def _hat(generator: torch.Generator) -> Tensor:
    time = _time(0.06)
    hiss = torch.randn(len(time) + 2, generator=generator, dtype=torch.float64)
    return 0.06 * hiss.diff(n=2) * torch.exp(-time / 0.015)  # differences have only high pitches


def _bass(semitones: int, seconds: float) -> Tensor:
    """A plucked string: the higher a partial, the sooner it fades."""
    time = _time(seconds)
    hertz = _LOWEST * 2 ** (semitones / 12)
    partials = [
        torch.sin(2 * torch.pi * n * hertz * time) / n * torch.exp(-time * n / 0.35)
        for n in range(1, 7)
    ]
    soft = (torch.minimum(time, time[-1] - time) / 0.004).clamp(0, 1)
    return 0.4 * soft * torch.stack(partials).sum(dim=0)
