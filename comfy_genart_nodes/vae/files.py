"""Trained autoencoders on disk: of this pack, and in the layouts of ComfyUI and diffusers.

A file of this pack is safetensors with the spec as JSON in the metadata key `genart`
(`gan/checkpoint.py`). A finished VAE and a training checkpoint differ only in what else the file
holds; the network to use is always the tensors named `ema.*`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import GenartError, check_choice
from ..files import written
from ..gan.checkpoint import (
    NewerError,
    fill,
    fingerprint,
    read,
    read_header,
    spec_settings,
    write,
)
from .config import CONFIG
from .layouts import diffusers_tensors, recognise, stock_tensors
from .networks.autoencoder import Autoencoder
from .networks.families import build, spec_from
from .weights import STEM

LAYOUTS = ("stock", "diffusers", "own")
"""How a VAE can be saved: for a ComfyUI without this pack, for diffusers, with all there is."""

PREFIX = "ema."


@dataclass(frozen=True, eq=False)
class LoadedVAE:
    """An autoencoder and what is known of it.

    Attributes:
        network: in evaluation mode, on the CPU, in float32 and without gradients.
        header: `family`; `spec`, its settings; `info`, whatever its maker wrote down; and, where
            its trainer measured them, `latents`: `mean`, `std` and `kl` (nats), lists of a
            number for each channel.
        hash: of family and weights; the same for every file that holds them.
    """

    network: Autoencoder
    header: dict[str, Any]
    hash: str


def header_of(network: Autoencoder, info: dict[str, Any]) -> dict[str, Any]:
    """The header of a network's file; `latents` may join it."""
    return {"family": network.family, "spec": spec_settings(network.spec), "info": info}


def load_vae(path: Path) -> LoadedVAE:
    """Read a VAE of this pack, a checkpoint of its training, or one as ComfyUI knows it.

    Raises:
        GenartError: when the file is damaged, or holds no VAE that is known here.
    """
    if not path.is_file():
        raise GenartError(f"There is no file {path}: choose one that exists.")
    header = _header(path)
    own = read(path, PREFIX)
    if not own:
        loaded = from_weights(read(path), path.name)
        kept = {key: header[key] for key in ("info", "latents") if key in header}
        return LoadedVAE(loaded.network, _checked(loaded.header | kept, path.name), loaded.hash)
    spec = spec_from(header.get("family"), header.get("spec"), path.name)
    return _assembled(str(header["family"]), spec, own, _checked(header, path.name), path.name)


def from_weights(state: Mapping[str, Tensor], name: str = "This VAE") -> LoadedVAE:
    """A network from its weights, such as those of a VAE that ComfyUI has loaded.

    Args:
        state: as of `recognise`; copied.
        name: of the file, for the message.

    Raises:
        GenartError: when they are of no network that is known here.
    """
    found = recognise(state, name)
    with torch.device("meta"):
        network = build(found.family, found.spec)
    header = header_of(network, {"format": found.format})
    return _assembled(found.family, found.spec, found.tensors, header, name)


def _header(path: Path) -> dict[str, Any]:
    """The header of a file of this pack; empty for other files, whole or not."""
    try:
        return read_header(path)
    except NewerError:
        raise
    except GenartError:
        return {}


def _checked(header: dict[str, Any], name: str) -> dict[str, Any]:
    """A header whose parts are of the kinds that all readers expect."""
    info, latents = header.get("info", {}), header.get("latents", {})
    if (
        isinstance(info, dict)
        and isinstance(latents, dict)
        and all(map(_numbers, latents.values()))
    ):
        return header
    raise GenartError(
        f"{name} has a damaged header: what is known of the VAE is no list of names and values; "
        "save or download it again."
    )


def _numbers(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, (int, float)) for each in value)


def _assembled(
    family: str, spec: Any, tensors: Mapping[str, Tensor], header: dict[str, Any], name: str
) -> LoadedVAE:
    """A network filled with copies of tensors."""
    with torch.device("meta"):
        network = build(family, spec)
    copies = fill(network, dict(tensors), f"the {family} VAE", name)
    kept = {key: header[key] for key in ("info", "latents") if key in header}
    return LoadedVAE(network, header_of(network, {}) | kept, fingerprint(family, copies))


def save_vae(path: Path, loaded: LoadedVAE, layout: str) -> None:
    """Write a VAE.

    Args:
        path: of the file; for "diffusers" of a folder, which is made.
        loaded: the VAE.
        layout: one of `LAYOUTS`.

    Raises:
        GenartError: when the layout has no place for it, or the disk none.
    """
    check_choice("layout", layout, LAYOUTS)
    if layout == "stock":
        write(path, stock_tensors(loaded.network), loaded.header)
    elif layout == "own":
        state = loaded.network.state_dict()
        write(path, {PREFIX + name: value for name, value in state.items()}, loaded.header)
    else:
        config, tensors = diffusers_tensors(loaded.network)
        write(path / f"{STEM}.safetensors", tensors, loaded.header)
        with written(path / CONFIG) as temporary:  # last: by it the folder is known
            temporary.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
