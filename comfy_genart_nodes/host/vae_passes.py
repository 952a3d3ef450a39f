"""Any VAE of ComfyUI as the engine asks for one: pictures there and back, each for itself."""

from collections.abc import Callable, Iterator
from typing import Any

import comfy.model_management as mm
import torch
from torch import Tensor

from ..vae.latent_spaces import check_family
from ..vae.networks.vector import VectorVAE
from ..vae.prior import Statistics, settled, statistics_of
from . import memory
from . import vae as in_strips
from .progress import Progress
from .video import marked

STRIP_BYTES = 256 << 20
"""Of the device, for what does not fit into its memory whole."""


class Passes:
    """A VAE at work, in batches that fit into memory, with progress and Cancel.

    Where ComfyUI takes a batch for a film, every picture is a film of its own here.

    Args:
        vae: ComfyUI's.
        total: pictures that it will code in all, both ways, for the bar; 0 where the caller has
            one of its own.

    Raises:
        GenartError: when it is no VAE of pictures.
    """

    def __init__(self, vae: Any, total: int = 1) -> None:
        in_strips.check_pictures(vae)
        self.vae, self.films = vae, vae.latent_dim == 3
        self._progress, self._done = Progress(total) if total else None, 0

    @property
    def factor(self) -> int:
        """Pixels along a side for each place of the latents."""
        return int(self.vae.spacial_compression_encode())

    @property
    def channels(self) -> int:
        """Of its latents."""
        return int(self.vae.latent_channels)

    def statistics(self) -> Statistics | None:
        """What the VAE itself says of its latents."""
        return statistics_of(self.vae.first_stage_model, self.channels)

    def places(self, width: int, height: int) -> tuple[int, ...]:
        """Places of the latents of pictures of a size: down, across; for films one frame first."""
        frames = (1,) if self.films else ()
        network = getattr(self.vae.first_stage_model, "network", None)
        if isinstance(network, VectorVAE):
            return (1, 1)
        return (*frames, max(1, height // self.factor), max(1, width // self.factor))

    def mark(self) -> str:
        """A hash of all that decides what the VAE makes."""
        model = self.vae.first_stage_model
        # Settings of layers, and the scale of latents, stand beside the weights.
        how = (self.vae.vae_dtype, repr(model), getattr(model, "space", None))
        weights = model.state_dict()
        return marked(*how, *(part for pair in weights.items() for part in pair))

    def settled(self, latents: Tensor) -> Tensor:
        """Latents as this VAE can have them: the nearest codes, where those are finite."""
        return settled(self.vae.first_stage_model, latents)

    def cropped(self, image: Tensor) -> Tensor:
        """An IMAGE as pictures `[n, 3, h, w]` in -1..1: of each the middle, of sides that fit.

        Raises:
            GenartError: when it is smaller than one place of the latents.
        """
        return pictures_of(in_strips.cropped(self.vae, image))

    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures `[n, 3, h, w]` in -1..1 to the latents that VAE Encode makes of each."""
        return torch.cat(list(self.encoded(pictures)))

    def encoded(self, pictures: Tensor) -> Iterator[Tensor]:
        """As `encode`, a batch at a time."""
        vae = self.vae
        image = (pictures / 2 + 0.5).movedim(1, -1)

        def whole(part: Tensor) -> Tensor:
            x = vae.process_input(part.movedim(-1, 1))
            x = x.unsqueeze(2) if self.films else x
            return vae.first_stage_model.encode(x.to(vae.device, vae.vae_dtype)).float()

        def strips(part: Tensor) -> Tensor:
            return in_strips.encode(vae, part, STRIP_BYTES)[0]

        frames = [1] if self.films else []
        shape = (1, 3, *frames, *pictures.shape[-2:])
        yield from self._batches(image, vae.memory_used_encode(shape, vae.vae_dtype), whole, strips)

    def items(self, latents: Tensor) -> Tensor:
        """Latents as this VAE decodes them, one after the other: pictures, or films.

        Raises:
            GenartError: when they are another VAE's.
        """
        check_family(latents, self.channels, "VAE")
        if latents.ndim == 4 and self.films:
            return latents.unsqueeze(2)
        if latents.ndim == 5 and not self.films:
            return latents.movedim(2, 1).flatten(0, 1)
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        """Latents `[n, c, ...]` to pictures `[frames, 3, h, w]` in -1..1."""
        return torch.cat(list(self.decoded(latents)))

    def decoded(self, latents: Tensor) -> Iterator[Tensor]:
        """As `decode`, a batch at a time.

        Raises:
            GenartError: when they are another VAE's.
        """
        vae = self.vae
        latents = self.items(latents)

        def whole(part: Tensor) -> Tensor:
            made = vae.first_stage_model.decode(part.to(vae.device, vae.vae_dtype))
            return vae.process_output(made.to(torch.float32, copy=True)).movedim(1, -1)

        def strips(part: Tensor) -> Tensor:
            made, _ = in_strips.decode(vae, part, STRIP_BYTES)
            return made.unsqueeze(0) if self.films else made

        need = vae.memory_used_decode((1, *latents.shape[1:]), vae.vae_dtype)
        for image in self._batches(latents, need, whole, strips):
            yield pictures_of(image.flatten(0, 1) if self.films else image)

    def there_and_back(self, pictures: Tensor) -> Tensor:
        """What the VAE makes of pictures `[n, 3, h, w]` in -1..1."""
        return self.decode(self.encode(pictures))

    def _batches(
        self,
        inputs: Tensor,
        item_bytes: float,
        whole: Callable[[Tensor], Tensor],
        strips: Callable[[Tensor], Tensor],
    ) -> Iterator[Tensor]:
        """Results of inputs; one that does not fit into memory whole is worked on in strips."""

        def work(start: int, end: int) -> Tensor:
            try:
                return whole(inputs[start:end])
            except mm.OOM_EXCEPTION:
                if end - start > 1:
                    raise
            return strips(inputs[start:end])

        at_once = 1 if _joins(self.vae) else max(len(inputs), 1)
        for first in range(0, len(inputs), at_once):
            count = min(at_once, len(inputs) - first)

            def part(start: int, end: int, first: int = first) -> Tensor:
                return work(first + start, first + end)

            for made in memory.batches(self.vae.patcher, count, int(item_bytes), part):
                self._done += len(made)
                if self._progress is not None:
                    self._progress.at(self._done)
                yield made.to(mm.intermediate_device())


def pictures_of(image: Tensor) -> Tensor:
    """An IMAGE `[n, h, w, c]` as the engine's pictures `[n, 3, h, w]` in -1..1.

    They lie on ComfyUI's intermediate device, as do those that come back.
    """
    coloured = image.expand(*image.shape[:-1], 3) if image.shape[-1] == 1 else image[..., :3]
    return coloured.movedim(-1, 1).to(mm.intermediate_device(), torch.float32) * 2 - 1


def _joins(vae: Any) -> bool:
    """Whether it decodes a batch of latents as one film."""
    model = vae.first_stage_model
    return type(getattr(model, "decoder", None)).__name__ == "VideoDecoder" or (
        getattr(getattr(model, "kind", None), "joined", False) and vae.latent_dim == 2
    )
