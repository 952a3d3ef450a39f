"""A workflow's values: read the file, override inputs by name, set seeds, name what is missing.

All of it works on the API format (node id -> class_type and inputs), which comfy-cli makes out of
the page's own format.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import GenartError

Prompt = dict[str, dict[str, Any]]

SEED_INPUTS = ("seed", "noise_seed")
_WORDS = {"true": True, "false": False}


def read(path: Path) -> Prompt | None:
    """A workflow file's prompt; None where it has the page's format and comfy-cli must turn it.

    Raises:
        GenartError: it is not there, no JSON, or JSON of another kind.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise GenartError(f"Cannot read the workflow {path}: {error.strerror}.") from error
    except ValueError as error:
        raise GenartError(f"{path} is no JSON file: {error}.") from error
    if not isinstance(data, dict) or not (_is_page_format(data) or nodes(data)):
        raise GenartError(
            f"{path} holds no ComfyUI workflow; save one with Save or Export (API) in the page."
        )
    return None if _is_page_format(data) else nodes(data)


def _is_page_format(data: dict[str, Any]) -> bool:
    return isinstance(data.get("nodes"), list) and isinstance(data.get("links"), list)


def nodes(data: Mapping[str, Any]) -> Prompt:
    """What of a JSON object is nodes of the API's format, each with its inputs."""
    found = {
        id_: node for id_, node in data.items() if isinstance(node, dict) and "class_type" in node
    }
    return {id_: {**node, "inputs": node.get("inputs") or {}} for id_, node in found.items()}


def parse_seeds(text: str) -> list[int]:
    """Seeds as a person writes them: `1-8`, `1,5,9` or both, in that order, each once.

    Raises:
        GenartError: not a list of numbers from 0 on.
    """
    seeds: dict[int, None] = {}
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise GenartError(f"--seeds {text} is not understood; write 1-8 or 1,5,9.")
        numbers = range(int(first), int(last or first) + 1)
        if not numbers:
            raise GenartError(f"--seeds {text}: {part.strip()} runs backwards; write 1-8.")
        seeds.update(dict.fromkeys(numbers))
    return list(seeds)


def with_seed(prompt: Prompt, seed: int) -> Prompt:
    """A copy in which every input called `seed` or `noise_seed` that is not wired has this seed.

    Raises:
        GenartError: there is none.
    """
    prompt, found = copy.deepcopy(prompt), False
    for node in prompt.values():
        for name in SEED_INPUTS:
            if name in node["inputs"] and not isinstance(node["inputs"][name], list):
                node["inputs"][name], found = seed, True
    if not found:
        raise GenartError("--seeds: no node of this workflow has a seed to set.")
    return prompt


def own_seed(prompt: Prompt) -> int | None:
    """The seed a workflow carries, where all its seeds are one."""
    values = {
        node["inputs"][name]
        for node in prompt.values()
        for name in SEED_INPUTS
        if isinstance(node["inputs"].get(name), int)
    }
    return values.pop() if len(values) == 1 else None


def missing_nodes(prompt: Prompt, known: Mapping[str, Any]) -> str:
    """The nodes a server does not know, `NoSuchNode (3 "Title")`; empty where it knows all."""
    missing = [id_ for id_, node in prompt.items() if node["class_type"] not in known]
    return ", ".join(f"{prompt[id_]['class_type']} ({label(prompt, id_)})" for id_ in missing)


def label(prompt: Prompt, id_: str) -> str:
    """How messages name a node: `3 "Title"`."""
    return f'{id_} "{_title(prompt[id_])}"' if id_ in prompt else id_


def title(prompt: Prompt, id_: str, known: Mapping[str, Any]) -> str:
    """What the page calls a node: its own title, else the name of its kind, else its id."""
    node = prompt.get(id_, {})
    kind = node.get("class_type", id_)
    return str(
        node.get("_meta", {}).get("title") or known.get(kind, {}).get("display_name") or kind
    )


