"""What `genart train vae` knows of VAEs."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .train_settings import COMMON

if TYPE_CHECKING:
    from ..training.picture_sets import PictureSet
    from ..training.vae_config import VAEConfig
    from ..vae.files import LoadedVAE

KIND = "vae"
HELP: Mapping[str, str] = {
    **COMMON,
    "model": "tiny, kl, vq, fsq or vector",
    "latent_channels": "numbers for every 8x8 pixels; of a vector, all of them",
    "width": "channels of the layers",
    "codes": "of the codebook",
    "decoder_only": "the encoder stays as the parent has it",
    "optimiser": "adam, or muon, which moves the matrices between layers and learns sooner",
    "pixel": "how pixels are compared: l1 or l2",
    "kl": "weight of the divergence from a normal distribution",
    "perceptual": "weight of the distance of features; 0 needs no package",
    "adversarial": "weight of the critic; 0 for none",
    "adversarial_after": "thousand pictures before the critic joins",
    "eq": "in so many of the steps latents are turned and made smaller: 0 to 1",
    "augment": "mirror, turn, move, resize, recolour pictures, each so probably: 0 to 1",
}


def automatic(
    args: argparse.Namespace, given: dict[str, Any], pictures: PictureSet | None
) -> tuple[str, str, dict[str, Any]]:
    """As of `Kind`: a VAE to go on from learns to draw anew."""
    from ..training.vae_config import FINE_TUNE

    recipe = FINE_TUNE if args.parent else "tiny"
    return recipe, f"recipe: {recipe}", given


def settings(recipe: str, given: dict[str, Any]) -> VAEConfig:
    """As of `Kind`."""
    from ..training.vae_config import vae_settings

    return vae_settings(recipe, **given)


def shapes(parent: LoadedVAE) -> dict[str, Any]:
    """As of `Kind`: one of vectors takes pictures of one side, the others of any."""
    from ..vae.networks.vector import VectorVAE

    network = parent.network
    return {"resolution": network.factor} if network.family == VectorVAE.family else {}


def open_file(path: Path) -> LoadedVAE:
    """As of `Kind`."""
    from ..vae.files import load_vae

    return load_vae(path)
