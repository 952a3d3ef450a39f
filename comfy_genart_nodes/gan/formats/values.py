"""What the records of well-known names mean: dicts, numbers, arrays and tensors.

Every function here makes its result from checked numbers and bytes; whatever a file says of sizes
is compared with the bytes it really holds.
"""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from .records import Budget, Name, Record, RefusedError, children_first, key

Bytes: TypeAlias = bytes | memoryview
DTYPES = {
    "Double": torch.float64,
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
    "Untyped": torch.uint8,
}
"""What a storage of this name holds."""

_NOTHING = torch.empty(0, dtype=torch.uint8)
_DIMENSIONS = 16
_ARRAY = re.compile(r"f[248]|[iu][1248]|b1")


@dataclass(eq=False, slots=True)
class Storage:
    """The numbers [n] that tensors are views of."""

    numbers: Tensor


def storage_of(data: Bytes, dtype: torch.dtype) -> Storage:
    """All the numbers in some bytes; in place where they lie as the processor wants them."""
    raw = torch.frombuffer(_writable(data), dtype=torch.uint8) if len(data) else _NOTHING
    if raw.data_ptr() % dtype.itemsize:
        raw = raw.clone()
    return Storage(raw != 0 if dtype is torch.bool else raw.view(dtype))


def _writable(data: Bytes) -> Bytes | bytearray:
    """The same bytes where PyTorch takes them without a warning: nobody writes into them."""
    return bytearray(data) if memoryview(data).readonly else data


def resolve(tree: Any, budget: Budget, storage: Callable[[Bytes], Storage]) -> Any:
    """A tree as `pickles.read` gives it, with meaning.

    Args:
        tree: of plain values and records.
        budget: what the tensors may take together.
        storage: the numbers in the bytes that `torch.storage._load_from_bytes` was given.

    Returns:
        The same tree, with dict for every kind of dict, `Tensor` for every tensor, parameter and
        array, Python's numbers for those of numpy. Other records stay records.

    Raises:
        RefusedError: when a record contradicts itself or the bytes there are.
    """
    made: dict[int, Any] = {}
    meanings = _Meanings(budget, storage)

    def new(node: Any) -> Any:
        return made.get(id(node), node)

    for node in children_first(tree):
        if isinstance(node, Record):
            made[id(node)] = meanings.of(_rebuilt(node, new))
        elif isinstance(node, dict):
            made[id(node)] = _dict((new(name), new(value)) for name, value in node.items())
        elif isinstance(node, (set, frozenset)):
            made[id(node)] = type(node)(key(new(each)) for each in node)
        elif not isinstance(node, Name):
            made[id(node)] = type(node)(map(new, node))
    return new(tree)


def _rebuilt(record: Record, new: Callable[[Any], Any]) -> Record:
    pairs = [(new(name), new(value)) for name, value in record.pairs]
    items = [new(item) for item in record.items]
    return Record(record.callee, new(record.args), new(record.state), items, pairs)


def _dict(pairs: Iterable[Any]) -> dict[Any, Any]:
    made = {}
    for pair in pairs:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise RefusedError("has a dict that is none")
        made[key(pair[0])] = pair[1]
    return made


class _Meanings:
    """What becomes of each record, its parts already resolved."""

    def __init__(self, budget: Budget, storage: Callable[[Bytes], Storage]) -> None:
        self.budget = budget
        self.storage = storage

    def of(self, record: Record) -> Any:
        """The meaning of a record; itself, if none is known."""
        meaning = _KNOWN.get(".".join(record.callee))
        return meaning(self, record) if meaning else record

    def encoded(self, record: Record) -> bytes:
        """Bytes that an old protocol wrote as text."""
        match record.args:
            case (str() as text, "latin1" | "latin-1"):
                return bytes(self.raw((text,)))
        raise RefusedError("has bytes in an encoding that no network needs")

    def tensor(self, record: Record) -> Tensor:
        """A tensor: a view of a storage."""
        match record.args:
            case (Storage(numbers=numbers), int(offset), tuple(size), tuple(stride), *_):
                pass
            case _:
                raise RefusedError("has a tensor that is none")
        count = self.count(size, numbers.itemsize)
        if len(stride) != len(size) or not all(_small(each) for each in (offset, *stride)):
            raise RefusedError("has a tensor with absurd strides")
        reach = sum((length - 1) * step for length, step in zip(size, stride, strict=True)) + 1
        if count and offset + reach > len(numbers):
            raise RefusedError("has a tensor that reaches beyond the numbers stored for it")
        if not count:
            return numbers.new_empty(size)
        return numbers.as_strided(size, stride, offset)

    def count(self, size: tuple[Any, ...], itemsize: int) -> int:
        """How many numbers a tensor or array of a size has; taken from the budget as float32."""
        if len(size) > _DIMENSIONS or not all(_small(length) for length in size):
            raise RefusedError("has a tensor of absurd size")
        self.budget.take(max(itemsize, 4) * math.prod(length or 1 for length in size))
        return math.prod(size)

    def scalar(self, record: Record) -> Any:
        """A number of numpy."""
        dtype = _dtype(record.args[:1])
        data = self.raw(record.args[1:2])
        if len(data) != dtype.itemsize:
            raise RefusedError("has a number that is none")
        return np.frombuffer(data, dtype)[0].item()

    def array(self, record: Record) -> Tensor:
        """An array as numpy writes it: shape, dtype, order and bytes are its state."""
        match record.state:
            case (int(), tuple(shape), dtype, bool() | 0 | 1 as by_column, data):
                return self.array_of((data,), (dtype,), shape, bool(by_column))
        raise RefusedError("has an array that is none")

    def array_of_buffer(self, record: Record) -> Tensor:
        """An array as numpy writes it with protocol 5."""
        match record.args:
            case (data, dtype, tuple(shape), "C" | "F" as order):
                return self.array_of((data,), (dtype,), shape, order == "F")
        raise RefusedError("has an array that is none")

    def array_of(
        self, data: tuple[Any], dtype: tuple[Any], shape: tuple[Any, ...], by_column: bool
    ) -> Tensor:
        """An array as a tensor; unsigned numbers that PyTorch lacks become int64."""
        kind, found = _dtype(dtype), self.raw(data)
        wanted = (
            np.dtype("i8") if kind.kind == "u" and kind.itemsize > 1 else kind.newbyteorder("=")
        )
        if len(found) != self.count(shape, wanted.itemsize) * kind.itemsize:
            raise RefusedError("has an array of another size than the numbers stored for it")
        array = np.frombuffer(found, kind) if len(found) else np.empty(0, kind)
        return torch.from_numpy(
            array.astype(wanted).reshape(shape, order="F" if by_column else "C")
        )

    def raw(self, args: tuple[Any, ...]) -> Bytes:
        """The one value, as bytes; old protocols have them as text."""
        match args:
            case (bytes() | memoryview() as data,):
                return data
            case (str(text),):
                self.budget.take(len(text))
                return _latin(text)
        raise RefusedError("has something else where bytes belong")


