"""One latent given what another is like: its contrast, or how much fine detail it has."""

from typing import Literal

from torch import Tensor

from ..errors import GenartError
from .families import size
from .statistics import Moments, matched, moments, spectrum, with_spectrum

How = Literal["moments", "spectrum"]
WAYS: list[How] = ["moments", "spectrum"]
"""Mean and deviation of each channel; besides them how its power is spread over frequencies."""


def match(x: Tensor, like: Tensor, how: How, strength: float) -> Tensor:
    """One sample with statistics of another, channel by channel.

    Args:
        x: `[1, c, ...]`.
        like: the other, with as many channels; for a spectrum of the same size, else of any.
        how: which statistics.
        strength: 0 leaves it as it is, 1 gives it all, more exaggerates.

    Raises:
        GenartError: when the sizes differ and a spectrum is to be matched.
    """
    if strength == 0:
        return x
    made = x if how == "moments" else _with_spectrum(x, like, strength)
    own, other = moments(x), moments(like)
    mean = own.mean + (other.mean - own.mean) * strength
    std = own.std + (other.std - own.std) * strength
    return matched(made, Moments(mean, std.clamp(min=0)))


def _with_spectrum(x: Tensor, like: Tensor, strength: float) -> Tensor:
    """Amplitudes go from its own to the other's; of films frame by frame."""
    if x.shape[2:] != like.shape[2:]:
        raise GenartError(
            f"The latents have {size(x)} places and the reference {size(like)}, whose spectra "
            "cannot be compared: scale one of them, or match the moments."
        )
    pages, other = (each.movedim(1, -3).reshape(-1, *_page(each)) for each in (x, like))
    own, theirs = spectrum(pages).sqrt(), spectrum(other).sqrt()
    wanted = (own + (theirs - own) * strength).clamp(min=0).square()
    made = with_spectrum(pages, wanted)
    return made.reshape(x.movedim(1, -3).shape).movedim(-3, 1)


def _page(x: Tensor) -> tuple[int, ...]:
    return x.shape[1], *x.shape[-2:]
