"""Files whose numbers are not there, archives that lie, and files of other kinds."""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from pickle_parts import (
    FOUR,
    array,
    call,
    group,
    identity,
    inside,
    kind,
    name,
    network,
    new_file,
    number,
    old_file,
    old_storage,
    pickled,
    raw,
    sizes,
    tensor,
    text,
    u4,
    u8,
    zipped,
)

HUGE = 2**40


def tensors(_: Path) -> Iterator[tuple[str, bytes]]:
    """Numbers that are not there."""
    one = sizes(1)
    yield "a tensor behind its storage", network(tensor(FOUR, 4, one, one))
    yield "a tensor before its storage", network(tensor(FOUR, -1, one, one))
    yield "a stride beyond the storage", network(tensor(FOUR, 0, sizes(2, 2), sizes(1000, 1)))
    yield "a negative stride", network(tensor(FOUR, 3, sizes(4), sizes(-1)))
    yield "a negative size", network(tensor(FOUR, 0, sizes(-4), one))
    yield "two negative sizes", network(tensor(FOUR, 0, sizes(-2, -2), sizes(2, 1)))
    yield "a terabyte of one number", network(tensor(FOUR, 0, sizes(HUGE // 4), sizes(0)))
    yield "sizes that overflow", network(tensor(FOUR, 0, sizes(2**33, 2**33), sizes(0, 0)))
    yield "an empty tensor of absurd size", network(tensor(FOUR, 0, sizes(0, 2**62), sizes(1, 1)))
    yield "a hundred dimensions", network(tensor(FOUR, 0, sizes(*[1] * 100), sizes(*[1] * 100)))
    yield "more sizes than strides", network(tensor(FOUR, 0, sizes(2, 2), one))
    yield "a size that is a text", network(tensor(FOUR, 0, group(text("2")), one))
    yield "a size that is true", network(tensor(FOUR, 0, group(b"\x88"), one))
    yield "a tensor of a tensor", network(tensor(tensor(FOUR, 0, one, one), 3, one, one))
    yield "a tensor of a text", network(tensor(text("0"), 0, one, one))
    yield (
        "a parameter of a text",
        network(call(name("torch._utils", "_rebuild_parameter"), text("w"), b"\x88", b"N")),
    )
    many = b"".join(tensor(b"h\x00", 0, sizes(1000, 1000), sizes(0, 0)) for _ in range(1000))
    yield "many expanded tensors", pickled(b"](", FOUR, b"q\x00", many, b"e")
    yield "a storage of a terabyte", network(inside(old_storage(HUGE, bytes(16))))
    yield "a storage of negative length", network(inside(old_storage(-4 + 2**64, bytes(16))))
    yield "a storage shorter than it says", network(inside(old_storage(5, bytes(16))))
    yield (
        "a storage of objects",
        network(
            inside(
                old_file(identity(4, "ObjectStorage"), b"]" + text("0") + b"a", u8(4) + bytes(16))
            )
        ),
    )
    two = group(identity(4), identity(1, "DoubleStorage"))
    yield "a storage of two kinds", old_file(two, b"]" + text("0") + b"a", u8(4) + bytes(16))
    yield "a storage that is missing", old_file(identity(4), b"]", b"")
    yield "keys that are no list", old_file(identity(4), text("0"), u8(4) + bytes(16))
    yield (
        "a key twice",
        old_file(identity(4), b"](" + text("0") * 2 + b"e", 2 * (u8(4) + bytes(16))),
    )
    yield (
        "a big-endian file",
        old_file(identity(4), b"]", b"", b"}" + text("little_endian") + b"\x89s"),
    )
    yield "an inner file of an inner file", network(inside(pickled(FOUR)))
    yield "an inner file that is none", network(inside(b"GIF89a"))
    yield "an empty inner file", network(inside(b""))
    yield "an array of objects", network(array(kind("O8"), one, b"](Ne"))
    yield "an array of bytes that are code", network(array(kind("V8"), one, raw(bytes(8))))
    yield "an array of dates", network(array(kind("M8"), one, raw(bytes(8))))
    yield (
        "a dtype that is a program",
        network(array(kind("f4,(" + "9" * 50 + ")i4"), one, raw(b""))),
    )
    yield "an array of a terabyte", network(array(kind("f4"), sizes(HUGE), raw(bytes(4))))
    yield "an array of negative shape", network(array(kind("f4"), sizes(-1, -1), raw(bytes(4))))
    yield "an array of text", network(array(kind("f4"), one, text("\u20ac\u20ac\u20ac\u20ac")))
    yield "an array without a state", network(call(name("numpy.core.multiarray", "_reconstruct")))
    yield (
        "a number of nothing",
        network(call(name("numpy.core.multiarray", "scalar"), kind("f8"), raw(b""))),
    )
    yield (
        "an array of a buffer that is short",
        network(
            call(
                name("numpy._core.numeric", "_frombuffer"), raw(b"abc"), kind("f4"), one, text("C")
            )
        ),
    )
    yield "bytes in rot13", network(call(name("_codecs", "encode"), text("abc"), text("rot13")))
    yield (
        "a dict of what is no pair",
        network(call(name("collections", "OrderedDict"), b"](" + sizes(1, 2, 3) + b"e")),
    )
    yield "a set of a number", network(call(name("builtins", "set"), number(5)))
    yield "a dict of a number", network(call(name("collections", "OrderedDict"), number(5)))
    rows = tensor(FOUR, 0, sizes(2**21, 2), sizes(0, 1))
    yield "a dict of millions of rows", network(call(name("dnnlib.util", "EasyDict"), rows))


def archives(_: Path) -> Iterator[tuple[str, bytes]]:
    """Zip archives that lie."""
    tree = tensor(identity(4), 0, sizes(4), sizes(1))
    good = new_file(tree)
    yield "a compressed archive", new_file(tree, method=zipfile.ZIP_DEFLATED)
    yield "a zip bomb", zipped([("net/data.pkl", bytes(50_000_000))], zipfile.ZIP_DEFLATED)
    yield "a storage shorter than it says", new_file(tree, bytes(12))
    yield "a storage longer than it says", new_file(tree, bytes(20))
    yield "a storage that is missing", zipped([("net/data.pkl", pickled(tree))])
    yield "no pickle", zipped([("net/data/0", bytes(16))])
    yield "two pickles", zipped([("a/data.pkl", pickled(tree)), ("b/data.pkl", pickled(tree))])
    yield "an empty archive", zipped([])
    outside = tensor(identity(4, key="../../../../etc/passwd"), 0, sizes(4), sizes(1))
    yield "a path that leaves", new_file(outside)
    climbing = [("net/data.pkl", pickled(outside)), ("net/data/../../../../etc/passwd", b"0" * 12)]
    yield "a record whose path leaves", zipped(climbing)
    yield "an absolute path", zipped([("/etc/data.pkl", pickled(tree))])
    program = [("net/data.pkl", pickled(tree)), ("net/constants.pkl", pickled(b")"))]
    yield "a program", zipped(program)
    order = [("net/data.pkl", pickled(tree)), ("net/byteorder", b"big"), ("net/data/0", bytes(16))]
    yield "a big-endian archive", zipped(order)
    yield (
        "two records of one name",
        zipped([("net/data/0", bytes(16)), ("net/data/1", b"")]).replace(
            b"net/data/1", b"net/data/0"
        ),
    )
    entry = good.rindex(b"PK\x01\x02")
    end = good.rindex(b"PK\x05\x06")
    for what, place, value in (
        ("a packed size of 4 GB", entry + 20, u4(2**32 - 2)),
        ("both sizes of 4 GB", entry + 20, u4(2**32 - 2) * 2),
        ("sizes only a 64-bit field could hold", entry + 20, u4(2**32 - 1) * 2),
        ("a record on top of another", entry + 42, u4(0)),
        ("64-bit contents nowhere", end - 20, large_end()),
        ("a record outside", entry + 42, u4(2**31)),
        ("a locked record", entry + 8, b"\x01\x00"),
        ("an unknown method", entry + 10, b"\x63\x00"),
        ("a name longer than the file", entry + 28, b"\xff\xff"),
        ("65,535 records", end + 10, b"\xff\xff"),
        ("60,000 records", end + 10, struct.pack("<H", 60_000)),
        ("contents outside", end + 16, u4(2**31)),
        ("a damaged end", end, b"PK\x05\x07"),
    ):
        yield what, good[:place] + value + good[place + len(value) :]
    yield "a comment in front", b"PK\x03\x04" + good
    yield "only the beginning", good[: len(good) // 2]


def large_end() -> bytes:
    """A locator of a 64-bit end record, and an end that needs one."""
    end = b"PK\x05\x06" + b"\xff\xff" * 4 + u4(2**32 - 1) * 2 + b"\x00\x00"
    return b"PK\x06\x07" + u4(0) + u8(2**64 - 1) + u4(1) + end


def strangers(canary: Path) -> Iterator[tuple[str, bytes]]:
    """Files of other kinds, and kinds in disguise."""
    shell = call(name("os", "system"), text(f"echo > {canary}"))
    yield "a pickle behind a safetensors length", u8(64) + pickled(shell)
    for what, header in (
        ("an absurd length", u8(2**62)),
        ("a length longer than the file", u8(1000) + b"{}"),
        ("a header that is no JSON", u8(4) + b"abcd"),
        ("a header 50,000 deep", u8(100_000) + b"[" * 100_000),
        ("a header that is a list", u8(2) + b"[]"),
        ("a header that is empty", u8(2) + b"{}"),
        ("a tensor outside", safetensors(4, [0, HUGE])),
        ("a tensor of negative place", safetensors(4, [-16, 0])),
        ("a tensor of absurd shape", safetensors(2**62, [0, 16])),
        ("a tensor of more than it has", safetensors(400, [0, 16])),
    ):
        yield f"safetensors with {what}", header + bytes(16)
    yield "a picture", b"\x89PNG\r\n\x1a\n" + bytes(100)
    yield "a web page", b"<!DOCTYPE html><html><body>404</body></html>"
    yield "text", b"a letter, no file\n"
    yield "zeros", bytes(1000)
    yield "a PyTorch file from before 2018", b"storages" + bytes(249) + b"ustar\x00" + bytes(250)
    yield "compressed", zlib.compress(pickled(shell))
    yield "a notebook", b'{"cells": []}'


def safetensors(size: int, place: list[int]) -> bytes:
    header = f'{{"a":{{"dtype":"F32","shape":[{size}],"data_offsets":{place}}}}}'.encode()
    return u8(len(header)) + header
