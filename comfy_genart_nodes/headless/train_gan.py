"""What `genart train gan` knows of GANs."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .train_settings import COMMON

if TYPE_CHECKING:
    from ..gan.checkpoint import LoadedGAN
    from ..training.config import TrainConfig
    from ..training.picture_sets import PictureSet

KIND = "gan"
HELP: Mapping[str, str] = {
    **COMMON,
    "family": "of the generator: stylegan2, fastgan or dcgan",
    "loss": "logistic, minimax, hinge or r3gan",
    "classes": "sub-folders are classes",
    "channel_base": "channels times side: the networks' width (default: 64 * resolution)",
    "channel_max": "channels at most",
    "mapping_layers": "layers of the mapping network",
    "z_dim": "length of z",
    "w_dim": "length of w",
    "gamma": "weight of R1 (default: .0002 * resolution^2 / batch)",
    "path_length": "weight of path length regularisation; 0 for none",
    "augment": "of colour, translation and cutout, with commas; none for none",
    "ada_target": "ADA instead of DiffAugment, towards this share of recognised pictures",
    "freeze_d": "blocks of the discriminator that stay as the parent has them",
}


def automatic(
    args: argparse.Namespace, given: dict[str, Any], pictures: PictureSet | None
) -> tuple[str, str, dict[str, Any]]:
    """As of `Kind`: by how many pictures there are, and how much memory."""
    from ..training import recipes
    from ..training.config import TrainConfig

    side, count = given.get("resolution", TrainConfig.resolution), len(pictures or ())
    parent, classes = args.parent is not None, given.get("classes", False)
    recipe, narrow = recipes.automatic(count, side, parent, _memory(args.device), classes)
    narrow = None if given.get("channel_base") else narrow
    told = recipes.told(recipe, count, parent, narrow)
    return recipe, told, {"channel_base": narrow} | given


def settings(recipe: str, given: dict[str, Any]) -> TrainConfig:
    """As of `Kind`."""
    from ..training import recipes

    return recipes.settings(recipe, **given)


def shapes(parent: LoadedGAN) -> dict[str, Any]:
    """As of `Kind`: the side of its pictures."""
    return {"resolution": parent.spec.resolution}


def open_file(path: Path) -> LoadedGAN:
    """As of `Kind`."""
    from ..gan.formats.opening import open_gan

    return open_gan(path)


def _memory(name: str) -> int | None:
    """Bytes of the graphics card that is to train, if it is one that says."""
    import torch

    device = torch.device(name)
    if device.type != "cuda" or not torch.cuda.is_available():
        return None
    return int(torch.cuda.get_device_properties(device).total_memory)
