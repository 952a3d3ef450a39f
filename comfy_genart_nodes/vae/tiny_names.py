"""The tiny autoencoder's tensors in a network of TAESD's very shapes, and under diffusers' names.

ComfyUI builds TAESD with 64 channels and three blocks a stage, whatever a file holds. A narrower
network is the same network with channels that stay zero, and one with fewer blocks the same with
blocks that add nothing.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from .networks.tiny import TinySpec, TinyVAE

WIDTH, BLOCKS = 64, 3
"""TAESD's."""

_STAGES = 3
_HALF = re.compile(r"taesd_(encoder|decoder)\.(\d+)\.(.+)")


def fits_stock(spec: TinySpec) -> bool:
    """Whether ComfyUI's TAESD can do all that such a network does."""
    return spec.width <= WIDTH and spec.blocks <= BLOCKS


def widened(network: TinyVAE) -> dict[str, Tensor]:
    """The tensors of the same network in TAESD's shapes; those of its bottleneck as they are."""
    state: dict[str, Tensor] = network.state_dict()
    spec = network.spec
    if (spec.width, spec.blocks) == (WIDTH, BLOCKS):
        return state
    with torch.device("meta"):
        stock = TinyVAE(replace(spec, width=WIDTH, blocks=BLOCKS)).state_dict()
    like = next(network.parameters())
    made = {name: torch.zeros(value.shape).to(like) for name, value in stock.items()}
    places = {half: dict(_places(half, spec.blocks)) for half in ("encoder", "decoder")}
    for name, value in state.items():
        match = _HALF.fullmatch(name)
        if not match:
            made[name] = value
            continue
        place = places[match[1]][int(match[2])]
        target = made[f"taesd_{match[1]}.{place}.{match[3]}"]
        target[tuple(slice(side) for side in value.shape)] = value
    return made


def _places(half: str, blocks: int) -> Iterator[tuple[int, int]]:
    """Where each layer of a network with so many blocks a stage stands in TAESD."""
    first, others = (2, 1) if half == "encoder" else (3, 2)
    yield from ((i, i) for i in range(first))
    for stage in range(_STAGES):
        narrow = first + stage * (others + blocks)
        wide = first + stage * (others + BLOCKS)
        if half == "encoder":  # the convolution comes before the blocks
            yield from ((narrow + i, wide + i) for i in range(1 + blocks))
        else:
            yield from ((narrow + i, wide + i) for i in range(blocks))
            yield from ((narrow + blocks + i, wide + BLOCKS + i) for i in range(others))
    ends = 1 if half == "encoder" else 2
    narrow, wide = (first + _STAGES * (others + count) for count in (blocks, BLOCKS))
    yield from ((narrow + i, wide + i) for i in range(ends))


def spec_of_taesd(state: Mapping[str, Tensor]) -> TinySpec:
    """What the shapes of TAESD's tensors tell.

    Raises:
        KeyError: when some are missing.
    """
    first = state["taesd_encoder.0.weight"]
    layers = [int(match[2]) for name in state if (match := _HALF.fullmatch(name))]
    more: dict[str, Any] = {}
    if "bottleneck.codebook" in state:
        more = {"bottleneck": "vq", "codes": len(state["bottleneck.codebook"])}
    elif "bottleneck.levels" in state:
        levels = tuple(int(level) for level in state["bottleneck.levels"].flatten().tolist())
        more = {"bottleneck": "fsq", "levels": levels}
    channels = state["taesd_decoder.1.weight"].shape[1]
    # The decoder's last layer: three, then blocks, an upsampling and a convolution thrice, and two.
    blocks = max(1, (max(layers) - 4 - 2 * _STAGES) // _STAGES)
    return TinySpec(channels=channels, width=len(first), blocks=blocks, **more)


def diffusers_settings(spec: TinySpec) -> dict[str, Any]:
    """What diffusers builds its `AutoencoderTiny` with."""
    widths, blocks = [spec.width] * (_STAGES + 1), [spec.blocks] * _STAGES
    return {
        "act_fn": "relu",
        "decoder_block_out_channels": widths,
        "encoder_block_out_channels": widths,
        "latent_channels": spec.channels,
        "num_decoder_blocks": [*blocks, 1],
        "num_encoder_blocks": [1, *blocks],
    }


def to_diffusers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The halves' tensors under the names of `AutoencoderTiny`, whose clamp is no layer."""
    found = ((_HALF.fullmatch(name), value) for name, value in state.items())
    return {
        f"{match[1]}.layers.{int(match[2]) - (match[1] == 'decoder')}.{match[3]}": value
        for match, value in found
        if match
    }


def from_diffusers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of an `AutoencoderTiny` under TAESD's names; unknown names stay."""
    return {_of_taesd(name): value for name, value in state.items()}


def _of_taesd(name: str) -> str:
    match = re.fullmatch(r"(encoder|decoder)\.layers\.(\d+)\.(.+)", name)
    if not match:
        return name
    return f"taesd_{match[1]}.{int(match[2]) + (match[1] == 'decoder')}.{match[3]}"
