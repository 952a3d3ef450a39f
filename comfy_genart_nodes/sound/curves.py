"""What a sound does over time, one number a frame: how loud it is, in all or in a band; onsets.

All are of amplitudes to the power 0.6, as loudness is felt (Stevens 1957), and are brought to 0..1
by the largest of them.
"""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor

from ..errors import GenartError

BANDS = {"low": (20.0, 250.0), "mid": (250.0, 4000.0), "high": (4000.0, math.inf)}
"""In hertz: drums and bass; voices and most instruments; cymbals, hiss, consonants."""
KINDS = ("loudness", "onsets", *BANDS)
LONGEST = 1_000_000
"""Frames: over eleven hours at 24 a second."""

_ALL = (20.0, math.inf)
_FELT = 0.6
_QUIET = 1e-3
"""An amplitude (of 1) below which a sound is silence: it is not made larger."""
_FAINT = 1e-2
"""A band so much weaker than the whole is empty: what it holds has leaked from others."""
_WINDOW = 0.046
"""Seconds of a sound that its pitch is told by, where frames are shorter."""
_STEP = 0.01
"""Seconds between looks for onsets, at most."""
_LATELY = 0.1
"""Seconds: what swells and ebbs faster than that, as two tones do, begins nothing."""
_ONSET_BANDS = (0.0, 150.0, 300.0, 600.0, 1200.0, 2400.0, 4800.0, 9600.0, math.inf)
_LEAST_ONSET = 0.1
"""Of the loudest step: smaller rises alone are no onsets but flutter."""
_CHUNK = 2**20
"""Samples at a time: a long sound needs little memory beside its own."""


def curve(
    waveform: Tensor,
    rate: int,
    kind: str,
    fps: float,
    attack: float = 0.0,
    release: float = 0.0,
    gain: float = 1.0,
    done: Callable[[float], None] = lambda share: None,
) -> Tensor:
    """A number for each frame.

    Args:
        waveform: `[channels, samples]`, full scale 1; channels are mixed.
        rate: samples a second.
        kind: one of `KINDS`.
        fps: frames a second.
        attack: seconds in which it follows a rise to 63 %; 0 at once.
        release: likewise for falls.
        gain: what the result is multiplied with, before it is held to 0..1.
        done: told which share of the sound was heard; may raise to stop.

    Returns:
        `[round(seconds * fps)]`, in 0..1, the largest `gain` or 1; all zeros of silence.

    Raises:
        GenartError: when the sound is shorter than a frame, or no sound.
    """
    if not waveform.isfinite().all():
        raise GenartError("This sound holds values that are no numbers: look at what made it.")
    mono = waveform.double().mean(dim=0)
    count = math.floor(mono.numel() / rate * fps + 0.5)
    if not 1 <= count <= LONGEST:
        raise GenartError(
            f"{mono.numel() / rate:.3g} seconds of sound are {count} frames: take one of 1 to "
            f"{LONGEST}."
        )
    raw, least = (
        _onsets(mono, rate, count, fps, done)
        if kind == "onsets"
        else _strength(mono, rate, count, fps, BANDS.get(kind, _ALL), done)
    )
    smooth = follow(raw, attack * fps, release * fps)
    return (gain * smooth / max(float(smooth.max()), least)).clamp(0, 1).float()


def follow(values: Tensor, attack: float, release: float) -> Tensor:
    """The envelope of values `[n]`: it comes nearer by a part of the distance, starting from 0.

    Args:
        values: none negative.
        attack: after so many values it has come 63 % of the way up; 0 at once.
        release: likewise down.
    """
    up, down = (1 - math.exp(-1 / each) if each > 0 else 1.0 for each in (attack, release))
    held, followed = 0.0, []
    for value in values.tolist():
        held += (value - held) * (up if value > held else down)
        followed.append(held)
    return torch.tensor(followed, dtype=values.dtype)


