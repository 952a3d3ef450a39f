"""The processes that train one run together, on one machine or many (torch.distributed).

Each takes a share of neighbouring pictures of every batch. Sums over all of them, gradients
included, are those of one process with the whole batch.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from ..errors import GenartError


@dataclass(frozen=True)
class Team:
    """Who takes part.

    Attributes:
        rank: of this process, from 0.
        size: how many processes there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes what the team has done."""
        return self.rank == 0

    def share(self, total: int) -> range:
        """The places of a batch that this process takes.

        Raises:
            GenartError: when the batch cannot be divided evenly.
        """
        if total % self.size:
            raise GenartError(
                f"A batch of {total} cannot be divided among {self.size} processes: choose a "
                f"multiple of {self.size}."
            )
        each = total // self.size
        return range(self.rank * each, (self.rank + 1) * each)

    @torch.no_grad()
    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their sums over the team, as one message a kind of number."""
        if self.size == 1:
            return
        for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
            alike = [tensor for tensor in tensors if tensor.dtype == dtype]
            joined = torch.cat([tensor.reshape(-1) for tensor in alike])
            dist.all_reduce(joined)
            parts = joined.split([tensor.numel() for tensor in alike])
            for tensor, part in zip(alike, parts, strict=True):
                tensor.copy_(part.view_as(tensor))

    def any(self, *wishes: bool) -> list[bool]:
        """Each wish, whether one of the team has it: all must do the same after the same step."""
        return [count > 0 for count in self.totals(*map(float, wishes))]

    def totals(self, *numbers: float) -> list[float]:
        """The sums of plain numbers over the team."""
        if self.size == 1:
            return list(numbers)
        told = torch.tensor(numbers, dtype=torch.float64)
        told = told.cuda() if dist.get_backend() == "nccl" else told
        self.sum([told])
        return told.tolist()


def join() -> Team:
    """The team that torchrun started this process in; alone without it."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return Team()
    if not dist.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return Team(dist.get_rank(), size)
