"""Attributes as directions in a latent space: the difference of two means.

Larsen et al. 2016 and White 2016: what pictures with an attribute have in common, less what those
without have in common. Added to the latent of another picture it brings the attribute there.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import GenartError
from ..latent.families import family, size


@dataclass(frozen=True, eq=False)
class Direction:
    """An attribute.

    Attributes:
        step: `[1, c, h, w]`, or `[1, c, 1, 1]` where it is the same everywhere; with a further
            axis of length 1 in latents of films.
        nearer: how many pictures lie nearer to the mean of their own kind, where that mean was
            taken without them; None where a kind has one picture alone.
        pictures: how many there are.
    """

    step: Tensor
    nearer: int | None
    pictures: int

    def text(self) -> str:
        """What was found, in a sentence."""
        if self.nearer is None:
            return "Made of a single picture on one side: of chance as much as of the attribute."
        share = self.nearer / self.pictures
        told = f"{self.nearer} of {self.pictures} pictures ({share:.0%}) are known by it"
        if share < 0.65:
            return f"{told}: little more than by chance; take more pictures, or clearer ones."
        return f"{told}, each without having been counted."


def direction(having: Tensor, lacking: Tensor, everywhere: bool) -> Direction:
    """The direction from pictures without an attribute to those with it.

    Args:
        having: latents `[n, c, ...]` of pictures with it.
        lacking: `[m, c, ...]`, without it.
        everywhere: the same step at every place, rather than each place its own.

    Raises:
        GenartError: when places have steps of their own and the sizes differ.
    """
    if everywhere:
        having, lacking = _without_places(having), _without_places(lacking)
    elif having.shape[1:] != lacking.shape[1:]:
        raise GenartError(
            f"The latents of the pictures with the attribute have {size(having)} places and those "
            f"without it {size(lacking)}: scale all pictures to one size, or set places to 'same "
            "everywhere'."
        )
    step = having.mean(0, keepdim=True) - lacking.mean(0, keepdim=True)
    return Direction(step, _nearer(having, lacking), len(having) + len(lacking))


def apply(latents: Tensor, step: Tensor, strength: float, steps: int) -> Tensor:
    """Latents with an attribute added.

    Args:
        latents: `[n, c, ...]`.
        step: of a `Direction`.
        strength: 1 takes the mean of pictures without it to that of those with it; below 0 takes
            the attribute away; 0 leaves latents as they are.
        steps: 1 for one result of each latent; more for as many from none to the whole strength.

    Returns:
        [n * steps, c, ...], the results of a latent one after the other.

    Raises:
        GenartError: when the direction is of another latent space or size.
    """
    step = _fitting(step, latents)
    parts = [1.0] if steps == 1 else [number / (steps - 1) for number in range(steps)]
    results = [latents + part * strength * step.to(latents) for part in parts]
    return torch.stack(results, dim=1).flatten(0, 1)


def _fitting(step: Tensor, latents: Tensor) -> Tensor:
    """A direction that can be added to latents."""
    if step.shape[1] != latents.shape[1]:
        raise GenartError(
            f"The direction is in latents of {family(step.shape[1])}, and these have "
            f"{family(latents.shape[1])}: make it with the VAE that encoded them."
        )
    if len(step) != 1 or step.shape[2:-2].numel() != 1:
        raise GenartError("The direction has to be one latent: wire VAE Attribute Vector.")
    if step.shape[-2:] not in ((1, 1), latents.shape[-2:]):
        raise GenartError(
            f"The direction has {size(step)} places and these latents {size(latents)}: make it of "
            "pictures of their size or with places set to 'same everywhere', or scale it with "
            "Upscale Latent."
        )
    frames = [1] * (latents.ndim - 4)
    return step.reshape(1, -1, *frames, *step.shape[-2:])


def _without_places(latents: Tensor) -> Tensor:
    """Means over places, `[n, c, 1, 1]`, with as many axes as before."""
    return latents.mean(dim=tuple(range(2, latents.ndim)), keepdim=True)


def _nearer(having: Tensor, lacking: Tensor) -> int | None:
    """How many lie nearer to the mean of their own kind, which is taken without them."""
    if min(len(having), len(lacking)) < 2:
        return None
    found = 0
    for own, other in ((having, lacking), (lacking, having)):
        x, mean, foreign = own.flatten(1), own.flatten(1).mean(0), other.flatten(1).mean(0)
        others = (len(x) * mean - x) / (len(x) - 1)
        near = (x - others).square().sum(1) < (x - foreign).square().sum(1)
        found += int(near.sum())
    return found
