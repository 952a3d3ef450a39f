"""A pickle machine that can build, but not call.

It reads what network files hold, protocols 0 to 5, into plain values and inert records. A global
becomes a `Name`, and only if it is on the list; a call becomes a `Record` of what would have been
called. Nothing is imported or run, and no length is believed before it is compared with what is
left of the file. Opcodes that no such file needs are refused, like everything unknown.
"""

import codecs
import struct
from collections.abc import Callable
from typing import Any

from .records import Budget, Name, Record, RefusedError, children_first, key, known

_LINE = 128  # a number or a name in text
_LONG = 64  # bytes of an integer
_SMALL = 4096  # longer bytes stay in the file


def read(
    data: memoryview,
    persistent: Callable[[object], object] | None = None,
    budget: Budget | None = None,
) -> Any:
    """The value that one pickle holds; what follows it is not looked at.

    The result has no circles, is at most 200 levels deep and stays small when everything that is
    shared in it is written out: it can be walked in any way.

    Args:
        data: the pickle, as bytes. Long byte strings in the result are slices of it.
        persistent: answers persistent ids; without it a pickle that has any is refused.
        budget: shared by the pickles of one file.

    Returns:
        None, numbers, str, bytes or memoryview, list, dict, tuple, set, frozenset, `Name`,
        `Record`, and what `persistent` answered.

    Raises:
        RefusedError: when the pickle is damaged, asks for anything unknown, or exceeds a limit.
    """
    return read_one(data, 0, persistent, budget or Budget.of(len(data)))[0]


def read_one(
    data: memoryview,
    start: int,
    persistent: Callable[[object], object] | None,
    budget: Budget,
) -> tuple[Any, int]:
    """As `read`, for one pickle of several in a row; the value, and where it ends.

    Raises:
        RefusedError: as `read`.
    """
    machine = _Machine(data, start, persistent)
    try:
        value = machine.run(budget)
    except (IndexError, KeyError, ValueError, OverflowError) as error:
        raise RefusedError(f"is damaged or no pickle (at byte {machine.position})") from error
    children_first(value)
    return value, machine.position


class _Machine:
    """The stack, the memo, and where in the pickle we are."""

    def __init__(
        self, data: memoryview, start: int, persistent: Callable[[object], object] | None
    ) -> None:
        self.data = data
        self.position = start
        self.persistent = persistent
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []  # the stacks below each mark
        self.memo: dict[int, Any] = {}

    def run(self, budget: Budget) -> Any:
        """Work through the opcodes up to STOP."""
        while (code := self.data[self.position]) != ord("."):
            self.position += 1
            budget.operations -= 1
            if budget.operations < 0:
                raise RefusedError("has more parts than any network")
            if code not in _STEPS:
                raise RefusedError(
                    f"is no pickle, or has an instruction ({code:#04x}) that no network needs"
                )
            _STEPS[code](self)
        self.position += 1
        return self.stack.pop()

    # What stands in the file

    def slice(self, size: int) -> memoryview:
        """The next bytes."""
        if not 0 <= size <= len(self.data) - self.position:
            raise ValueError("the file ends before")
        self.position += size
        return self.data[self.position - size : self.position]

    def number(self, form: str) -> Any:
        """The next number of a fixed size."""
        return struct.unpack(form, self.slice(struct.calcsize(form)))[0]

    def line(self, most: int) -> bytes:
        """The bytes up to the next line break, which is passed over."""
        found, step = b"", _LINE
        while len(found) <= most and self.position < len(self.data):
            head, newline, rest = bytes(self.slice(min(step, self.left()))).partition(b"\n")
            found += head
            if newline:
                self.position -= len(rest)
                return found
            step *= 2
        raise ValueError("a line without an end")

    def left(self) -> int:
        """How many bytes follow."""
        return len(self.data) - self.position

    def text(self, form: str) -> str:
        """A text after its length."""
        return str(self.slice(self.number(form)), "utf-8", "surrogatepass")

    def old_text(self, form: str) -> str | memoryview:
        """A string of Python 2 after its length: text, or bytes when it is long."""
        found = self.slice(self.number(form))
        return found if len(found) > _SMALL else str(found, "latin-1")

    def raw(self, form: str) -> bytes | memoryview:
        """Bytes after their length."""
        found = self.slice(self.number(form))
        return found if len(found) > _SMALL else bytes(found)

    def integer(self, form: str) -> int:
        """An integer of any size after its length."""
        size = self.number(form)
        if size > _LONG:
            raise RefusedError("has an integer larger than any network needs")
        return int.from_bytes(self.slice(size), "little", signed=True)

    def decimal(self) -> int | bool:
        """An integer in digits; 00 and 01 are truths."""
        line = self.line(_LINE)
        found = int(line.removesuffix(b"L"))
        if found.bit_length() > 8 * _LONG:
            raise RefusedError("has an integer larger than any network needs")
        return bool(found) if line in (b"00", b"01") else found

    # What stands on the stack

    def since_mark(self) -> list[Any]:
        """What was pushed since the last mark, which is taken off."""
        found, self.stack = self.stack, self.marked.pop()
        return found

    def pair_up(self, parts: list[Any]) -> list[tuple[Any, Any]]:
        """Keys and values that stand in turn."""
        if len(parts) % 2:
            raise ValueError("a key without a value")
        return list(zip(parts[::2], parts[1::2], strict=True))

    def mark(self) -> None:
        """Begin a group."""
        self.marked.append(self.stack)
        self.stack = []

    def append(self, parts: list[Any]) -> None:
        """Put parts into the list or record below them."""
        target = self.stack[-1]
        if isinstance(target, Record):
            target.items.extend(parts)
        elif isinstance(target, list):
            target.extend(parts)
        else:
            raise RefusedError("appends to what is no list")

    def set_items(self, parts: list[Any]) -> None:
        """Put keys and values into the dict or record below them."""
        target, pairs = self.stack[-1], self.pair_up(parts)
        if isinstance(target, Record):
            target.pairs.extend(pairs)
        elif isinstance(target, dict):
            target.update((_key(name), value) for name, value in pairs)
        else:
            raise RefusedError("sets items in what is no dict")

    def add_items(self) -> None:
        """Put parts into the set below them."""
        parts, target = self.since_mark(), self.stack[-1]
        if not isinstance(target, set):
            raise RefusedError("adds members to what is no set")
        target.update(map(_key, parts))

    def call(self) -> Record:
        """Note a call."""
        args, callee = self.stack.pop(), self.stack.pop()
        if not isinstance(callee, Name) or not isinstance(args, tuple):
            raise RefusedError("calls what is no known name, which no network needs")
        return Record(callee, args)

    def build(self) -> None:
        """Note a state."""
        state, target = self.stack.pop(), self.stack[-1]
        if not isinstance(target, Record) or target.state is not None:
            raise RefusedError("gives a state to what has none, which no network needs")
        target.state = state

    def identified(self) -> object:
        """What the caller knows under a persistent id."""
        if self.persistent is None:
            raise RefusedError("refers to something outside itself, which no network needs")
        return self.persistent(self.stack.pop())

    def memoize(self, index: int) -> None:
        """Keep the top of the stack under a number."""
        self.memo[index] = self.stack[-1]

    def top(self, count: int) -> list[Any]:
        """Take so many values off the stack."""
        if len(self.stack) < count:
            raise IndexError("the stack is empty")
        found = self.stack[-count:]
        del self.stack[-count:]
        return found


