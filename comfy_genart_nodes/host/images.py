"""The engine's pictures as ComfyUI's IMAGE and back as previews."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import GenartError


def to_image(pictures: Tensor) -> Tensor:
    """Pictures `[n, c, h, w]` in -1..1 to an IMAGE `[n, h, w, 3]` (4 with alpha) in 0..1."""
    image = (pictures.float() / 2 + 0.5).clamp(0, 1).movedim(1, -1)  # [n, h, w, c]
    return image.expand(-1, -1, -1, 3) if image.shape[-1] == 1 else image


def read_image(picture: Image.Image) -> Tensor:
    """A decoded picture file to an IMAGE `[1, h, w, 3]` in 0..1."""
    rgb = picture.convert("RGB")
    values = torch.frombuffer(bytearray(rgb.tobytes()), dtype=torch.uint8)
    return values.reshape(1, rgb.height, rgb.width, 3).float() / 255


def to_picture(image: Tensor) -> Image.Image:
    """One picture `[h, w, 3]` of an IMAGE, for a preview."""
    return Image.fromarray((image.cpu() * 255).round().clamp(0, 255).byte().numpy())


def to_bytes(image: Tensor) -> np.ndarray:
    """An IMAGE `[n, h, w, c]` as uint8 of 3 channels, or 4 with alpha.

    Raises:
        GenartError: when it holds values that are no numbers.
    """
    if not image.isfinite().all():
        raise GenartError(
            "Some of the images hold values that are no numbers: look at what made them."
        )
    whole = (image.float() * 255).round().clamp(0, 255).byte().cpu()
    colours = whole.expand(-1, -1, -1, 3) if whole.shape[-1] == 1 else whole
    return colours.numpy()
