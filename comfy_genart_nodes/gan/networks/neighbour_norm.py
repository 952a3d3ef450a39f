"""Batch normalisation that does not depend on how a batch is divided."""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUP = 8
"""Neighbouring pictures that share their statistics."""


class NeighbourNorm(nn.BatchNorm2d):
    """Batch normalisation over groups of neighbouring pictures (in training).

    A batch that groups do not divide forms the fewest larger ones. As long as groups are not
    divided, micro-batches and processes train as the whole batch would. In evaluation, and in its
    tensors' names, it is `nn.BatchNorm2d`; the running statistics that this takes are moved on by
    `remember`, once a step with those of the whole batch.
    """

    met: Tensor | None = None
    """Mean and variance times pictures, summed over all since `forget`, `[2, c]`."""

    def forward(self, x: Tensor) -> Tensor:
        """`[n, c, h, w]` to the same."""
        if not self.training:
            return super().forward(x)
        groups = x.tensor_split(max(len(x) // GROUP, 1))
        return torch.cat([self._normalise(each) for each in groups])

    def _normalise(self, x: Tensor) -> Tensor:
        if self.running_mean is None:
            return F.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=self.eps)
        found = self.running_mean.new_zeros(2, self.num_features)
        mean, variance = found
        # A momentum of one leaves in `found` what these pictures alone have.
        y = F.batch_norm(
            x, mean, variance, self.weight, self.bias, training=True, momentum=1.0, eps=self.eps
        )
        sums = found * len(x)
        self.met = sums if self.met is None else self.met + sums
        return y


def _norms(network: nn.Module) -> Iterator[NeighbourNorm]:
    for layer in network.modules():
        if isinstance(layer, NeighbourNorm) and layer.track_running_stats:
            yield layer


def forget(network: nn.Module) -> None:
    """Begin to gather the statistics of a batch."""
    for norm in _norms(network):
        norm.met = None


def met(network: nn.Module, total: int) -> list[Tensor]:
    """What pictures since `forget` add to each layer's statistics of a batch of `total`."""
    return [norm.met / total for norm in _norms(network) if norm.met is not None]


@torch.no_grad()
def remember(network: nn.Module, statistics: Sequence[Tensor]) -> None:
    """Move the running statistics towards those of a batch, `[2, c]` a layer."""
    for norm, (mean, variance) in zip(_norms(network), statistics, strict=True):
        assert norm.running_mean is not None and norm.running_var is not None
        assert norm.num_batches_tracked is not None and norm.momentum is not None
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(variance, norm.momentum)
        norm.num_batches_tracked += 1
