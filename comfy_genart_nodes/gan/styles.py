"""Style mixing: some layers of one latent, the others of another (Karras et al. 2019, 3.1)."""

import math
from collections.abc import Sequence
from dataclasses import replace

from ..errors import GenartError
from .latents import NO_SEED, GANLatent, to_w_plus
from .networks.generator import Generator, Spec


def mix(
    generator: Generator, a: GANLatent, b: GANLatent, layers: Sequence[int], amount: float = 1.0
) -> GANLatent:
    """Move some layers of `a` towards those of `b`.

    Coarse layers (the first) decide pose and shape, the last ones colour and texture. Mixing
    untruncated latents and truncating the mixture gives what mixing truncated ones gives.

    Args:
        generator: maps latents in z, and says how many layers there are.
        a: what the other layers come from.
        b: what these layers come from; one latent for all of `a`, or as many.
        layers: which, from 0 (the coarsest); negative ones count from the end.
        amount: 1 takes them from `b`, 0 leaves `a` as it is; in between and beyond along the line.

    Returns:
        As many latents as `a`, in w+; without seeds, since no seed makes them.

    Raises:
        GenartError: when the network has one layer alone, or latents or layers do not fit it.
    """
    count = generator.spec.num_ws
    check_mixable(generator.spec)
    _check(a, b, amount)
    wrong = [i for i in layers if not -count <= i < count]
    if wrong or not layers:
        raise GenartError(
            f"There is no layer {wrong[0]}: this GAN has 0 to {count - 1}."
            if wrong
            else f"Say which layers to mix, from 0 to {count - 1}."
        )
    base, other = to_w_plus(generator, a), to_w_plus(generator, b)
    chosen = list(layers)
    mixed = base.tensor.clone()
    mixed[:, chosen] = mixed[:, chosen].lerp(other.tensor[:, chosen], amount)
    return replace(base, tensor=mixed, seeds=(NO_SEED,) * len(a))


def check_mixable(spec: Spec) -> None:
    """Refuse a network that has no layers to mix.

    Raises:
        GenartError: saying so.
    """
    if spec.num_ws < 2:
        raise GenartError(
            "This GAN takes one style for the whole picture: there are no layers to mix."
        )


def _check(a: GANLatent, b: GANLatent, amount: float) -> None:
    """Refuse latents that do not go together."""
    if a.model and b.model and a.model != b.model:
        raise GenartError("These latents belong to different GANs: mix latents of the same one.")
    if len(b) not in (1, len(a)):
        raise GenartError(
            f"{len(b)} latents do not go with {len(a)}: mix in one for all, or one for each."
        )
    if not math.isfinite(amount):
        raise GenartError("The amount of mixing must be a number: 1 is all of it, 0 nothing.")
