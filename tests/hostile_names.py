"""Files whose names are the trap: of modules, tensors and settings, and what they stand for."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

from pickle_parts import (
    FOUR,
    array,
    group,
    kind,
    name,
    pickled,
    raw,
    sizes,
    tensor,
    text,
    u8,
)

MODULE = name("torch.nn.modules.module", "Module") + b")\x81"
TENSORFLOW = name("dnnlib.tflib.network", "Network") + b")\x81"
STEERING = "\x1b[2J" + "weight" * 30


def names(_: Path) -> Iterator[tuple[str, bytes]]:
    """Names too long, too many, or of what cannot be."""
    yield "a long one in every path", modules(10**6, 30, 10)
    yield "long paths for many tensors", modules(250, 40, 50_000)
    yield "a long one in many dicts", dicts(10**6, 1000)
    yield "a long one of TensorFlow's in many networks", variables(10**6, 2000)
    layers = [f"GE.layers.{i}.0.2.1.weight" for i in range(20_000)]
    ends = "GE.initial_conv.0.weight", "GE.out_conv.weight", "GE.layers.0.0.2.1.weight"
    yield "20,000 layers", state("GAN", *ends, *layers)
    yield "one that steers a terminal", state("g_ema", "conv1.conv.modulation.weight", STEERING)
    norm = STEERING + ".weight_orig"
    yield "a layer that steers a terminal", state("g", "init.init.0.weight", "to_big.weight", norm)
    filters = "synthesis.b4.conv1.weight", "mapping.fc0.weight", STEERING + ".resample_filter"
    yield "a filter that steers a terminal", state("G_ema", *filters)
    for what, variable, size in (
        ("a side of 0", "synthesis/0x0/Conv/weight", (1, 1, 1, 1)),
        ("a constant for no picture", "synthesis/4x4/Const/const", (0, 1, 4, 4)),
        ("noise for no picture", "synthesis/noise0", (0, 1, 4, 4)),
    ):
        conv = {"synthesis/4x4/Conv/mod_weight": (4, 4), "synthesis/4x4/Conv/weight": (1, 1)}
        pairs = [
            group(text(key), array(kind("f4"), sizes(*shape), raw(bytes(4 * math.prod(shape)))))
            for key, shape in {**conv, variable: size}.items()
        ]
        parts = text("variables") + b"](" + b"".join(pairs) + b"e"
        yield f"{what} in TensorFlow", pickled(TENSORFLOW, b"}", parts, b"sb")
    for what, info in (("a number", 5), ("a list", [1]), ("nothing", None), ("a text", "ab")):
        yield f"safetensors that know {what} of themselves", safetensors("g_ema.a", info)
    yield "safetensors with warnings that are a number", safetensors("g_ema.a", {"warnings": 5})
    yield "safetensors with a tensor that steers a terminal", safetensors(f"g_ema.{STEERING}", {})


def state(place: str, *keys: str) -> bytes:
    """A state dict under a key, of one tensor under many names."""
    first = tensor(FOUR, 0, sizes(1, 1, 1, 1), sizes(1, 1, 1, 1)) + b"q\x00"
    pairs = (text(key) + (b"h\x00" if i else first) for i, key in enumerate(keys))
    return pickled(b"}", text(place), b"}(", *pairs, b"us")


def dicts(letters: int, count: int) -> bytes:
    """Many dicts with one tensor under one long name."""
    first = text("k" * letters) + b"q\x00" + tensor(FOUR, 0, sizes(1), sizes(1)) + b"q\x01"
    more = (text(f"{i:x}") + b"}h\x00h\x01s" for i in range(count))
    return pickled(b"}(", text("first"), b"}", first, b"s", *more, b"u")


def modules(letters: int, levels: int, weights: int) -> bytes:
    """Modules inside one another, all of one name; the innermost has one tensor many times."""
    one = text("one") + tensor(FOUR, 0, sizes(1), sizes(1)) + b"q\x01"
    many = b"".join(text(f"{i:x}") + b"h\x01" for i in range(weights))
    inner = MODULE + b"}(" + text("_parameters") + b"}(" + one + many + b"u"
    inner += text("_modules") + b"}ub"
    for _ in range(levels):
        parts = text("_parameters") + b"}" + text("_modules") + b"}h\x00" + inner + b"s"
        inner = MODULE + b"}(" + parts + b"ub"
    name_ = text("name") + text("k" * letters) + b"q\x00"
    return pickled(b"}(", name_, text("G_ema"), inner, b"u")


def variables(letters: int, components: int) -> bytes:
    """A network of TensorFlow's: one variable of a long name, in all its components."""
    variable = group(text("k" * letters), array(kind("f4"), sizes(1), raw(bytes(4))))
    first = TENSORFLOW + b"}" + text("variables") + b"]" + variable + b"asbq\x00"
    more = (text(f"{i:x}") + b"h\x00" for i in range(components))
    parts = text("components"), b"}(", text("first"), first, *more, b"u"
    return pickled(TENSORFLOW, b"}", *parts, b"sb")


def safetensors(key: str, info: object) -> bytes:
    """A file of this pack with one tensor, and what it says of itself."""
    header = json.dumps({"format": 1, "family": "dcgan", "spec": {}, "info": info})
    weight = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    whole = json.dumps({"__metadata__": {"genart": header}, key: weight}).encode()
    return u8(len(whole)) + whole + bytes(4)
