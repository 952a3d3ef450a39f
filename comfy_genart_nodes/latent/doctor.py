"""What latents are, and what is the matter with them, in figures and words."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from .families import deviations, family, size
from .sphere import wide
from .statistics import excess_kurtosis, moments, spectrum

Kind = Literal["empty", "noise", "scaled noise", "picture", ""]

_CHANCE = 5.0
"""So many standard errors are no longer chance."""
_LEAST_DEVIATION, _LEAST_SLOPE, _LEAST_KURTOSIS = 0.02, 0.3, 0.1
"""What a sampler does not feel, however many numbers there are."""
_PICTURE_SLOPE = -0.7
_SMALLEST = 8
"""Places along a side below which no slope is fitted."""
_NEAR = 2.0
"""A spread within this factor is a model's."""
_LISTED = 16
_NAMES: dict[Kind, str] = {
    "empty": "empty: all numbers are 0",
    "noise": "noise",
    "scaled noise": "noise of another strength",
    "picture": "an encoded picture",
    "": "neither plain noise nor clearly a picture",
}


@dataclass(frozen=True)
class Findings:
    """What one sample is like.

    Attributes:
        mean: of all its numbers.
        std: their deviation.
        norm: its norm over that which as much noise of N(0, 1) has.
        kurtosis: excess; 0 of a normal distribution.
        slope: of the logarithm of power over that of frequency: 0 of white noise, about -1 to -3
            of pictures; None where there are too few places.
        broken: how many of its numbers are NaN or infinite. The figures take them as 0.
        flat: which channels have one value only.
        kind: what it is.
        model: whose encoded pictures spread so; "" where no known model's.
        complaints: what is wrong, a sentence each.
    """

    mean: float
    std: float
    norm: float
    kurtosis: float
    slope: float | None
    broken: int
    flat: tuple[int, ...]
    kind: Kind
    model: str = ""
    complaints: tuple[str, ...] = ()

    def text(self) -> str:
        """All of it, but for the complaints, in a line."""
        what = _NAMES[self.kind] + (f", spread as those of {self.model}" if self.model else "")
        slope = "" if self.slope is None else f", spectrum slope {self.slope:.2f}"
        broken = f", {self.broken} numbers NaN or infinite" if self.broken else ""
        return (
            f"{what}. Mean {self.mean:.3f}, deviation {self.std:.3f}, norm {self.norm:.3f} of "
            f"noise's, kurtosis {self.kurtosis:.2f}{slope}{broken}."
        )


def examine(sample: Tensor) -> Findings:
    """Look at one sample `[c, ...]`."""
    broken = int((~sample.isfinite()).sum())
    x = wide(sample.nan_to_num(0, 0, 0), sample)[None]
    std, mean = float(x.std(correction=0)), float(x.mean())
    slope, error = _slope(x)
    flat = (moments(x).std[0] <= 1e-6 * max(std, 1e-12)).nonzero()[:, 0].tolist()
    kind = _kind(x, std, slope, error)
    if len(flat) == x.shape[1] and kind != "empty":
        kind = ""  # one colour, whose spectrum tells nothing
    found = Findings(
        mean=mean,
        std=std,
        norm=float(x.square().mean().sqrt()),
        kurtosis=float(excess_kurtosis(x)),
        slope=slope,
        broken=broken,
        flat=tuple(flat),
        kind=kind,
        model=_model(x.shape[1], std) if kind == "picture" else "",
    )
    return replace(found, complaints=tuple(_complaints(found, x)))


def is_noise(sample: Tensor) -> bool:
    """Whether one sample `[c, ...]` is white noise, of whatever strength."""
    return examine(sample).kind in ("noise", "scaled noise")


def report(samples: Tensor, done: Callable[[int], None] = lambda _: None) -> str:
    """What samples `[n, c, ...]` are, some of them one by one, and what is wrong.

    Args:
        samples: as they are; NaN is told of, not refused.
        done: told how many were looked at.
    """
    channels, count = family(samples.shape[1]), len(samples)
    told = [f"{count} latent{'s' * (count > 1)}: {channels}, {size(samples)} places."]
    wrong: dict[str, list[int]] = {}
    for number, sample in enumerate(samples):
        found = examine(sample)
        if number < _LISTED:
            told.append(f"Latent {number}: {found.text()}")
        for sentence in found.complaints:
            wrong.setdefault(sentence, []).append(number)
        done(number + 1)
    if len(samples) > _LISTED:
        told.append(f"{len(samples) - _LISTED} more were looked at too.")
    told += [f"! Latent {_numbers(which)}: {sentence}" for sentence, which in wrong.items()]
    return "\n".join(told if wrong else [*told, "Nothing is wrong."])


