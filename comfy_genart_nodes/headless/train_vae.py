"""What `genart train vae` knows of VAEs."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import GenartError
from .train_settings import COMMON

if TYPE_CHECKING:
    from ..training.picture_sets import PictureSet
    from ..training.run_config import RunConfig
    from ..training.vae_config import VAEConfig
    from ..vae.files import LoadedVAE

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
}


def settle(
    args: argparse.Namespace,
    given: dict[str, Any],
    pictures: PictureSet | None,
    known: RunConfig | None,
) -> tuple[VAEConfig, str]:
    """The run's settings, and a line that says what was chosen."""
    from ..training.vae_config import FINE_TUNE, VAEConfig, vae_settings

    recipe, told = args.recipe, f"recipe: {args.recipe}"
    if recipe == "auto" and isinstance(known, VAEConfig):  # what nobody names stays as it is
        recipe = known.recipe
        told = f"recipe: {recipe}, as it began"
        given = {name: getattr(known, name) for name in (*HELP, "parent")} | given
    elif recipe == "auto":
        recipe = FINE_TUNE if args.parent else "tiny"
        told = f"recipe: {recipe}"
    return vae_settings(recipe, **given), told


def open_parent(path: Path) -> LoadedVAE:
    """The VAE of a file, or of a run's newest checkpoint that can be read.

    Raises:
        GenartError: when there is none.
    """
    from ..training.reached import newest
    from ..vae.files import LoadedVAE, load_vae

    if not path.is_dir():
        return load_vae(path)
    found = newest(path)
    if not isinstance(found, LoadedVAE):
        raise GenartError(f"The run in {path} trains no VAE: go on from another.")
    return found
