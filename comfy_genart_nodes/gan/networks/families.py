"""The families of generator this pack knows, under the names that files call them by."""

import dataclasses
from typing import Any, get_args, get_origin

from ...errors import GenartError, shown
from .dcgan import DCGAN, DCGANSpec
from .fastgan import FastGAN, FastGANSpec
from .generator import Generator, Spec
from .lightweight import Lightweight, LightweightSpec
from .lucidrains import Lucidrains, LucidrainsSpec
from .r3gan import R3GAN, R3GANSpec
from .stylegan2 import StyleGAN2
from .stylegan2_spec import StyleGAN2Spec
from .stylegan3 import StyleGAN3
from .stylegan3_spec import StyleGAN3Spec

FAMILIES: dict[str, tuple[type, type[Generator]]] = {
    DCGAN.family: (DCGANSpec, DCGAN),
    FastGAN.family: (FastGANSpec, FastGAN),
    Lightweight.family: (LightweightSpec, Lightweight),
    Lucidrains.family: (LucidrainsSpec, Lucidrains),
    R3GAN.family: (R3GANSpec, R3GAN),
    StyleGAN2.family: (StyleGAN2Spec, StyleGAN2),
    StyleGAN3.family: (StyleGAN3Spec, StyleGAN3),
}
"""Spec and generator of each family."""

_MANY, _LARGE = 32, 2**31  # more than any network's setting has, or is


def read_spec(family: object, settings: object, name: str) -> Spec:
    """The spec that a file's header describes.

    Args:
        family: what the header calls the family.
        settings: the spec's fields, as `dataclasses.asdict` and JSON leave them.
        name: of the file, for the message.

    Raises:
        GenartError: when the family or a setting is unknown, or a value is out of bounds.
    """
    if not isinstance(family, str) or family not in FAMILIES or not isinstance(settings, dict):
        raise GenartError(
            f"{name} holds a network of family {shown(family)!r}, which is not known here."
        )
    return spec_of(FAMILIES[family][0], settings, name)


def spec_of(spec_type: Any, settings: dict[str, Any], name: str) -> Any:
    """A spec from what a header says of it.

    Args:
        spec_type: a dataclass of numbers, texts and tuples of them.
        settings: its fields, as `dataclasses.asdict` and JSON leave them.
        name: of the file, for the message.

    Raises:
        GenartError: when a setting is unknown, or a value is out of bounds.
    """
    types = {field.name: field.type for field in dataclasses.fields(spec_type)}
    values = {}
    for key, value in settings.items():
        if key not in types or not _fits(value, types[key]):
            raise GenartError(
                f"{name} has the unknown network setting {shown(key)}={shown(value)}."
            )
        values[key] = tuple(value) if isinstance(value, list) else value
    return spec_type(**values)


def _fits(value: Any, wanted: Any) -> bool:
    """Whether a value from JSON is what a spec's field holds: a number, a text, or several."""
    if get_origin(wanted) is tuple:
        item = get_args(wanted)[0]
        return isinstance(value, list) and len(value) < _MANY and all(_fits(v, item) for v in value)
    if wanted is int and type(value) is int:
        return abs(value) < _LARGE
    return type(value) is wanted


def build(family: str, spec: Spec) -> Generator:
    """A generator of a family, its weights not yet set."""
    return FAMILIES[family][1](spec)
