"""The families of autoencoder this pack trains, under the names that files call them by."""

from typing import Any

from ...errors import GenartError, shown
from ...gan.networks.families import spec_of
from .autoencoder import Autoencoder
from .kl import KLVAE, KLSpec
from .tiny import TinySpec, TinyVAE
from .vector import VectorSpec, VectorVAE

FAMILIES: dict[str, tuple[type, type[Autoencoder]]] = {
    KLVAE.family: (KLSpec, KLVAE),
    TinyVAE.family: (TinySpec, TinyVAE),
    VectorVAE.family: (VectorSpec, VectorVAE),
}
"""Spec and network of each family."""


def spec_from(family: object, settings: object, name: str = "This file") -> Any:
    """The spec that a file's header describes.

    Args:
        family: what the header calls the family.
        settings: the spec's fields, as `dataclasses.asdict` and JSON leave them.
        name: of the file, for the message.

    Raises:
        GenartError: when the family or a setting is unknown, or a value is out of bounds.
    """
    if not isinstance(family, str) or family not in FAMILIES or not isinstance(settings, dict):
        raise GenartError(f"{name} holds a VAE of family {shown(family)!r}, not known here.")
    return spec_of(FAMILIES[family][0], settings, name)


def build(family: str, spec: Any) -> Autoencoder:
    """An autoencoder of a family, its weights not yet set."""
    return FAMILIES[family][1](spec)
