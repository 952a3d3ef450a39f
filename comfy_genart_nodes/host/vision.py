"""ComfyUI's CLIP_VISION as what sees pictures for measures."""

import hashlib
from typing import Any

import torch
from torch import Tensor, nn

from .images import to_image
from .memory import batches

PICTURE_BYTES = 2**26
"""Memory that the largest of them (SigLIP at 512, ViT-g) needs for one picture, about."""

_PROBES = 64


class VisionFeatures:
    """The image embeddings of a vision model, as `evaluation.features.Backbone` asks for them.

    Args:
        model: what Load CLIP Vision gives.

    Attributes:
        name: says that it is one, and which: of equal weights equal.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.name = f"clip-vision-{_mark(model.model)}"

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> Tensor:
        """Pictures `[n, 3, h, w]` in -1..1 to `[n, d]` float32 on the CPU."""
        images = to_image(pictures)

        def see(start: int, end: int) -> Tensor:
            seen = self.model.encode_image(images[start:end], crop=False)["image_embeds"]
            embedded: Tensor = seen.float().cpu()
            return embedded.mean(1) if embedded.ndim == 3 else embedded  # SigLIP: one a patch

        return torch.cat(list(batches(self.model.patcher, len(images), PICTURE_BYTES, see)))


def _mark(network: nn.Module) -> str:
    """Twelve letters that differ between networks: numbers spread over every weight, hashed.

    A fine-tuned network differs from its parent in nearly all of them, and hashing all takes
    seconds.
    """
    digest = hashlib.sha256(type(network).__name__.encode())
    for name, weight in sorted(network.state_dict().items()):
        flat = weight.detach().flatten()
        places = torch.linspace(0, max(len(flat) - 1, 0), min(_PROBES, len(flat))).long()
        digest.update(f"{name} {tuple(weight.shape)}".encode())
        digest.update(flat[places.to(flat.device)].float().cpu().numpy().tobytes())
    return digest.hexdigest()[:12]
