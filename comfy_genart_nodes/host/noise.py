"""Noise as ComfyUI's samplers ask for it: NOISE objects, and models that bring their own."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ..errors import GenartError
from ..latent.noise import Travel, noise_of_batch, noise_of_film
from .progress import Progress, show_text
from .vae import latents_of

_KEY = "genart_noise"


@dataclass(frozen=True, eq=False)
class TravellingNoise:
    """A NOISE: noise that differs from frame to frame.

    Attributes:
        travel: what each frame begins with.
        frames: how many there are in all; 0: as many as the sampler has latents.
        film: frames are the moments of a film, not the latents of a batch.
    """

    travel: Travel
    frames: int
    film: bool

    @property
    def seed(self) -> int:
        """With which samplers draw what they add on the way."""
        return self.travel.seed

    def generate_noise(self, input_latent: dict[str, Any]) -> Tensor:
        """Noise for a LATENT, as large, on the CPU.

        Raises:
            GenartError: when it has frames that the travel has not, or is none of pictures.
        """
        latents = input_latent["samples"]
        if not isinstance(latents, Tensor) or latents.ndim not in (4, 5):
            raise GenartError(
                "These latents are of several kinds or not of pictures: take RandomNoise for them."
            )
        if self.film:
            done = Progress(latents.shape[2]).at
            return noise_of_film(self.travel, latents, self.frames, done)
        numbers = input_latent.get("batch_index") or range(len(latents))
        if len(numbers) > 1 and len(set(numbers)) == 1:
            show_text(
                "All latents have one batch_index and so one noise: "
                "LatentBatchSeedBehavior (random) lets it travel."
            )
        if len(numbers) != len(latents):
            raise GenartError(
                f"There are {len(latents)} latents and {len(numbers)} numbers in their "
                "batch_index: let LatentBatchSeedBehavior (random) take it away."
            )
        return noise_of_batch(
            self.travel, latents, list(numbers), self.frames, Progress(len(latents)).at
        )


def with_noise(model: ModelPatcher, noise: Any, samples: dict[str, Any]) -> ModelPatcher:
    """A MODEL that samples these latents from this noise, whatever sampler it gets into.

    Args:
        model: any.
        noise: any NOISE.
        samples: the LATENT that will be sampled, which knows whether it is a part of more.
    """
    count = len(latents_of(samples))

    def begin(
        executor: Callable[..., Tensor], drawn: Tensor, latents: Tensor, *more: Any, **named: Any
    ) -> Tensor:
        if len(latents) != count:
            raise GenartError(
                f"The noise is for {count} latents and {len(latents)} are "
                "sampled: wire the same latents into both nodes."
            )
        if torch.count_nonzero(drawn):  # a sampler that adds no noise goes on adding none
            drawn = noise.generate_noise({**samples, "samples": latents}).to(drawn.device)
        return executor(drawn, latents, *more, **named)

    changed = model.clone()
    changed.remove_wrappers_with_key(WrappersMP.OUTER_SAMPLE, _KEY)
    changed.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, _KEY, begin)
    return changed
