"""From prompt to prompt: what a text encoder made of them, and what lies between."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..errors import GenartError
from .journey import Journey, gone

TOKENS = "tokens"
"""The part that every prompt has."""

MASK = "attention_mask"
"""How names of masks begin."""

Parts = Mapping[str, Tensor]
"""What an encoder made of n prompts, by name: `[n, ..., tokens, numbers]`; of whole prompts
`[n, numbers]`; and masks `[n, tokens]`, 0 where there is no token."""


def travel(
    prompts: Sequence[Parts], journey: Journey, frames: int, done: Callable[[float], None]
) -> dict[str, Tensor]:
    """Prompts, one a frame: on straight lines, as people and ComfyUI average prompts.

    A key of fewer tokens is repeated where that makes the longest, which changes nothing where
    pictures attend to tokens; else zeros follow it. Between keys a mask has the tokens of both.

    Args:
        prompts: the keys; n prompts of one are n keys.
        journey: through them.
        frames: how many.
        done: told after every piece which share is made.

    Returns:
        The parts of all frames, `[frames, ...]`; at a key they are the key's own.

    Raises:
        GenartError: when keys are of different encoders, or fewer than two.
    """
    parts, made = _keys(prompts), {}
    for number, (name, keys) in enumerate(parts.items()):

        def tell(of: int, before: int = number) -> None:
            done((before + of / frames) / len(parts))

        if name.startswith(MASK):
            path = replace(journey, smooth=False).through(keys.float(), "flat", frames)
            made[name] = (gone(path, range(frames), tell) > 0).to(keys.dtype)
        else:
            made[name] = gone(journey.through(keys, "flat", frames), range(frames), tell)
    return made


def _keys(prompts: Sequence[Parts]) -> dict[str, Tensor]:
    """The parts of all keys, `[keys, ...]`, of equal lengths."""
    names = dict.fromkeys(name for each in prompts for name in each)
    return {
        name: _joined(name, [_part(each, name, n) for n, each in enumerate(prompts, 1)])
        for name in names
    }


def _part(prompt: Parts, name: str, number: int) -> Tensor:
    """One part of a key, as often as it has prompts."""
    tokens = prompt[TOKENS]
    if name not in prompt and name == MASK:
        return tokens.new_ones(tokens.shape[:2])
    if name not in prompt:
        raise GenartError(
            f"Prompt {number} has no {name.replace('_', ' ')}, and others have: encode all with "
            "the same CLIP and the same kind of node."
        )
    return prompt[name].expand(len(tokens), *prompt[name].shape[1:])


def _joined(name: str, parts: list[Tensor]) -> Tensor:
    first, axis = parts[0], 1 if name.startswith(MASK) else parts[0].ndim - 2
    for number, each in enumerate(parts, 1):
        if _but(each, axis) != _but(first, axis):
            raise GenartError(
                f"Prompt {number} is {each.shape[-1]} numbers wide and prompt 1 is "
                f"{first.shape[-1]}: encode all with the same CLIP."
            )
    if axis == 0:
        return torch.cat(parts)
    longest = max(each.shape[axis] for each in parts)
    return torch.cat([_lengthened(each, axis, longest) for each in parts]).to(first.dtype)


def _but(part: Tensor, axis: int) -> list[int]:
    """A part's shape, but for how many prompts and tokens it has."""
    return [side for number, side in enumerate(part.shape) if number not in (0, axis)]


def _lengthened(part: Tensor, axis: int, tokens: int) -> Tensor:
    times, rest = divmod(tokens, part.shape[axis])
    if not rest:
        return part.repeat([times if number == axis else 1 for number in range(part.ndim)])
    shape = list(part.shape)
    shape[axis] = tokens - part.shape[axis]
    return torch.cat([part, part.new_zeros(shape)], dim=axis)
