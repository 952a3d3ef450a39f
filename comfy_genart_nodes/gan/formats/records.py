"""What pickles hold here: plain values, and inert records of what would have been called.

Also the list of names that network files may use, and the limits on what may hold what.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

_DEPTH = 200
_EXPANDED = 2_000_000
_KEYS = (str, int, bytes, type(None))  # bool is an int
_KEY = 256  # letters of a key


class RefusedError(Exception):
    """Why a file is not opened, to be read after its name: "asks for os.system, which ..."."""


class Name(NamedTuple):
    """A class, function or constant that a pickle names, by that name alone."""

    module: str
    name: str


@dataclass(eq=False, slots=True, repr=False)
class Record:
    """What a pickle would have made by a call.

    Attributes:
        callee: what would have been called.
        args: with what.
        state: what the result would have been given as its state (usually a dict), else None.
        items: what would have been appended to it.
        pairs: keys and values that would have been set in it.
    """

    callee: Name
    args: tuple[Any, ...]
    state: Any = None
    items: list[Any] = field(default_factory=list)
    pairs: list[tuple[Any, Any]] = field(default_factory=list)

    def __repr__(self) -> str:  # short, whatever it holds
        return f"<{self.callee.module}.{self.callee.name}>"


@dataclass(slots=True)
class Budget:
    """What reading one file may take, with all the pickles inside it.

    Attributes:
        operations: how many opcodes.
        bytes: how much memory for what is decoded, and for tensors as large as they look, in
            float32 or wider.
    """

    operations: int
    bytes: int

    @classmethod
    def of(cls, size: int) -> "Budget":
        """The budget of a file of this many bytes.

        Real ones have 20 bytes and more for each opcode, and at most some 50,000 of them.
        """
        return cls(min(200_000 + size // 8, 1_000_000), 4 * size + 2**24)

    def take(self, size: int) -> None:
        """Set bytes aside.

        Raises:
            RefusedError: when there are not so many left.
        """
        self.bytes -= size
        if self.bytes < 0:
            raise RefusedError("would fill far more memory than its own size")


_ALIASES = {
    "__builtin__": "builtins",
    "copy_reg": "copyreg",
    "dnnlib": "dnnlib.util",
    "numpy._core.multiarray": "numpy.core.multiarray",
    "numpy._core.numeric": "numpy.core.numeric",
}
_DTYPES = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool"
_STORAGES = "Double Float Half BFloat16 Long Int Short Char Byte Bool Untyped"
_KNOWN = {
    "_codecs": {"encode"},
    "argparse": {"Namespace"},
    "builtins": {"bytes", "dict", "frozenset", "list", "object", "set"},
    "collections": {"OrderedDict", "defaultdict"},
    "copyreg": {"_reconstructor"},
    "dnnlib.tflib.network": {"Network"},
    "dnnlib.util": {"EasyDict"},
    "numpy": {"dtype", "ndarray"},
    "numpy.core.multiarray": {"_reconstruct", "scalar"},
    "numpy.core.numeric": {"_frombuffer"},
    "torch": {
        "Size",
        "device",
        "channels_last",
        "contiguous_format",
        "preserve_format",
        *_DTYPES.split(),
        *(f"{kind}Storage" for kind in _STORAGES.split()),
    },
    "torch._utils": {
        "_rebuild_parameter",
        "_rebuild_tensor",
        "_rebuild_tensor_v2",
    },
    "torch.storage": {"TypedStorage", "UntypedStorage", "_load_from_bytes"},
    "torch_utils.persistence": {"_reconstruct_persistent_obj"},
}
_CLASSES = re.compile(
    r"(torch\.nn\.modules\.|training\.networks|(R3GAN|BaselineGAN)\.)[A-Za-z0-9_.]*"
)
"""Modules all of whose classes are known: the layers of PyTorch, and of the networks read here."""


def known(module: Any, name: Any) -> Name:
    """A name, if it is on the list.

    Raises:
        RefusedError: if it is not, naming it.
    """
    if not isinstance(module, str) or not isinstance(name, str):
        raise RefusedError("names something by what is no text, which no network needs")
    module = _ALIASES.get(module, module)
    a_class = name.isidentifier() and not name.startswith("__")
    if name in _KNOWN.get(module, ()) or (a_class and _CLASSES.fullmatch(module)):
        return Name(module, name)
    shown = re.sub(r"[^A-Za-z0-9_.]", "?", f"{module[:60]}.{name[:60]}")
    raise RefusedError(f"asks for {shown}, which no network needs")


def children(node: Any) -> Iterable[Any]:
    """What a container or record holds: keys, values, arguments, state; nothing for the rest."""
    if isinstance(node, dict):
        return (*node.keys(), *node.values())
    if isinstance(node, Record):
        return (node.args, node.state, *node.items, *(part for pair in node.pairs for part in pair))
    return node if isinstance(node, (list, tuple, set, frozenset)) else ()


def children_first(root: Any) -> list[Any]:
    """Every container and record in a tree, once, after all that it holds.

    Raises:
        RefusedError: when something holds itself, the tree is too deep, or too large written out.
    """
    order, depths, sizes = [], {0: 0}, {0: 1}  # 0: everything that holds nothing
    opened: set[int] = set()
    todo = [(root, False)] if _holds(root) else []
    while todo:
        node, seen = todo.pop()
        if not seen and id(node) not in sizes:
            if id(node) in opened:
                raise RefusedError("has something inside itself, which no network needs")
            opened.add(id(node))
            _check(len(opened), 0)
            todo.append((node, True))
            todo.extend((child, False) for child in children(node) if _holds(child))
        elif seen:
            inside = [id(child) if _holds(child) else 0 for child in children(node)]
            depths[id(node)] = 1 + max((depths[each] for each in inside), default=0)
            sizes[id(node)] = 1 + sum(sizes[each] for each in inside)
            _check(depths[id(node)], sizes[id(node)])
            opened.discard(id(node))
            order.append(node)
    return order


def _check(depth: int, size: int) -> None:
    if depth > _DEPTH:
        raise RefusedError("is nested deeper than any network")
    if size > _EXPANDED:
        raise RefusedError("has more parts than any network")


def _holds(node: Any) -> bool:
    return isinstance(node, (list, tuple, dict, set, frozenset, Record))


def key(value: Any) -> Any:
    """A value that may be a key or a member of a set: quick to compare and to show.

    Raises:
        RefusedError: for containers, for long texts, and for numbers made to collide.
    """
    for part in value if type(value) is tuple else (value,):
        if isinstance(part, int) and abs(part) >> 60:
            raise RefusedError("has a number as a key that no network needs")
        if isinstance(part, (str, bytes)) and len(part) > _KEY:
            raise RefusedError("has a key longer than any network needs")
        if not isinstance(part, (*_KEYS, Name)):
            raise RefusedError("has a key that is neither text nor number")
    return value
