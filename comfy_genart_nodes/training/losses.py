"""GAN losses."""

import torch
import torch.nn.functional as F
from torch import Tensor


def generator_loss(fake: Tensor) -> Tensor:
    """Non-saturating loss of the generator (Goodfellow et al. 2014): -log sigmoid D(fake)."""
    return F.softplus(-fake).mean()


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Cross-entropy of the discriminator (Goodfellow et al. 2014)."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def r1_penalty(real: Tensor, score: Tensor) -> Tensor:
    """R1: mean squared gradient norm at real pictures (Mescheder et al. 2018), without gamma / 2.

    Args:
        real: [n, c, h, w] as the discriminator saw them, requiring gradients.
        score: [n, 1], its scores.
    """
    (gradient,) = torch.autograd.grad(score.sum(), real, create_graph=True)
    return gradient.float().square().sum(dim=(1, 2, 3)).mean()
