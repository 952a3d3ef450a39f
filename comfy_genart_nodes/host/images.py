"""The engine's pictures as ComfyUI's IMAGE and back as previews."""

from pathlib import Path

import folder_paths
import torch
from comfy_api.latest import io, ui
from PIL import Image
from torch import Tensor


def to_image(pictures: Tensor) -> Tensor:
    """Pictures `[n, c, h, w]` in -1..1 to an IMAGE `[n, h, w, 3]` (4 with alpha) in 0..1."""
    image = (pictures.float() / 2 + 0.5).clamp(0, 1).movedim(1, -1)  # [n, h, w, c]
    return image.expand(-1, -1, -1, 3) if image.shape[-1] == 1 else image


def read_image(picture: Image.Image) -> Tensor:
    """A decoded picture file to an IMAGE `[1, h, w, 3]` in 0..1."""
    rgb = picture.convert("RGB")
    values = torch.frombuffer(bytearray(rgb.tobytes()), dtype=torch.uint8)
    return values.reshape(1, rgb.height, rgb.width, 3).float() / 255


def show_output(path: Path) -> ui.SavedImages:
    """A picture file under ComfyUI's output folder, as what a node shows."""
    place = path.relative_to(folder_paths.get_output_directory())
    shown = ui.SavedResult(place.name, place.parent.as_posix(), io.FolderType.output)
    return ui.SavedImages([shown])
