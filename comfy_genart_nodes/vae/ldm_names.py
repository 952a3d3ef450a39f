"""The two namings of latent diffusion's autoencoder: its first code's (ComfyUI), and diffusers'.

They differ in names alone, but for attention: single-pixel convolutions there, linear layers here.
"""

import re
from collections.abc import Mapping

from torch import Tensor

_INNER = (
    ("nin_shortcut", "conv_shortcut"),
    ("norm", "group_norm"),
    ("q", "to_q"),
    ("k", "to_k"),
    ("v", "to_v"),
    ("proj_out", "to_out.0"),
)
"""Parts of a block: LDM's name, and that of diffusers."""

_LDM = re.compile(
    r"(encoder|decoder)\.(?:"
    r"(?:down|up)\.(?P<level>\d+)\.(?:block\.(?P<block>\d+)|(?P<change>downsample|upsample))"
    r"|mid\.(?:block_(?P<middle>[12])|(?P<attention>attn_1))"
    r"|(?P<norm>norm_out))\.(?P<rest>.+)"
)
_DIFFUSERS = re.compile(
    r"(encoder|decoder)\.(?:"
    r"(?:down|up)_blocks\.(?P<level>\d+)\."
    r"(?:resnets\.(?P<block>\d+)|(?P<change>downsamplers|upsamplers)\.0)"
    r"|mid_block\.(?:resnets\.(?P<middle>[01])|(?P<attention>attentions\.0))"
    r"|(?P<norm>conv_norm_out))\.(?P<rest>.+)"
)


def to_diffusers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under diffusers' names from LDM's; unknown names stay."""
    last = _last_level(state, r"decoder\.up\.(\d+)\.")
    inner = dict(_INNER)
    return {
        _to_diffusers(name, last, inner): value.flatten(1) if _attends(name) else value
        for name, value in state.items()
    }


def to_ldm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under LDM's names from diffusers'; unknown names stay."""
    last = _last_level(state, r"decoder\.up_blocks\.(\d+)\.")
    inner = {theirs: ours for ours, theirs in _INNER}
    return {
        (renamed := _to_ldm(name, last, inner)): value[..., None, None]
        if _attends(renamed)
        else value
        for name, value in state.items()
    }


def _attends(name: str) -> bool:
    """Whether an LDM name is that of a matrix of attention."""
    return re.search(r"attn_1\.(q|k|v|proj_out)\.weight$", name) is not None


def _last_level(state: Mapping[str, Tensor], pattern: str) -> int:
    """The decoder's levels are numbered from the picture in LDM, from the latent in diffusers."""
    found = (re.match(pattern, name) for name in state)
    return max((int(match[1]) for match in found if match), default=0)


def _to_diffusers(name: str, last: int, inner: Mapping[str, str]) -> str:
    match = _LDM.fullmatch(name)
    if not match:
        return name
    half, rest = match[1], _renamed(match["rest"], inner)
    if match["level"]:
        side, level = ("down", int(match["level"]))
        if half == "decoder":
            side, level = "up", last - level
        way = f"{side}samplers.0" if match["change"] else f"resnets.{match['block']}"
        return f"{half}.{side}_blocks.{level}.{way}.{rest}"
    if match["middle"]:
        return f"{half}.mid_block.resnets.{int(match['middle']) - 1}.{rest}"
    if match["attention"]:
        return f"{half}.mid_block.attentions.0.{rest}"
    return f"{half}.conv_norm_out.{rest}"


def _to_ldm(name: str, last: int, inner: Mapping[str, str]) -> str:
    match = _DIFFUSERS.fullmatch(name)
    if not match:
        return name
    half, rest = match[1], _renamed(match["rest"], inner)
    if match["level"]:
        side, level = ("down", int(match["level"]))
        if half == "decoder":
            side, level = "up", last - level
        way = f"{side}sample" if match["change"] else f"block.{match['block']}"
        return f"{half}.{side}.{level}.{way}.{rest}"
    if match["middle"]:
        return f"{half}.mid.block_{int(match['middle']) + 1}.{rest}"
    if match["attention"]:
        return f"{half}.mid.attn_1.{rest}"
    return f"{half}.norm_out.{rest}"


def _renamed(rest: str, inner: Mapping[str, str]) -> str:
    """The part of a block that a tensor belongs to, under its other name."""
    part, dot, kind = rest.rpartition(".")
    return f"{inner.get(part, part)}{dot}{kind}"
