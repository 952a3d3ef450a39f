"""The types of the pack's own sockets, and what travels on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from comfy_api.latest import io

from ..gan.networks.generator import Frame
from ..gan.sampling import Precision

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

    from ..gan.checkpoint import LoadedGAN

Gan = io.Custom("GENART_GAN")
"""A `ManagedGAN`."""

GanLatents = io.Custom("GENART_GAN_LATENT")
"""The engine's `GANLatent`: a batch of z, w or w+, never truncated."""

Dataset = io.Custom("GENART_DATASET")
"""The engine's `PictureSet`."""

Run = io.Custom("GENART_RUN")
"""The engine's `RunFolder`."""


@dataclass(frozen=True, eq=False)
class ManagedGAN:
    """A GAN as it travels between nodes.

    Attributes:
        loaded: the network, its spec and where it came from.
        patcher: ComfyUI's handle on the same network, which moves it between the devices. It has
            to live as long as the network is used.
        frame: which part of the plane its pictures show.
        precision: in which it is sampled.
    """

    loaded: LoadedGAN
    patcher: ModelPatcher
    frame: Frame = field(default_factory=Frame)
    precision: Precision = "fp32"