def _strength(
    mono: Tensor,
    rate: int,
    count: int,
    fps: float,
    band: tuple[float, float],
    done: Callable[[float], None],
) -> tuple[Tensor, float]:
    """How strong a band is around the middle of each frame, and what counts as nothing."""
    length = math.ceil(max(2 / fps, _WINDOW) * rate)
    window = torch.blackman_window(length, periodic=False, dtype=torch.float64)
    scale = 2 / (length * float(window.square().sum()))

    def felt(frames: Tensor) -> Tensor:
        power = torch.fft.rfft(frames * window).abs().square() * scale
        sums = [power[:, _within(length, rate, *each)].sum(dim=1) for each in (band, _ALL)]
        return torch.stack(sums, dim=1).sqrt().pow(_FELT)

    starts = _starts(count, rate / fps, (rate / fps - length) / 2)
    strengths, whole = _each(mono, starts, length, felt, done).unbind(dim=1)
    return strengths, max(_QUIET**_FELT, _FAINT**_FELT * float(whole.max()))


def _onsets(
    mono: Tensor, rate: int, count: int, fps: float, done: Callable[[float], None]
) -> tuple[Tensor, float]:
    """How much begins in each frame, and what counts as nothing.

    The rise of bands (spectral flux; Bello et al. 2005) above all that was lately. Windows end with
    the step that they tell of: an onset is never early, and late by a step at most.
    """
    steps = math.ceil(1 / fps / _STEP)
    hop = rate / fps / steps
    length = math.ceil(2 * hop)
    window = torch.hann_window(length, dtype=torch.float64)
    scale = 2 / (length * float(window.square().sum()))

    def powers(windows: Tensor) -> Tensor:
        power = torch.fft.rfft(windows * window).abs().square() * scale
        slices = (_within(length, rate, *edges) for edges in pairwise(_ONSET_BANDS))
        return torch.stack([power[:, each].sum(dim=1) for each in slices], dim=1)

    each = _each(mono, _starts(count * steps, hop, -hop), length, powers, done)
    felt = _past(each, 3).mean(dim=0).sqrt().pow(_FELT)  # a bass turns slower than a step
    lately = math.ceil(_LATELY * steps * fps)
    before = _past(felt, lately + 1)[1:].amax(dim=0)
    rises = (felt - before).clamp(min=0).sum(dim=1)
    loudest = float(felt.sum(dim=1).max())
    return rises.reshape(count, steps).sum(dim=1), max(_QUIET**_FELT, _LEAST_ONSET * loudest)


def _past(values: Tensor, count: int) -> Tensor:
    """Values `[n, ...]` as they are, one earlier, two earlier ...: `[count, n, ...]`."""
    nothing = values.new_zeros(count - 1, *values.shape[1:])
    padded = torch.cat([nothing, values])
    return torch.stack([padded[count - 1 - back : len(padded) - back] for back in range(count)])


def _starts(count: int, hop: float, offset: float) -> Tensor:
    """At which sample each window begins."""
    places = torch.arange(count, dtype=torch.float64)
    return (places * hop + offset + 0.5).floor().long()


def _each(
    mono: Tensor,
    starts: Tensor,
    length: int,
    measure: Callable[[Tensor], Tensor],
    done: Callable[[float], None],
) -> Tensor:
    """What is measured of windows `[n, length]`; before and after the sound is silence."""
    measured, heard = [], 0
    for part in _windows(mono, starts, length):
        measured.append(measure(part))
        heard += len(part)
        done(heard / len(starts))
    return torch.cat(measured)


def _windows(mono: Tensor, starts: Tensor, length: int) -> Iterator[Tensor]:
    for part in starts.split(max(1, _CHUNK // length)):
        places = part[:, None] + torch.arange(length)
        inside = (places >= 0) & (places < mono.numel())
        yield torch.where(inside, mono[places.clamp(0, mono.numel() - 1)], 0.0)


def _within(length: int, rate: int, low: float, high: float) -> slice:
    """Which frequencies of a window's transform lie from one to below another, but for the mean."""
    first = max(1, math.ceil(low * length / rate))
    last = length // 2 + 1 if high == math.inf else math.ceil(high * length / rate)
    return slice(first, max(first, last))


def read(values: object) -> Tensor:
    """A curve as nodes pass it on a FLOAT socket: a list of numbers, an array, or one number.

    Returns:
        float64 `[n]`.

    Raises:
        GenartError: when it is something else, or holds no numbers.
    """
    try:
        found = torch.as_tensor(values, dtype=torch.float64).flatten().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise GenartError("This curve is no list of numbers: wire Audio Curve.") from error
    if not len(found) or not bool(found.isfinite().all()):
        raise GenartError("This curve holds no numbers: wire Audio Curve, or a list of numbers.")
    return found
