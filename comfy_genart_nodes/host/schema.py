"""Node schemas that load on every ComfyUI from 0.3.64 on.

A keyword that an older host's classes do not know raises while the nodes are listed, and that host
then loads none of them. So every schema, input and output is built here, and keywords the host
does not know are dropped: all of them only decorate.
"""

import inspect
from collections.abc import Callable
from functools import cache, wraps
from typing import Any, TypeVar

from comfy_api.latest import io

from ..errors import GenartError

T = TypeVar("T")

MAX_SEED = 2**32 - 1
"""The largest seed that numpy's RandomState takes, which GANs' latents are drawn with."""


@cache
def _known(build: Callable[..., Any]) -> frozenset[str]:
    """The keywords a host's class takes."""
    return frozenset(inspect.signature(build).parameters)


def _build(build: Callable[..., T], keywords: dict[str, Any]) -> T:
    """Call `build` with those of the keywords that it knows."""
    known = _known(build)
    return build(**{name: value for name, value in keywords.items() if name in known})


def schema(node_id: str, display_name: str, category: str, **keywords: Any) -> io.Schema:
    """A node's schema.

    Args:
        node_id: never renamed after release.
        display_name: what the page shows.
        category: the menu, as `genart/gan`.
        keywords: what else `io.Schema` takes on any host.
    """
    named = {"node_id": node_id, "display_name": display_name, "category": category}
    return _build(io.Schema, named | keywords)


def field(kind: Any, name: str, tooltip: str, **keywords: Any) -> io.Input:
    """An input of a node.

    Args:
        kind: its type, as `io.Int` or one of `sockets`.
        name: its id, which workflows refer to.
        tooltip: one sentence for the person.
        keywords: what else the type's `Input` takes on any host.
    """
    return _build(kind.Input, {"id": name, "tooltip": tooltip} | keywords)


def result(kind: Any, name: str, display_name: str, tooltip: str, **keywords: Any) -> io.Output:
    """An output of a node; its name must differ from the ids of all inputs.

    Args:
        kind: its type, as of `field`.
        name: its id.
        display_name: what the page shows.
        tooltip: one sentence for the person.
        keywords: what else the type's `Output` takes on any host.
    """
    named = {"id": name, "display_name": display_name, "tooltip": tooltip}
    return _build(kind.Output, named | keywords)


def seed_field(
    tooltip: str, name: str = "seed", control: bool = True, most: int = MAX_SEED
) -> io.Input:
    """A seed from 0 on.

    Args:
        tooltip: one sentence for the person.
        name: its id.
        control: let the page change it after every run.
        most: the largest; a GAN's by default.
    """
    return field(io.Int, name, tooltip, default=0, min=0, max=most, control_after_generate=control)


def within_bounds(execute: Callable[..., io.NodeOutput]) -> Callable[..., io.NodeOutput]:
    """Hold a node's numbers to the bounds of its fields, wired ones too.

    ComfyUI checks only those that stand in the node itself, and lets NaN through. Seeds are left
    out: those of other nodes are longer, and wrap around.

    Args:
        execute: the node's, under `classmethod`.

    Returns:
        The same, but for a GenartError where a number is out of bounds.
    """

    @wraps(execute)
    def checked(cls: type[io.ComfyNode], **values: Any) -> io.NodeOutput:
        for each in cls.define_schema().inputs:
            low, high = getattr(each, "min", None), getattr(each, "max", None)
            if low is None or high in (None, MAX_SEED) or each.id not in values:
                continue
            if not low <= values[each.id] <= high:
                raise GenartError(
                    f"{each.id} cannot be {values[each.id]}: give it {low} to {high}."
                )
        return execute(cls, **values)

    return checked
