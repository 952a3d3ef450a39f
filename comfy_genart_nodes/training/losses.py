"""GAN losses, and the penalties beside them.

Scores are `[n, k]`: one for each picture, or k for parts of it. A loss is the mean over the
pictures it was given, so that the losses of a batch's parts, weighed by their shares, add up to
the batch's.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class GANLoss:
    """What discriminator and generator minimise.

    Attributes:
        discriminator: of scores of real and generated pictures.
        generator: likewise.
        relative: the generator's looks at the scores of real pictures too.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]
    relative: bool = False


def _cross_entropy(real: Tensor, fake: Tensor) -> Tensor:
    """Cross-entropy of telling real from generated (Goodfellow et al. 2014)."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def _minimax(real: Tensor, fake: Tensor) -> Tensor:
    """The generator's side of that game itself: log(1 - sigmoid D(fake)), flat where it loses."""
    return -F.softplus(fake).mean()


def _non_saturating(real: Tensor, fake: Tensor) -> Tensor:
    return F.softplus(-fake).mean()


def _hinge(real: Tensor, fake: Tensor) -> Tensor:
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def _score(real: Tensor, fake: Tensor) -> Tensor:
    return -fake.mean()


def _real_above(real: Tensor, fake: Tensor) -> Tensor:
    return F.softplus(fake - real).mean()


def _fake_above(real: Tensor, fake: Tensor) -> Tensor:
    return F.softplus(real - fake).mean()


LOSSES: dict[str, GANLoss] = {
    "logistic": GANLoss(_cross_entropy, _non_saturating),
    "minimax": GANLoss(_cross_entropy, _minimax),
    "hinge": GANLoss(_hinge, _score),
    "r3gan": GANLoss(_real_above, _fake_above, relative=True),
}
"""By the names that runs call them: the generator's non-saturating loss and minimax (Goodfellow et
al. 2014), hinge (Lim and Ye 2017), relativistic pairs (Jolicoeur-Martineau 2018), which R3GAN
(Huang et al. 2024) combines with R1 and R2."""


def r1_penalty(pictures: Tensor, score: Tensor) -> Tensor:
    """Mean squared gradient norm of the score, without gamma / 2 (Mescheder et al. 2018).

    R1 at real pictures, R2 at generated ones.

    Args:
        pictures: [n, c, h, w] as the discriminator saw them, requiring gradients.
        score: [n, k], its scores; of several, their mean counts.
    """
    total = score.mean(dim=1).sum()
    (gradient,) = torch.autograd.grad(total, pictures, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()


def path_length_penalty(
    pictures: Tensor, ws: Tensor, mean: Tensor, noise: Tensor, decay: float = 0.01
) -> tuple[Tensor, Tensor]:
    """How far steps in w change pictures more or less than usual (Karras et al. 2020, section 3.2).

    The length is that of the gradient towards w of a random picture's product with the generated
    one; over all random pictures it tells how much a step in w changes the picture.

    Args:
        pictures: [n, c, h, w], made of `ws`.
        ws: [n, num_ws, w_dim], requiring gradients.
        mean: the running mean of lengths, a scalar; 0 at first.
        noise: [n, c, h, w], normal.
        decay: how fast the mean follows.

    Returns:
        [n], squared deviations from the mean given, through which the generator learns; and the
        mean moved on. That is linear in the lengths: means of a batch's parts, weighed by their
        shares, add up to the batch's.
    """
    product = (pictures * noise).sum() / math.sqrt(pictures.shape[2] * pictures.shape[3])
    (gradient,) = torch.autograd.grad(product, ws, create_graph=True)
    power = gradient.square().sum(dim=2).mean(dim=1)
    lengths = (power + 1e-12).sqrt()
    moved = mean.lerp(lengths.detach().mean().to(mean), decay)
    return (lengths - mean).square(), moved


def rebuilding_loss(pairs: Sequence[tuple[Tensor, Tensor]], scales: int = 4) -> Tensor:
    """How far rebuilt pictures are from those they should be, at the full side, half, a quarter ...

    Where FastGAN (Liu et al. 2021) takes a perceptual distance: means over ever larger squares
    compare shapes and colours where single pixels compare detail.

    Args:
        pairs: rebuilt and wanted pictures, `[n, c, h, w]` each.
        scales: how many sides.

    Returns:
        The sum over pairs of the mean over scales of the mean absolute difference.
    """
    total = pairs[0][0].new_zeros(())
    for rebuilt, wanted in pairs:
        difference = rebuilt - wanted
        for scale in range(scales):
            total = total + F.avg_pool2d(difference, 1 << scale).abs().mean() / scales
    return total
