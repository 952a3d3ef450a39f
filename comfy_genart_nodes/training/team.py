"""The processes that train one run together, on one machine or many (torch.distributed).

Each takes a share of neighbouring pictures of every batch. Sums over all of them, gradients
included, are those of one process with the whole batch.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from ..errors import GenartError

PATIENCE = timedelta(hours=2)  # while the first process writes and measures, the others wait


class LostError(GenartError):
    """Another process of the team has ended, or cannot be reached."""


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

    def share(self, total: int, group: int) -> range:
        """The places of a batch that this process takes.

        Args:
            total: pictures in the batch.
            group: neighbours that stay together, since the networks compare them.

        Raises:
            GenartError: when the batch cannot be divided evenly between groups.
        """
        step = self.size * group
        if self.size > 1 and total % step:
            below = total // step * step
            fitting = f"{below} or {below + step}" if below else f"{step}"
            why = f", since every {group} pictures belong together" if group > 1 else ""
            raise GenartError(
                f"A batch of {total} cannot be divided among {self.size} processes{why}: choose a "
                f"batch of {fitting}, or fewer processes."
            )
        each = total // self.size
        return range(self.rank * each, (self.rank + 1) * each)

    @torch.no_grad()
    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their sums over the team, as one message a kind of number.

        Raises:
            LostError: when one of the team has ended.
        """
        if self.size == 1:
            return
        for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
            alike = [tensor for tensor in tensors if tensor.dtype == dtype]
            joined = torch.cat([tensor.reshape(-1) for tensor in alike])
            self._sum(joined)
            parts = joined.split([tensor.numel() for tensor in alike])
            for tensor, part in zip(alike, parts, strict=True):
                tensor.copy_(part.view_as(tensor))

    def _sum(self, tensor: Tensor) -> None:
        try:
            dist.all_reduce(tensor)
        except RuntimeError as error:
            raise LostError(
                f"Another of the {self.size} processes that train together has ended or cannot be "
                "reached: log.txt of the run may say why; start the run again, and it goes on from "
                "its newest checkpoint."
            ) from error

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


def check_processes(device: str, processes: int) -> None:
    """Refuse more processes than there are graphics cards for; a CPU has room for any number.

    Raises:
        GenartError: when there are too few.
    """
    kind = torch.device(device).type
    if processes == 1 or kind == "cpu":
        return
    cards = torch.cuda.device_count() if kind == "cuda" else 1
    if processes > cards:
        raise GenartError(
            f"Training on {processes} GPUs needs so many graphics cards, and this machine has "
            f"{cards}: lower the number of GPUs."
        )


def join(device: str) -> Team:
    """The team that this process was started in, by torchrun or `crew.py`; alone without one.

    Args:
        device: where the run trains, as torch names it; of several graphics cards each process
            takes its own.

    Raises:
        GenartError: when there is no graphics card for this process, or no way to the others.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return Team()
    if not dist.is_initialized():
        cards = torch.device(device).type == "cuda"
        if cards:
            place = int(os.environ.get("LOCAL_RANK", "0"))
            check_processes(device, place + 1)
            torch.cuda.set_device(place)
        backend = "nccl" if cards and dist.is_nccl_available() else "gloo"
        try:
            dist.init_process_group(backend, timeout=PATIENCE)
        except RuntimeError as error:
            where = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
            raise GenartError(
                f"The {size} processes that are to train together could not meet at {where} "
                f"({str(error).splitlines()[0]}): check the addresses and the network."
            ) from error
    return Team(dist.get_rank(), size)
