"""ComfyUI's CONDITIONING as prompts of the engine, and back with all that it carries."""

from typing import Any

from torch import Tensor

from ..errors import GenartError
from ..latent.prompts import MASK, TOKENS, Parts

Conditioning = list[list[Any]]
"""Of ComfyUI: pairs of a tensor and a dict; nearly always one pair."""

_TRAVELS = ("pooled_output", "conditioning_", MASK)
"""How names of what else a text encoder makes begin."""


def parts_of(conditioning: Conditioning, number: int) -> Parts:
    """What a text encoder made of a key.

    Raises:
        GenartError: when it is several prompts combined, none of text, or one that cannot travel.
    """
    if len(conditioning) != 1:
        raise GenartError(
            f"Prompt {number} is {len(conditioning)} prompts combined, between which there is no "
            "single way: let each travel alone and combine them afterwards."
        )
    tokens, more = conditioning[0]
    if not isinstance(tokens, Tensor) or tokens.ndim != 3:
        raise GenartError(f"Prompt {number} is not of text: wire one of CLIP Text Encode.")
    if isinstance(more.get(MASK), Tensor) and more[MASK].ndim != 2:
        raise GenartError(
            f"Prompt {number} has the mask of a style model: apply the style model after Prompt "
            "Travel."
        )
    if "t5xxl_ids" in more:
        raise GenartError(
            f"Prompt {number} keeps its words as numbers, between which nothing lies: let the "
            "noise travel instead."
        )
    found = {n: x for n, x in more.items() if isinstance(x, Tensor) and n.startswith(_TRAVELS)}
    return {TOKENS: tokens} | found


def in_batches(like: Conditioning, parts: Parts, size: int) -> list[Conditioning]:
    """Prompts of frames as ComfyUI takes them.

    Args:
        like: areas, masks, ControlNets and whatever else is not text come from here.
        parts: of the frames.
        size: frames a batch; 0: all in one.
    """
    names, count = list(parts), len(parts[TOKENS])
    batches = zip(*(parts[name].split(size or count) for name in names), strict=True)
    made = []
    for each in batches:
        rows = dict(zip(names, each, strict=True))
        made.append([[rows.pop(TOKENS), like[0][1] | rows]])
    return made
