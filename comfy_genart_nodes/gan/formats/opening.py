"""Any GAN's file as a network that can be sampled; what is in a file decides, never its suffix.

This pack's own files are safetensors. Everything else is a pickle or a file of `torch.save`, read
without running it, and then looked at by each of the readers in turn.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open

from ...errors import GenartError, printable, shown
from ..checkpoint import (
    LoadedDiscriminator,
    LoadedGAN,
    assemble,
    load_discriminator,
    load_gan,
)
from . import dcgan, fastgan, lightweight, lucidrains, nvidia, rosinality, tensorflow
from .network_file import NetworkFile
from .torch_files import open_pickle


class _Reader(NamedTuple):
    matches: Callable[[Any], bool]
    read: Callable[[Any, str], NetworkFile]


_READERS = tuple(
    _Reader(module.matches, module.read)
    for module in (nvidia, tensorflow, rosinality, lucidrains, lightweight, fastgan, dcgan)
)
"""The surest first: DCGANs have no names of their own."""

_STRANGERS = (
    (r"lora_|lycoris_|hada_|.*\.lora_(up|down|A|B)\.", "a LoRA", "Load LoRA"),
    (
        r"(model\.diffusion_model|first_stage_model|cond_stage_model|conditioner)\.",
        "a diffusion checkpoint",
        "Load Checkpoint",
    ),
    (
        r"(.*\.)?(double_blocks|joint_blocks|single_blocks|transformer_blocks|time_embed|"
        r"time_embedding|input_blocks|mid_block\.attentions)\.",
        "a diffusion model",
        "Load Diffusion Model",
    ),
    (r"(taesd_|vae\.)?(encoder|decoder)\.|(post_)?quant_conv\.", "a VAE", "Load VAE"),
    (r"(text_model|vision_model|visual|transformer\.resblocks)\.", "a CLIP model", "Load CLIP"),
)
"""What the names of a file's tensors say it is, and the node of ComfyUI's that loads it."""

_HEADER_LIMIT = 100_000_000  # safetensors' own


def open_gan(path: Path) -> LoadedGAN:
    """The generator in a file, of this pack or of any tool whose files are known.

    Nothing in the file is run, nothing is kept elsewhere, and the file is free again afterwards.

    Args:
        path: the file, of any suffix.

    Returns:
        The network; `info` holds what is known of it: `format`, `licence`, `data`, `training` and
        `warnings` (sentences on what was guessed or left aside), where there is any.

    Raises:
        GenartError: when the file is missing, damaged, unsafe, or no GAN that is known.
    """
    if _is_safetensors(path):
        _refuse_stranger(_safetensors_names(path), path.name)
        return load_gan(path)
    return _foreign(path)


def _foreign(path: Path) -> LoadedGAN:
    tree, name = open_pickle(path), path.name
    reader = next((each for each in _READERS if each.matches(tree)), None)
    if reader is None:
        _refuse_stranger(_names(tree), name)
        top = ", ".join(map(shown, list(tree)[:8])) if isinstance(tree, dict) else ""
        raise GenartError(
            f"{name} holds no GAN that is known here{f', only {top}' if top else ''}: "
            "docs/formats.md lists what can be opened."
        )
    found = reader.read(tree, name)
    info = dict(found.info)
    if found.warnings:
        info["warnings"] = list(found.warnings)
    gan = assemble(found.family, found.spec, found.tensors, info, name)
    return replace(gan, source=path)


def open_discriminator(path: Path) -> LoadedDiscriminator | None:
    """The discriminator beside the generator in a GAN's file, for training that goes on with both.

    Those of this pack's training checkpoints and of NVIDIA's PyTorch tools are read.

    Args:
        path: a file that `open_gan` reads.

    Returns:
        None where the file has none, or one of a kind that is not known here.

    Raises:
        GenartError: as of `open_gan`.
    """
    if _is_safetensors(path):
        return load_discriminator(path)
    tree = open_pickle(path)
    return nvidia.read_discriminator(tree, path.name) if nvidia.matches(tree) else None


def _is_safetensors(path: Path) -> bool:
    """Whether a file begins as safetensors do: the length of a JSON object, and its brace.

    Raises:
        GenartError: when there is no such file, or it cannot be read.
    """
    try:
        if not path.is_file():
            raise GenartError(f"There is no file {path}: choose one that exists.")
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise GenartError(
            f"Cannot read {path} ({error.strerror or error}): choose a file that can be read."
        ) from error
    return start[8:] == b"{" and int.from_bytes(start[:8], "little") <= _HEADER_LIMIT


def _safetensors_names(path: Path) -> list[str]:
    """Names of the tensors, none where the file is damaged or our own."""
    try:
        with safe_open(path, framework="pt") as file:
            return [] if "genart" in (file.metadata() or {}) else list(file.keys())
    except (SafetensorError, OSError):
        return []


def _names(tree: Any) -> Iterator[str]:
    """The keys of a file's dicts, those directly inside one another included."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield str(key)
            if isinstance(value, dict):
                yield from map(str, value)


def _refuse_stranger(names: Iterable[str], name: str) -> None:
    """Say what a file is that is no GAN, if its names tell.

    Raises:
        GenartError: if they do.
    """
    found = list(names)
    for pattern, kind, node in _STRANGERS:
        if any(re.match(pattern, each) for each in found):
            raise GenartError(
                f"{name} seems to hold {kind}, not a GAN: open it with ComfyUI's {node}."
            )


def summary(gan: LoadedGAN) -> dict[str, Any]:
    """What a GAN is and what is known of it, in the order in which people ask."""
    spec = gan.spec
    weights = sum(each.numel() for each in gan.generator.parameters())
    facts: dict[str, Any] = {
        "family": gan.generator.family,
        "resolution": spec.resolution,
        "channels": spec.img_channels,
        "z_dim": spec.z_dim,
        "w_dim": spec.w_dim,
        "layers": spec.num_ws,
        "classes": spec.c_dim,
        "million weights": round(weights / 1e6, 2),
        "hash": gan.hash,
    }
    rest = {key: value for key, value in sorted(gan.info.items()) if key not in facts}
    first: dict[str, Any] = {k: rest.pop(k) for k in ("name", "format", "licence") if k in rest}
    known: dict[str, Any] = {k: rest.pop(k) for k in ("data", "training") if k in rest}
    warnings = {"warnings": rest.pop("warnings")} if "warnings" in rest else {}
    return {**first, **facts, **known, **rest, **warnings}


def describe(gan: LoadedGAN) -> str:
    """The same as a few lines of text."""
    return "\n".join(map(printable, _lines(summary(gan))))


def _lines(found: dict[str, Any], indent: str = "") -> Iterator[str]:
    for key, value in found.items():
        if isinstance(value, dict):
            yield f"{indent}{key}:"
            yield from _lines(value, indent + "  ")
        elif isinstance(value, (list, tuple)) and key == "warnings":
            yield from (f"{indent}warning: {each}" for each in value)
        else:
            yield f"{indent}{key}: {value}"
