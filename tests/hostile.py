"""Files made to harm whoever opens them.

None of them is run to be made: pickles are put together from their instructions by hand.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

from hostile_names import names
from hostile_numbers import archives, strangers, tensors
from pickle_parts import (
    FOUR,
    call,
    group,
    identity,
    inside,
    name,
    network,
    new_file,
    number,
    old_file,
    old_storage,
    pickled,
    raw,
    sizes,
    stacked,
    tensor,
    text,
    u4,
    u8,
)

MANY = 50_000


def hostile(canary: Path) -> dict[str, bytes]:
    """Files by what is wrong with them. Whoever runs one of them leaves the canary."""
    files: dict[str, bytes] = {}
    for part in (running, nesting, lengths, contradictions, names, tensors, archives, strangers):
        files |= {f"{part.__name__}: {what}": data for what, data in part(canary)}
    return files


def running(canary: Path) -> Iterator[tuple[str, bytes]]:
    """Pickles that run something."""
    shell, code = text(f"echo > {canary}"), text(f"open({str(canary)!r}, 'w')")
    system = call(name("os", "system"), shell)
    yield "os.system", pickled(system)
    yield "os.system in place of G_ema", network(system)
    yield "posix.system, protocol 0", f"cposix\nsystem\n(Vecho > {canary}\ntR.".encode()
    yield "nt.system", pickled(call(name("nt", "system"), shell))
    yield "eval", pickled(call(name("builtins", "eval"), code))
    yield "exec of Python 2", pickled(call(name("__builtin__", "exec"), code), protocol=2)
    popen = call(stacked("subprocess", "Popen"), group(text("touch"), text(str(canary))))
    yield "subprocess by a computed name", pickled(popen)
    yield (
        "a name from the memo",
        pickled(
            text("system"), b"\x94", text("os"), b"\x94", b"h\x01h\x00\x93", group(shell), b"R"
        ),
    )
    yield "a name that is a list", pickled(b"]]\x93")
    yield (
        "a dotted name",
        pickled(call(stacked("torch.nn.modules.conv", "Conv2d.os.system"), shell)),
    )
    getter = name("builtins", "getattr")
    loaded = call(name("builtins", "__import__"), text("os"))
    yield "__import__", pickled(loaded)
    yield "a chain of getattr", pickled(call(call(getter, loaded, text("system")), shell))
    yield (
        "getattr on a known class",
        pickled(call(getter, name("collections", "OrderedDict"), text("__reduce__"))),
    )
    yield "operator.attrgetter", pickled(call(name("operator", "attrgetter"), text("system")))
    yield (
        "functools.partial",
        pickled(call(name("functools", "partial"), name("os", "system"), shell)),
    )
    yield "importlib", pickled(call(name("importlib", "import_module"), text("this")))
    yield "runpy", pickled(call(name("runpy", "_run_code"), code, b"}"))
    yield "webbrowser", pickled(call(name("webbrowser", "open"), text("http://localhost")))
    yield "torch.load", pickled(call(name("torch", "load"), text("other.pt")))
    yield "torch.hub", pickled(call(name("torch.hub", "load"), text("a/b"), text("c")))
    yield "pickle.loads", pickled(call(name("pickle", "loads"), raw(pickled(system))))
    yield "numpy.load", pickled(call(name("numpy", "load"), text("other.npy")))
    yield (
        "numpy's test runner",
        pickled(call(name("numpy.testing._private.utils", "runstring"), code, b"}")),
    )
    yield "a class of torch's workers", pickled(call(name("torch.nn.modules._worker", "__init__")))
    yield "newobj", pickled(name("os", "system"), group(shell), b"\x81")
    yield "newobj with names", pickled(name("subprocess", "Popen"), b")}\x92")
    yield "inst", f"(S'echo > {canary}'\nios\nsystem\n.".encode()
    yield "obj", pickled(b"(", name("os", "system"), shell, b"o")
    yield "a poisoned inner file", network(inside(pickled(system)))
    yield (
        "a poisoned tree in an inner file",
        network(inside(old_file(system, b"]" + text("0") + b"a", u8(0)))),
    )
    yield "a poisoned inner archive", network(inside(new_file(system)))
    yield (
        "poison inside an inner file's inner file",
        network(inside(pickled(inside(pickled(system))))),
    )
    yield (
        "an inner file of the Python 2 kind",
        network(
            call(
                name("torch.storage", "_load_from_bytes"),
                text(f"cos\nsystem\n(Vecho > {canary}\ntR."),
            )
        ),
    )
    yield "poison in place of the magic number", pickled(system) + old_storage(4, bytes(16))
    yield "poison among the keys", old_file(identity(4), system, u8(4) + bytes(16))
    yield "poison for the system", old_file(identity(4), b"]", b"", system)
    yield (
        "poison as a storage's name",
        new_file(group(text("storage"), system, text("0"), text("cpu"), number(4)) + b"Q"),
    )
    yield "poison in an archive", new_file(system)
    reconstruct = name("torch_utils.persistence", "_reconstruct_persistent_obj")
    source = b"}" + text("module_src") + code + b"s"
    yield "poisoned source", network(call(reconstruct, source))
    yield "a call of a call", pickled(call(call(name("collections", "OrderedDict")), shell))
    yield "a call of a text", pickled(call(text("os.system"), shell))
    yield "a state for a class", pickled(name("torch.nn.modules.conv", "Conv2d"), b"}b")
    yield "a state for a dict", pickled(b"}}b")
    setter = name("torch.nn.modules.module", "Module") + b")\x81"
    yield (
        "__setstate__ as a state",
        pickled(setter, b"}", text("__setstate__"), name("os", "system"), b"sb"),
    )
    yield "two states", network(setter, b"}b}b")
    yield "extension 1", pickled(b"\x82\x01")
    yield "extension 2", pickled(b"\x83\x01\x00")
    yield "extension 4", pickled(b"\x84\x01\x00\x00\x00")
    yield "a persistent id", pickled(text("os.system"), b"Q")
    yield "a persistent id in text", b"Pos.system\n."
    yield "a buffer from outside", pickled(b"\x97", protocol=5)
    yield "a persistent id that is no storage", new_file(group(text("module"), shell) + b"Q")


def nesting(_: Path) -> Iterator[tuple[str, bytes]]:
    """Structures that break whoever walks them."""
    yield "lists 50,000 deep", pickled(b"]" * MANY, b"a" * (MANY - 1))
    yield "tuples 50,000 deep", pickled(b")", b"\x85" * MANY)
    yield "tuples as a key", pickled(b"}", b")", b"\x85" * MANY, b"Ns")
    yield "dicts 50,000 deep", pickled(b"}" + (b"K\x00}" * MANY), b"s" * MANY)
    size = name("torch", "Size") + b"q\x00"
    yield "records 50,000 deep", pickled(size, b"(" + b"h\x00" * MANY, b")R", b"\x85R" * (MANY - 1))
    states = name("torch.nn.modules.module", "Module") + b")\x81"
    yield "states 50,000 deep", pickled(states * MANY, b"b" * (MANY - 1))
    yield "marks without end", pickled(b"(" * MANY)
    yield "deep, then cut off", pickled(b"]" * MANY, b"a" * (MANY - 1))[:-1]
    yield "deep and dropped", pickled(b"(" + b"]" * MANY + b"a" * (MANY - 1), b"\x94tN")
    yield "a list in itself", pickled(b"]\x94h\x00a")
    yield "a dict in itself", pickled(b"}\x94", text("G_ema"), b"h\x00s")
    yield "a record in its own state", network(states, b"\x94h\x00b")
    yield "two lists in each other", pickled(b"]\x94]\x94h\x00ah\x00h\x01a")
    laughs = b"(tq\x00" + b"".join(
        b"(" + (b"h" + bytes([i])) * 10 + b"tq" + bytes([i + 1]) for i in range(40)
    )
    yield "a billion laughs in tuples", pickled(laughs)
    yield "a billion laughs in a dict", pickled(b"}N(", laughs, b"ts")
    yield (
        "a billion laughs in lists",
        pickled(
            b"]q\x00"
            + b"".join(b"](" + (b"h" + bytes([i])) * 10 + b"eq" + bytes([i + 1]) for i in range(40))
        ),
    )
    yield "millions of parts", pickled(b"]" * 1_100_000)
    yield "a memo bomb", pickled(b"N", b"".join(b"r" + u4(2**32 - 1 - i) for i in range(1000)))
    yield "a memo bomb in text", b"Np" + b"9" * 100 + b"\ng" + b"9" * 101 + b"\n."
    same = b"".join(number(i * (2**61 - 1)) + b"N" for i in range(1, 100))
    yield "keys that collide", pickled(b"}(", same, b"u")
    yield "a list as a key", pickled(b"}]Ns")
    yield "a list in a set", pickled(b"\x8f(]\x90")
    shared = text("x" * 100_000) + b"q\x00"
    encode = b"(" + (name("_codecs", "encode") + b"h\x00" + text("latin1") + b"\x86R") * 2000 + b"t"
    yield "one text decoded a thousand times", pickled(shared, encode)


def lengths(_: Path) -> Iterator[tuple[str, bytes]]:
    """Lengths far beyond the file."""
    for what, code in (("text", b"X"), ("bytes", b"B")):
        yield f"a gigabyte of {what}", network(code + u4(2**30))
    yield "4 GB of long text", network(b"\x8d" + u8(2**32))
    yield "8 EB of bytes", network(b"\x8e" + u8(2**63))
    yield "16 EB of writable bytes", network(b"\x96" + u8(2**64 - 1))
    yield "a negative string", network(b"T" + struct.pack("<i", -1))
    yield "a gigabyte of an integer", network(b"\x8b" + u4(2**30))
    yield "a negative length of an integer", network(b"\x8b" + struct.pack("<i", -5))
    yield "an integer of 255 bytes", network(b"\x8a\xff" + b"\x7f" * 255)
    yield "an integer of 100,000 digits", b"L" + b"9" * 100_000 + b"L\n."
    yield "a float of 100,000 digits", b"F" + b"9" * 100_000 + b"\n."
    yield "a line without an end", b"V" + b"x" * 100_000
    yield "a frame of 8 EB", pickled(b"\x95" + u8(2**63), b"N")
    yield "protocol 6", pickled(b"N", protocol=6)
    yield "protocol 255", pickled(b"N", protocol=255)


def contradictions(_: Path) -> Iterator[tuple[str, bytes]]:
    """Pickles that are no sentence of their language, and trees that are no network."""
    yield "nothing", b""
    yield "only the protocol", b"\x80\x04"
    yield "only stop", b"."
    yield "no stop", b"\x80\x04N"
    for code in b"abesuRtQ\x81\x85\x86\x87\x90\x91\x93":
        yield f"instruction {code:#x} on an empty stack", pickled(bytes([code]))
        yield f"instruction {code:#x} on wrong values", pickled(b"NNK\x01(NN", bytes([code]))
    yield "a memo never written", pickled(b"h\x07")
    yield "a key without a value", pickled(b"}(NNNu")
    yield "text that is no text", pickled(b"X" + u4(2) + b"\xff\xfe")
    yield "escapes that are none", b"V\\uZZZZ\n."
    yield "a number that is none", b"Iabc\n."
    yield "items for a text", pickled(text("a"), b"N", b"a")
    for what, value in (
        ("None", b"N"),
        ("a number", number(7)),
        ("an enormous number", number(2**500)),
        ("a list", b"]"),
        ("a text", text("G")),
        ("a class", name("torch.nn.modules.conv", "Conv2d")),
        ("a tensor", tensor(FOUR, 0, sizes(2, 2), sizes(2, 1))),
        ("an empty record", name("training.networks", "Generator") + b")\x81"),
    ):
        yield f"{what} for a network", network(value)
        yield f"{what} for a file", pickled(value)
        for key in ("_parameters", "_buffers", "_modules", "_init_kwargs"):
            yield f"{what} for {key}", network(nvidia(key, value))
        for key in ("state", "class_name", "module_src", "version", "type"):
            yield f"{what} for {key}", network(nvidia(None, b"N", key, value))
        for key in ("variables", "components", "static_kwargs", "version"):
            yield f"{what} for TensorFlow's {key}", tensorflow(key, value)
        for key in ("G_ema", "g_ema", "GAN", "g", "netG", "state_dict", "latent_avg"):
            yield f"{what} for a state dict {key}", pickled(b"}", text(key), value, b"s")
            tree = b"}" + text("synthesis.b4.const") + value + b"s"
            yield f"{what} for a weight in {key}", pickled(b"}", text(key), tree, b"s")
    yield "missing G_ema", pickled(b"}", text("D"), b"Ns")


def tensorflow(field: str, value: bytes) -> bytes:
    """Three networks as TensorFlow's files have them, one field of the last exchanged."""
    fields = {"version": number(4), "variables": b"]", "components": b"}", "static_kwargs": b"}"}
    fields[field] = value
    state = b"}" + b"".join(text(key) + each + b"s" for key, each in fields.items())
    made = name("dnnlib.tflib.network", "Network") + b")\x81" + state + b"b"
    return pickled(group(made, made, made))


def nvidia(part: str | None, value: bytes, field: str = "type", other: bytes = b"") -> bytes:
    """One module as NVIDIA's files have it, one part or field exchanged."""
    parts = {key: b"}" for key in ("_parameters", "_buffers", "_modules", "_init_kwargs")}
    if part is not None:
        parts[part] = value
    state = b"}" + b"".join(text(key) + each + b"s" for key, each in parts.items())
    meta = {
        "type": text("class"),
        "version": number(6),
        "module_src": text("raise SystemExit"),
        "class_name": text("Generator"),
        "state": state,
    }
    meta[field] = other or meta[field]
    filled = b"}" + b"".join(text(key) + each + b"s" for key, each in meta.items())
    return call(name("torch_utils.persistence", "_reconstruct_persistent_obj"), filled)
