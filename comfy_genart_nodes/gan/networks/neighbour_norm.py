"""Batch normalisation that does not depend on how a batch is divided."""

import torch
from torch import Tensor, nn

GROUP = 8
"""Neighbouring pictures that share their statistics."""


class NeighbourNorm(nn.BatchNorm2d):
    """Batch normalisation over groups of neighbouring pictures (in training).

    A batch that groups do not divide forms the fewest larger ones. As long as groups are not
    divided, micro-batches and processes train as the whole batch would. In evaluation, where the
    running mean is kept, and in its tensors' names it is `nn.BatchNorm2d`.
    """

    def forward(self, x: Tensor) -> Tensor:
        """`[n, c, h, w]` to the same."""
        if not self.training or len(x) < 2 * GROUP:
            return nn.BatchNorm2d.forward(self, x)
        groups = x.tensor_split(len(x) // GROUP)
        return torch.cat([nn.BatchNorm2d.forward(self, each) for each in groups])