def _key(value: Any) -> Any:
    """What may be a key, or a record that may become one."""
    return value if isinstance(value, Record) else key(value)


def _protocol(machine: _Machine) -> None:
    if machine.number("<B") > 5:
        raise RefusedError("is a pickle of a protocol newer than 5")


def _frame(machine: _Machine) -> None:
    if machine.number("<Q") > machine.left():
        raise ValueError("the frame is cut off")


_PUSHES: dict[bytes, Callable[[_Machine], Any]] = {
    b"N": lambda m: None,
    b"\x88": lambda m: True,
    b"\x89": lambda m: False,
    b"J": lambda m: m.number("<i"),
    b"K": lambda m: m.number("<B"),
    b"M": lambda m: m.number("<H"),
    b"G": lambda m: m.number(">d"),
    b"\x8a": lambda m: m.integer("<B"),
    b"\x8b": lambda m: m.integer("<i"),
    b"I": _Machine.decimal,
    b"L": _Machine.decimal,
    b"F": lambda m: float(m.line(_LINE)),
    b"\x8c": lambda m: m.text("<B"),
    b"X": lambda m: m.text("<I"),
    b"\x8d": lambda m: m.text("<Q"),
    b"V": lambda m: codecs.raw_unicode_escape_decode(m.line(m.left()))[0],
    b"U": lambda m: m.old_text("<B"),
    b"T": lambda m: m.old_text("<i"),
    b"C": lambda m: m.raw("<B"),
    b"B": lambda m: m.raw("<I"),
    b"\x8e": lambda m: m.raw("<Q"),
    b"\x96": lambda m: m.raw("<Q"),
    b"]": lambda m: [],
    b"}": lambda m: {},
    b"\x8f": lambda m: set(),
    b")": lambda m: (),
    b"\x85": lambda m: tuple(m.top(1)),
    b"\x86": lambda m: tuple(m.top(2)),
    b"\x87": lambda m: tuple(m.top(3)),
    b"t": lambda m: tuple(m.since_mark()),
    b"l": _Machine.since_mark,
    b"d": lambda m: {_key(name): value for name, value in m.pair_up(m.since_mark())},
    b"\x91": lambda m: frozenset(map(_key, m.since_mark())),
    b"g": lambda m: m.memo[int(m.line(_LINE))],
    b"h": lambda m: m.memo[m.number("<B")],
    b"j": lambda m: m.memo[m.number("<I")],
    b"c": lambda m: known(str(m.line(_LINE), "utf-8"), str(m.line(_LINE), "utf-8")),
    b"\x93": lambda m: known(*m.top(2)),
    b"R": _Machine.call,
    b"\x81": _Machine.call,
    b"Q": _Machine.identified,
}
"""Opcodes that put a value on the stack."""

_CHANGES: dict[bytes, Callable[[_Machine], None]] = {
    b"\x80": _protocol,
    b"\x95": _frame,
    b"(": _Machine.mark,
    b"a": lambda m: m.append(m.top(1)),
    b"e": lambda m: m.append(m.since_mark()),
    b"s": lambda m: m.set_items(m.top(2)),
    b"u": lambda m: m.set_items(m.since_mark()),
    b"\x90": _Machine.add_items,
    b"b": _Machine.build,
    b"p": lambda m: m.memoize(int(m.line(_LINE))),
    b"q": lambda m: m.memoize(m.number("<B")),
    b"r": lambda m: m.memoize(m.number("<I")),
    b"\x94": lambda m: m.memoize(len(m.memo)),
}
"""Opcodes that change what is there."""


def _pushing(make: Callable[[_Machine], Any]) -> Callable[[_Machine], None]:
    def step(machine: _Machine) -> None:
        made = make(machine)  # which may exchange the stack
        machine.stack.append(made)

    return step


_STEPS = {code[0]: _pushing(make) for code, make in _PUSHES.items()}
_STEPS |= {code[0]: change for code, change in _CHANGES.items()}
