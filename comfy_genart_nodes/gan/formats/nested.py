"""State dicts wherever a checkpoint keeps them: under a key, in a pickled module, side by side."""

import re
from collections.abc import Iterator
from typing import Any

from .modules import as_module, joined, state_dict
from .state_dicts import State, tensors

_WRAPPERS = re.compile(r"(?:module\.|_orig_mod\.)+")  # of parallel and of compiled networks


def state_dicts(tree: Any, path: str = "") -> Iterator[tuple[str, State]]:
    """Every set of tensors by name in a tree, with where it is ("netG", "state_dict.generator").

    A set whose names begin with different words ("generator.", "discriminator.") comes whole and in
    parts. Names keep the order of the file, without what wrappers put before them.

    Args:
        tree: what a file holds.
        path: where the tree is.
    """
    module = as_module(tree)
    if module is not None:
        tree = state_dict(module)
    if not isinstance(tree, dict):
        return
    own = {_WRAPPERS.sub("", name, count=1): tensor for name, tensor in tensors(tree).items()}
    if own:
        yield path, own
    parts: dict[str, State] = {}
    for name, tensor in own.items():
        word, _, rest = name.partition(".")
        if rest:
            parts.setdefault(word, {})[rest] = tensor
    if len(parts) > 1:
        yield from ((joined(path, word), part) for word, part in parts.items())
    for key, value in tree.items():
        yield from state_dicts(value, joined(path, str(key)))
