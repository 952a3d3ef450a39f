"""The config.json beside an autoencoder's weights: which class of diffusers it is, and its shapes.

Only classes on a list are ever built, whatever a config names, and nothing is looked up elsewhere.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import GenartError, shown

CONFIG = "config.json"
"""What diffusers calls it, beside the weights."""

TINY = "AutoencoderTiny"
"""The class whose files do not say whose latents they take."""

_MOST_BYTES = 2**20
_MOST_ENTRIES = 256
_MOST_LAYERS = 64
_MOST_NUMBER = 2**17


@dataclass(frozen=True)
class Kind:
    """What is particular about a class.

    Attributes:
        video: it takes frames, `[n, 3, t, h, w]`, and gives latents `[n, c, t, h, w]`.
        joined: pictures of a batch are frames of one film, and made together.
        numbers: values that it keeps at a time for each pixel, at most; for memory's sake, with
            room for what convolutions need besides.
    """

    video: bool = False
    joined: bool = False
    numbers: int = 2200


KINDS = {
    "AsymmetricAutoencoderKL": Kind(numbers=3300),
    "AutoencoderDC": Kind(numbers=3200),
    "AutoencoderKL": Kind(),
    "AutoencoderKLFlux2": Kind(),
    "AutoencoderKLHunyuanImage": Kind(),
    "AutoencoderKLQwenImage": Kind(video=True, numbers=7000),
    "AutoencoderKLTemporalDecoder": Kind(joined=True, numbers=4400),
    "AutoencoderKLWan": Kind(video=True, joined=True, numbers=7000),
    "AutoencoderTiny": Kind(numbers=600),
    "ConsistencyDecoderVAE": Kind(numbers=9000),
    "VQModel": Kind(),
}
"""The classes that are read, by the names that diffusers gives them."""


@dataclass(frozen=True)
class Config:
    """What a config says.

    Attributes:
        class_name: one of `KINDS`.
        settings: what its class is built with.
        path: the file.
    """

    class_name: str
    settings: dict[str, Any]
    path: Path

    @property
    def wide(self) -> bool:
        """Whether it asks for float32 because half precision runs over."""
        return self.settings.get("force_upcast") is True


def find_config(path: Path) -> Path:
    """The config of an autoencoder.

    Args:
        path: a folder with a config.json, or with a folder `vae` that has one; or a file with
            weights, beside which its config lies as `<name>.json` or config.json.

    Raises:
        GenartError: when there is none.
    """
    if path.is_dir():
        places = [path / CONFIG, path / "vae" / CONFIG]
        hint = f"copy the whole folder, its {CONFIG} too"
    else:
        places = [path.with_suffix(".json"), path.parent / CONFIG]
        hint = f"put it beside the file, as {places[0].name}"
    found = [place for place in places if place.is_file()]
    if not found:
        raise GenartError(f"{path.name} has no {CONFIG}, which says what its weights are: {hint}.")
    return next((place for place in found if is_autoencoder(place)), found[0])


def is_autoencoder(path: Path) -> bool:
    """Whether a JSON file is the config of an autoencoder, read here or not."""
    try:
        name = _read(path).get("_class_name")
    except GenartError:
        return False
    words = ("Autoencoder", "VAE", "VQModel")
    return isinstance(name, str) and any(word in name for word in words)


def read_config(path: Path) -> Config:
    """Read a config.

    Raises:
        GenartError: when it is damaged, of a class that is not read here, or too large.
    """
    content = _read(path)
    name = content.get("_class_name")
    if not isinstance(name, str) or name not in KINDS:
        raise GenartError(
            f"{path.name} describes a {shown(name)}, which is no autoencoder for pictures that can "
            f"be read: choose one of {', '.join(sorted(KINDS))}."
        )
    _check(content, path.name)
    settings = {key: value for key, value in content.items() if not key.startswith("_")}
    return Config(name, settings, path)


def _read(path: Path) -> dict[str, Any]:
    """The object in a JSON file."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("it is too large")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise GenartError(
            f"{path.name} is no config of a network ({shown(str(error), 80)}): copy it again."
        ) from error
    if not isinstance(content, dict):
        raise GenartError(f"{path.name} is no config of a network: copy it again.")
    return content


def _check(content: dict[str, Any], name: str) -> None:
    """Refuse sizes that would keep the building of a network busy for ever."""
    for key, value in content.items():
        repeats = "layers" in key or ("num_" in key and "blocks" in key)
        most = _MOST_LAYERS if repeats else _MOST_NUMBER
        for part in _parts(value):
            too_long = isinstance(part, (list, dict)) and len(part) > _MOST_ENTRIES
            too_much = isinstance(part, (int, float)) and not -most <= part <= most
            if too_long or too_much:
                raise GenartError(
                    f"{name} has a {shown(key)} that no autoencoder has: copy it again."
                )


def _parts(value: Any) -> Iterator[Any]:
    """A value, and all that lies in it, however deep."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        yield part
        if isinstance(part, (dict, list)):
            waiting += part.values() if isinstance(part, dict) else part
