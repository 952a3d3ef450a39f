"""Whose latents have which channels and which spread: what is known of diffusion models."""

from torch import Tensor

SCALES = {
    "SD 1.5": (0.18215, 0.0),
    "SDXL": (0.13025, 0.0),
    "SD 3": (1.5305, 0.0609),
    "Flux": (0.3611, 0.1159),
}
"""Scale and shift of diffusion models: what they work on is (z - shift) * scale."""

CHANNELS = {"SD 1.5": 4, "SDXL": 4, "SD 3": 16, "Flux": 16}
"""Of the latents of the same."""

FAMILIES = {
    3: "the first latent diffusion models and ComfyUI's pixel_space",
    4: "SD 1.5, SDXL and their kin",
    16: "SD 3, Flux, Wan and Qwen-Image",
    32: "Sana's DC and HunyuanVideo 1.5",
    48: "Wan 2.2",
    64: "HunyuanImage",
    128: "Flux.2, LTX and the large DC",
}
"""Whose latents have so many channels, as a rule."""


def family(channels: int) -> str:
    """Channels of latents with whose they are, for a message."""
    whose = FAMILIES.get(channels)
    return f"{channels} channels" + (f" (as those of {whose})" if whose else "")


def deviations(channels: int) -> dict[str, float]:
    """About how far encoded pictures spread, of each model known with so many channels."""
    return {name: 1 / SCALES[name][0] for name, count in CHANNELS.items() if count == channels}


def size(latents: Tensor) -> str:
    """Places of latents across and down, for a message; of films the frames too."""
    places = "x".join(str(side) for side in reversed(latents.shape[-2:]))
    return f"{latents.shape[2]} frames of {places}" if latents.ndim == 5 else places
