"""Torch modules as a pickle holds them, taken apart without being built.

A pickled module is the class it would have had and the dict of its attributes; three of those,
`_parameters`, `_buffers` and `_modules`, are the tree that a `state_dict` writes flat. NVIDIA's
tools wrap each module once more, with the source of its class, which is never looked at. The trees
that `pickles` gives hold no circles and are neither deep nor large: they can be walked freely.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ...errors import shown
from .records import Record

PATH_LIMIT = 200
"""Letters of a path that are kept: real ones have up to 60, a file can make them any length."""

_PERSISTENT = ("torch_utils.persistence", "_reconstruct_persistent_obj")


@dataclass(frozen=True, eq=False)
class Module:
    """One pickled module.

    Attributes:
        kind: the name of its class.
        attributes: all that was set on it, hooks and the like included.
        persistence: version of NVIDIA's wrapping; None for a plain pickled module.
    """

    kind: str
    attributes: dict[str, Any]
    persistence: int | None

    @property
    def settings(self) -> dict[str, Any]:
        """What it was made with, by name, where the file tells (NVIDIA's tools)."""
        found = self.attributes.get("_init_kwargs")
        return found if isinstance(found, dict) else {}

    @property
    def children(self) -> dict[str, "Module"]:
        """The modules directly inside it."""
        found = {name: as_module(each) for name, each in self._part("_modules").items()}
        return {name: module for name, module in found.items() if module is not None}

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Its own parameters and buffers, without those of modules inside it."""
        both = {**self._part("_parameters"), **self._part("_buffers")}
        return {name: each for name, each in both.items() if isinstance(each, Tensor)}

    def _part(self, key: str) -> dict[str, Any]:
        found = self.attributes.get(key)
        return {str(k): v for k, v in found.items()} if isinstance(found, dict) else {}


def as_module(value: object) -> Module | None:
    """A value of a tree as a module, None when it is none."""
    if not isinstance(value, Record):
        return None
    kind, attributes, version = value.callee.name, value.state, None
    if value.callee == _PERSISTENT:
        meta = value.args[0] if value.args else None
        if not isinstance(meta, dict):
            return None
        kind, attributes = shown(meta.get("class_name")), meta.get("state")
        version = meta.get("version") if isinstance(meta.get("version"), int) else 0
    if not isinstance(attributes, dict) or not {"_parameters", "_modules"} <= attributes.keys():
        return None
    return Module(kind, attributes, version)


def walk(root: Module, path: str = "") -> Iterator[tuple[str, Module]]:
    """A module and all inside it, with their paths ("" for the first)."""
    yield path, root
    for key, child in root.children.items():
        yield from walk(child, joined(path, key))


def joined(path: str, key: str) -> str:
    """The path of what is called `key` inside what has a path, or is the first."""
    return f"{path}.{key}"[:PATH_LIMIT] if path else key


def state_dict(root: Module) -> dict[str, Tensor]:
    """Every parameter and buffer of a module and all inside it, under its path."""
    return {
        joined(path, key): tensor
        for path, module in walk(root)
        for key, tensor in module.tensors.items()
    }
