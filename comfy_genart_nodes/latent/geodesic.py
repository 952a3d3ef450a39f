"""The shortest way through what a decoder makes, not through its latents.

Under the metric that features of decoded pictures pull back to the latent space (Arvanitidis et al.
2018) a path of least energy is a shortest one, and goes at constant speed.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

Look = Callable[[Tensor], Tensor]
"""What is seen of latents `[n, ...]`, `[n, features]`, with gradients."""


def energy(path: Tensor, look: Look) -> Tensor:
    """The sum of squared steps of what is seen along a path `[n, ...]`, times their number."""
    seen = look(path).flatten(1)
    return (seen[1:] - seen[:-1]).square().sum() * (len(path) - 1)


def straighten(path: Tensor, look: Look, rounds: int, rate: float = 0.05) -> Iterator[Tensor]:
    """Make a path shorter, round by round; its ends stay.

    Args:
        path: `[n, ...]`, three points or more, on the device and in the dtype to work in.
        look: what is seen of latents. All points are looked at together.
        rounds: how many.
        rate: of Adam, for latents of deviation about 1.

    Yields:
        After every round the best path so far, and after none a worse one than `path`.
    """
    with torch.inference_mode(False), torch.enable_grad():
        first, *_, last = path = path.detach().clone()
        inside = path[1:-1].clone().requires_grad_()
        adam = torch.optim.Adam([inside], lr=rate)
        best, least = path, float("inf")
        for _ in range(rounds):
            whole = torch.cat([first[None], inside, last[None]])
            cost = energy(whole, look)
            if (now := float(cost.detach())) < least:
                best, least = whole.detach().clone(), now
            adam.zero_grad()
            cost.backward()
            adam.step()
            yield best
