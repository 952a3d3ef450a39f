"""Several centres of w, for truncation that keeps kinds of pictures apart.

One mean of w lies between the kinds a network makes; pulled towards the nearest of several, every
latent stays what it is (Mokady et al. 2022, "Self-Distilled StyleGAN", arXiv 2202.12211).
"""

from collections.abc import Callable
from itertools import count

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import GenartError
from .latents import NO_SEED, GANLatent
from .networks.generator import Generator

_BATCH = 1024
_ROUNDS = 50


def find_centres(
    generator: Generator,
    k: int,
    samples: int = 60_000,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> GANLatent:
    """Means of the `k` clusters into which random w fall.

    k-means++ (Arthur and Vassilvitskii 2007) and Lloyd's rounds until nothing moves, 50 at most.
    A cluster that loses all its members starts anew at the w farthest from its mean. In networks
    with classes, classes are drawn evenly.

    Args:
        generator: the network.
        k: how many; 64 in the paper.
        samples: how many w to draw.
        seed: of the draw and of the first centres: equal seeds give equal centres.
        progress: told the steps done and in all.

    Returns:
        `k` latents in w, those of the largest clusters first; for `sampling.Settings.centres`.

    Raises:
        GenartError: with no centre, or with fewer samples than centres.
    """
    if not 1 <= k <= samples:
        raise GenartError(f"{k} centres cannot be found among {samples} samples: ask for fewer.")
    random = torch.Generator().manual_seed(seed)
    batches = -(-samples // _BATCH)
    total, steps = batches + k - 1 + _ROUNDS, count(1)

    def tell() -> None:
        if progress:
            progress(next(steps), total)

    w = []
    for i in range(batches):
        w.append(_draw(generator, min(_BATCH, samples - i * _BATCH), random))
        tell()
    points = torch.cat(w)
    centres = _first_centres(points, k, random, tell)
    owner = torch.full((samples,), -1)
    for _ in range(_ROUNDS):
        distance, nearest = torch.cdist(points, centres).min(dim=1)
        tell()
        if torch.equal(nearest, owner):
            break
        owner = _fill_empty(nearest, distance, k)
        centres = _means(points, owner, k)
    if progress:
        progress(total, total)
    order = owner.bincount(minlength=k).argsort(descending=True, stable=True)
    return GANLatent("w", centres[order], None, (NO_SEED,) * k, "")


def _draw(generator: Generator, count: int, random: torch.Generator) -> Tensor:
    """Random w `[count, w_dim]` on the CPU."""
    spec, device = generator.spec, generator.w_avg.device
    z = torch.randn(count, spec.z_dim, generator=random)
    classes = None
    if spec.c_dim:
        drawn = torch.randint(spec.c_dim, (count,), generator=random)
        classes = F.one_hot(drawn, spec.c_dim).float().to(device)
    with torch.no_grad():
        return generator.map(z.to(device), classes).float().cpu()


def _first_centres(
    points: Tensor, k: int, random: torch.Generator, tell: Callable[[], None]
) -> Tensor:
    """k-means++: each next centre drawn with the squared distance from those there are."""
    chosen = [int(torch.randint(len(points), (1,), generator=random))]
    power = torch.full((len(points),), float("inf"))
    while len(chosen) < k:
        # Without the shortcut by products, that a copy has the distance 0; eight times as fast as
        # a difference that is written out.
        newest = points[chosen[-1:]]
        distance = torch.cdist(points, newest, compute_mode="donot_use_mm_for_euclid_dist")
        power = power.minimum(distance[:, 0].square())
        # Where fewer points differ than centres are wanted, all that is left are copies.
        weights = power if bool(power.sum() > 0) else torch.ones_like(power)
        chosen.append(int(torch.multinomial(weights.double(), 1, generator=random)))
        tell()
    return points[chosen]


def _fill_empty(owner: Tensor, distance: Tensor, k: int) -> Tensor:
    """Give each cluster without members the point farthest from its own mean."""
    owner = owner.clone()
    sizes = owner.bincount(minlength=k)
    farthest = iter(distance.argsort(descending=True, stable=True).tolist())
    for empty in (sizes == 0).nonzero()[:, 0].tolist():
        point = next(p for p in farthest if sizes[owner[p]] > 1)
        sizes[owner[point]] -= 1
        owner[point] = empty
        sizes[empty] = 1
    return owner


def _means(points: Tensor, owner: Tensor, k: int) -> Tensor:
    """Mean of each cluster's points, summed in double precision."""
    sums = torch.zeros(k, points.shape[1], dtype=torch.float64)
    sums.index_add_(0, owner, points.double())
    return (sums / owner.bincount(minlength=k)[:, None]).float()