def _small(number: Any) -> bool:
    return type(number) is int and 0 <= number < 2**40


def _first(record: Record, kind: Any) -> Any:
    if not record.args or not isinstance(record.args[0], kind):
        raise RefusedError(f"has a call of {record.callee.name} with what it does not take")
    return record.args[0]


def _only(record: Record, kind: Any) -> Any:
    """The one argument of a call; an empty tuple if there is none."""
    return _first(record, kind) if record.args else ()


def _latin(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise RefusedError("has text where bytes belong") from error


def _dtype(args: tuple[Any, ...]) -> "np.dtype[Any]":
    """The one value, as a kind of number."""
    match args:
        case (Record(callee=("numpy", "dtype"), args=(str(kind), *_), state=state),):
            order = state[1] if isinstance(state, tuple) and len(state) > 1 else "="
            if _ARRAY.fullmatch(kind) and order in ("<", ">", "=", "|"):
                return np.dtype(kind).newbyteorder(order)  # type: ignore[arg-type]  # one of the four
    raise RefusedError("has an array of something else than numbers")


def _mapping(record: Record) -> dict[Any, Any]:
    """A dict of some kind: made from pairs or a dict, or filled afterwards."""
    given = record.args[-1] if record.args else ()
    if isinstance(given, Name):  # of what is missing in a defaultdict
        given = ()
    if not isinstance(given, (dict, list, tuple)):
        raise RefusedError("has a dict that is none")
    return _dict([*(given.items() if isinstance(given, dict) else given), *record.pairs])


def _namespace(record: Record) -> dict[Any, Any]:
    return record.state if isinstance(record.state, dict) else {}


def _plain_object(record: Record) -> Record:
    """An object as protocols 0 and 1 have it."""
    return Record(_first(record, Name), (), record.state, record.items, record.pairs)


_KNOWN: dict[str, Callable[[_Meanings, Record], Any]] = {
    "_codecs.encode": _Meanings.encoded,
    "argparse.Namespace": lambda _, record: _namespace(record),
    "builtins.bytes": lambda _, record: b"",
    "builtins.frozenset": lambda _, record: frozenset(map(key, _only(record, list))),
    "builtins.set": lambda _, record: set(map(key, _only(record, list))),
    "collections.OrderedDict": lambda _, record: _mapping(record),
    "collections.defaultdict": lambda _, record: _mapping(record),
    "copyreg._reconstructor": lambda m, record: m.of(_plain_object(record)),
    "dnnlib.util.EasyDict": lambda _, record: _mapping(record),
    "numpy.core.multiarray._reconstruct": _Meanings.array,
    "numpy.core.multiarray.scalar": _Meanings.scalar,
    "numpy.core.numeric._frombuffer": _Meanings.array_of_buffer,
    "torch.Size": lambda _, record: tuple(_only(record, (tuple, list))),
    "torch._utils._rebuild_parameter": lambda _, record: _first(record, Tensor),
    "torch._utils._rebuild_tensor": _Meanings.tensor,
    "torch._utils._rebuild_tensor_v2": _Meanings.tensor,
    "torch.storage._load_from_bytes": lambda m, record: m.storage(m.raw(record.args[:1])),
}
"""By full name. Not inside the class: a circle there would keep the file mapped for a while."""