def _slope(x: Tensor) -> tuple[float | None, float]:
    """The slope of a line through rings of `[1, c, ..., h, w]`, and its error by chance."""
    if x.ndim < 4 or min(x.shape[-2:]) < _SMALLEST:
        return None, 0.0
    rings = spectrum(x.flatten(1, -3))[0]
    power = rings.mean(dim=0)[1 : min(x.shape[-2:]) // 2 + 1]
    number = torch.arange(1, len(power) + 1, dtype=power.dtype, device=power.device)
    level = power.clamp(min=1e-30).log()
    apart = number.log() - number.log().mean()
    slope = float((apart * (level - level.mean())).sum() / apart.square().sum())
    # Half of a ring's 2 pi r frequencies tell something new: the logarithm of their mean power
    # varies by one over their number.
    variance = 1 / (len(rings) * torch.pi * number)
    error = float((apart.square() * variance).sum().sqrt() / apart.square().sum())
    return slope, error


def _kind(x: Tensor, std: float, slope: float | None, error: float) -> Kind:
    if not bool(x.any()):
        return "empty"
    unit = abs(std - 1) < max(_LEAST_DEVIATION, _CHANCE / (2 * x.numel()) ** 0.5)
    if slope is None:
        return "noise" if unit else ""
    if abs(slope) < max(_LEAST_SLOPE, _CHANCE * error):
        return "noise" if unit else "scaled noise"
    return "picture" if slope < _PICTURE_SLOPE else ""


def _model(channels: int, std: float) -> str:
    """Whose encoded pictures spread about so."""
    known = deviations(channels)
    away = {name: abs(math.log(std / usual)) for name, usual in known.items()}
    nearest = min(away, key=lambda name: away[name], default="")
    return nearest if nearest and away[nearest] < math.log(_NEAR) else ""


def _complaints(found: Findings, x: Tensor) -> list[str]:
    told, channels = [], x.shape[1]
    if found.broken:
        told.append(
            "some of its numbers are NaN or infinite, and black pictures come of them: encode or "
            "sample it again in fp32."
        )
    if found.flat and found.kind != "empty":
        which = ", ".join(str(channel) for channel in found.flat)
        told.append(f"all places are the same in channel {which} of 0 to {channels - 1}.")
    if found.kind in ("noise", "scaled noise"):
        told += _complaints_of_noise(found, x.numel())
    if found.kind == "picture" and not found.model and deviations(channels):
        told += _complaints_of_spread(found.std, channels)
    return told


def _complaints_of_noise(found: Findings, numbers: int) -> list[str]:
    told = []
    apart = abs(found.kurtosis) > max(_LEAST_KURTOSIS, _CHANCE * (24 / numbers) ** 0.5)
    if apart and found.kurtosis < 0:
        told.append(
            "its kurtosis is below 0, as where noise was interpolated pixel by pixel: use "
            "Interpolate Latents, which takes each sample as a whole."
        )
    elif apart:
        told.append("its kurtosis is above 0: it is not normally distributed.")
    if found.kind == "scaled noise" and math.isclose(found.std, 0.5**0.5, abs_tol=0.02):
        told.append(
            "its deviation is .71, that of the plain mean of two noises, and a sampler makes a "
            "dull, blurred picture of it: use Interpolate Latents or Blend Latents."
        )
    elif found.kind == "scaled noise" and not apart:
        told.append("its deviation is not 1, as a sampler expects it of noise.")
    if abs(found.mean) > found.std * max(_LEAST_DEVIATION, _CHANCE / numbers**0.5):
        told.append("its mean is not 0, as a sampler expects it of noise.")
    return told


def _complaints_of_spread(std: float, channels: int) -> list[str]:
    """Where a model's own scale seems to have been applied, which makes deviations of about 1."""
    if not 1 / _NEAR < std < _NEAR:
        return []
    known = deviations(channels)
    usual = " and ".join(f"{spread:.3g} ({name})" for name, spread in known.items())
    return [
        f"encoded pictures of such latents have a deviation of about {usual}. If it is of one of "
        "these, the model's scale was applied to it already: multiply it by that number."
    ]


def _numbers(which: list[int]) -> str:
    """A few numbers, and how many more there are."""
    few = ", ".join(str(number) for number in which[:_LISTED])
    return few if len(which) <= _LISTED else f"{few} and {len(which) - _LISTED} more"
