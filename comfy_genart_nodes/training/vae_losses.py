"""What an autoencoder learns from, beside features (`perceptual.py`) and a critic's opinion.

All are means over the pictures given, so that those of a batch's parts, weighed by their shares,
add up to the batch's.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .losses import LOSSES

_NEVER_ZERO = 1e-4
_MOST = 1e4
_SMALLEST = 0.25  # part of a side that the smallest views have (Kouzelis et al. 2025)

hinge = LOSSES["hinge"].discriminator
"""A critic's loss, of scores of real pictures and of made ones."""

_DISTANCES = {"l1": F.l1_loss, "l2": F.mse_loss}


def pixel_loss(kind: str, made: Tensor, real: Tensor) -> Tensor:
    """How far pictures are from those they should be, a mean over all their numbers.

    Args:
        kind: "l1" of absolute differences, which leaves edges sharp; "l2" of squared ones, which
            PSNR counts.
        made: `[n, c, h, w]`.
        real: likewise.
    """
    return _DISTANCES[kind](made, real)


def kl_share(kl: Tensor, pictures: Tensor) -> Tensor:
    """The divergence as it stands beside a mean over pixels.

    An ELBO adds nats a picture to a sum over the picture's numbers. Where that sum is divided by
    how many there are, so is this: a weight means the same at every size.

    Args:
        kl: `[n, c, h, w]`, nats of each latent number.
        pictures: `[n, 3, h, w]`, whose numbers count.
    """
    return kl.sum() / pictures.numel()


def pull(made: Tensor, gradient: Tensor, last: nn.Parameter) -> Tensor:
    """How a loss pulls at the weights of a decoder's last layer: its gradient there.

    Args:
        made: pictures with their graph, which this leaves in place.
        gradient: of the loss, in them, of their shape.
        last: the weights.
    """
    return torch.autograd.grad(made, last, gradient, retain_graph=True)[0]


def adaptive_weight(likeness: Tensor, opinion: Tensor) -> Tensor:
    """What a critic's loss is multiplied by, for its pull to be as strong as that of likeness.

    Esser et al. 2021 (VQGAN), equation 7: the norm of the gradient of the last layer's weights
    from likeness over that from the critic, at most 1e4.

    Args:
        likeness: how likeness pulls (`pull`), of the whole batch.
        opinion: how the critic does.
    """
    return (likeness.norm() / (opinion.norm() + _NEVER_ZERO)).clamp(max=_MOST)


def eq_views(latents: Tensor, pictures: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    """Latents turned and made smaller, and the pictures likewise (EQ-VAE, Kouzelis et al. 2025).

    A decoder that makes the one of the other is at home in latents that were edited like pictures.
    All are turned by the same number of quarters, and get the same side: a whole number of places,
    from a quarter of the side they had to all of it, each equally likely.

    Args:
        latents: `[n, c, h, w]` of the pictures.
        pictures: `[n, 3, f h, f w]`.
        draws: from which turn and side are drawn.
    """
    high, wide = latents.shape[2:]
    factor = pictures.shape[2] // high
    least = min(high, wide)
    smallest = max(1, round(least * _SMALLEST))
    places = int(torch.randint(smallest, least + 1, (), generator=draws))
    turns = int(torch.randint(4, (), generator=draws))
    sides = tuple(max(1, round(side * places / least)) for side in (high, wide))
    small = _shrunk(latents, sides), _shrunk(pictures, tuple(factor * side for side in sides))
    return small[0].rot90(turns, (2, 3)), small[1].rot90(turns, (2, 3))


def _shrunk(x: Tensor, sides: tuple[int, ...]) -> Tensor:
    """`[n, c, h, w]` with shorter sides, each new number a mean over those it stands for.

    Weighted by a triangle: no number lies outside the range of those before, as with finer filters.
    """
    if x.shape[2:] == sides:
        return x
    return F.interpolate(x, sides, mode="bilinear", align_corners=False, antialias=True)
