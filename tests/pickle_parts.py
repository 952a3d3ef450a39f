"""Pickles and files of torch.save, put together by hand from their instructions."""

import io
import struct
import zipfile

MAGIC = 0x1950A86A20F9469CFC6C


def u4(number: int) -> bytes:
    return struct.pack("<I", number)


def u8(number: int) -> bytes:
    return struct.pack("<Q", number)


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + u4(len(data)) + data


def raw(data: bytes) -> bytes:
    return b"B" + u4(len(data)) + data


def number(value: int) -> bytes:
    size = value.bit_length() // 8 + 1
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def stacked(module: str, attribute: str) -> bytes:
    return text(module) + text(attribute) + b"\x93"


def group(*parts: bytes) -> bytes:
    return b"(" + b"".join(parts) + b"t"


def sizes(*values: int) -> bytes:
    return group(*map(number, values))


def call(callee: bytes, *args: bytes) -> bytes:
    return callee + group(*args) + b"R"


def pickled(*parts: bytes, protocol: int = 4) -> bytes:
    return b"\x80" + bytes([protocol]) + b"".join(parts) + b"."


def network(*parts: bytes) -> bytes:
    """A pickle of what a network file should be, with something in the place of G_ema."""
    return pickled(b"}", text("G_ema"), *parts, b"s")


# Files of torch.save


def old_file(tree: bytes, keys: bytes, numbers: bytes, system: bytes = b"}") -> bytes:
    begin = pickled(number(MAGIC)) + pickled(number(1001)) + pickled(system)
    return begin + pickled(tree) + pickled(keys) + numbers


def identity(count: int, kind: str = "FloatStorage", key: str = "0") -> bytes:
    parts = text("storage"), name("torch", kind), text(key), text("cpu"), number(count), b"N"
    return group(*parts) + b"Q"


def old_storage(count: int, data: bytes) -> bytes:
    return old_file(identity(count), b"]" + text("0") + b"a", u8(count) + data)


def tensor(storage: bytes, offset: int, size: bytes, stride: bytes) -> bytes:
    rest = b"\x89", call(name("collections", "OrderedDict"))
    make = name("torch._utils", "_rebuild_tensor_v2")
    return call(make, storage, number(offset), size, stride, *rest)


def inside(file: bytes) -> bytes:
    return call(name("torch.storage", "_load_from_bytes"), raw(file))


FOUR = inside(old_storage(4, bytes(16)))


def zipped(entries: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for entry, data in entries:
            archive.writestr(entry, data)
    return out.getvalue()


def new_file(tree: bytes, numbers: bytes = bytes(16), method: int = zipfile.ZIP_STORED) -> bytes:
    entries = [("net/data.pkl", pickled(tree)), ("net/version", b"3\n"), ("net/data/0", numbers)]
    return zipped(entries, method)


def array(dtype: bytes, shape: bytes, data: bytes) -> bytes:
    make = name("numpy.core.multiarray", "_reconstruct")
    start = call(make, name("numpy", "ndarray"), sizes(0), raw(b"b"))
    return start + group(number(1), shape, dtype, b"\x89", data) + b"b"


def kind(code: str) -> bytes:
    made = call(name("numpy", "dtype"), text(code), b"\x89", b"\x88")
    return made + group(number(3), text("<"), b"N", b"N", b"N", number(-1)) + b"b"