def _title(node: dict[str, Any]) -> str:
    return str(node.get("_meta", {}).get("title") or node["class_type"])


def override(prompt: Prompt, assignment: str, known: Mapping[str, Any]) -> None:
    """Set one input, in place: `Node title.input=value`; the node's id or type does as well.

    Args:
        prompt: The workflow.
        assignment: What to set. The value is read as what the input is: number, true/false, text.
        known: The server's object_info, which says what each input is.

    Raises:
        GenartError: no such node or input (with those there are), several nodes of that name, a
            wired input, or a value of the wrong kind.
    """
    address, equals, text = assignment.partition("=")
    if not equals or "." not in address:
        raise GenartError(f'--set {assignment} is not understood; write "Node title".input=value.')
    address = address.strip().replace('"', "")
    matches = [
        (id_, name)
        for id_, node in prompt.items()
        for name in settable(node, known)
        if address in (f"{id_}.{name}", f"{_title(node)}.{name}", f"{node['class_type']}.{name}")
    ]
    if not matches:
        raise GenartError(f"--set {assignment}: {_what_there_is(prompt, address, known)}")
    if len(matches) > 1:
        ids = ", ".join(id_ for id_, _ in matches)
        raise GenartError(f"--set {assignment}: several nodes are called so; use an id: {ids}.")
    id_, name = matches[0]
    inputs = prompt[id_]["inputs"]
    try:
        inputs[name] = _parse(text, _kind(prompt[id_], name, known), inputs.get(name))
    except ValueError:
        kind = _kind(prompt[id_], name, known)
        raise GenartError(f"--set {assignment}: {name} takes {kind}, not {text}.") from None


def settable(node: dict[str, Any], known: Mapping[str, Any]) -> list[str]:
    """The inputs of a node that hold a value: those it has, and optional ones it could have."""
    own = [name for name, value in node["inputs"].items() if not isinstance(value, list)]
    could = [
        name
        for name, spec in _specs(node, known).items()
        if name not in node["inputs"]
        and _word(spec) in ("INT", "FLOAT", "BOOLEAN", "STRING", "COMBO")
    ]
    return own + could


def _what_there_is(prompt: Prompt, address: str, known: Mapping[str, Any]) -> str:
    wanted, _, name = address.rpartition(".")
    for id_, node in prompt.items():
        if wanted in (id_, _title(node), node["class_type"]):
            if isinstance(node["inputs"].get(name), list):
                return f"{name} of node {label(prompt, id_)} is wired to another node."
            has = ", ".join(settable(node, known)) or "nothing to set"
            return f"node {label(prompt, id_)} has no input {name}; it has {has}."
    return f"no node {wanted}; there are {', '.join(label(prompt, id_) for id_ in prompt)}."


def _specs(node: dict[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    groups = known.get(node["class_type"], {}).get("input", {})
    return {**groups.get("required", {}), **groups.get("optional", {})}


def _word(spec: Any) -> str:
    """The type of an input as object_info has it; a plain list of choices is a COMBO as well."""
    first = spec[0] if isinstance(spec, list) and spec else ""
    return "COMBO" if isinstance(first, list) else str(first)


def _kind(node: dict[str, Any], name: str, known: Mapping[str, Any]) -> str:
    """`an INT`, `a FLOAT`, `a BOOLEAN` or another word: from the server, else from the value."""
    word = _word(_specs(node, known).get(name))
    if not word:
        names = {bool: "BOOLEAN", int: "INT", float: "FLOAT"}
        word = names.get(type(node["inputs"].get(name)), "STRING")
    return word


def _parse(text: str, kind: str, now: Any) -> Any:
    if kind == "BOOLEAN":
        if text.lower() not in _WORDS:
            raise ValueError
        return _WORDS[text.lower()]
    if kind == "INT":
        return int(text)
    if kind == "FLOAT" and math.isfinite(number := float(text)):
        return number
    if kind == "FLOAT":
        raise ValueError
    if kind == "COMBO" and isinstance(now, int):  # choices may be numbers
        return int(text)
    return text
