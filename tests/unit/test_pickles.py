"""The pickle machine and PyTorch's files: what comes out, and what is refused."""

import argparse
import gc
import io
import os
import pickle
import random
import sys
import warnings
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pickle_parts import call, group, name, new_file, number, old_storage, pickled, text
from torch import Tensor

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.gan.formats import pickles
from comfy_genart_nodes.gan.formats.records import Name, Record, RefusedError
from comfy_genart_nodes.gan.formats.torch_files import open_pickle

PROTOCOLS = range(6)
PLAIN = {
    "numbers": [0, 1, 255, 256, 65536, -1, 2**31, -(2**31), 2**63, -(2**100), 0.5, -1e300],
    "texts": ["", "a", "ä\n\u20ac\U0001f600", "x" * 70_000],
    "bytes": (b"", b"\x00\xff", b"y" * 300),
    "constants": (None, True, False, ()),
    "sets": {1, "a", (2, "b")},
    "frozen": frozenset({3}),
    1: {"deep": [[[{"er": ((1,),)}]]]},
}
BASE = torch.arange(1000.0)
TENSORS = {
    "floats": BASE,
    "shared": BASE[3:900:3].reshape(-1, 1),
    "turned": BASE.reshape(20, 50).t(),
    "repeated": torch.ones(1).expand(5, 6),
    "nothing": torch.empty(0, 3),
    "one": torch.tensor(2.5),
    "weight": torch.nn.Parameter(torch.arange(9.0).reshape(3, 3)),
    **{
        str(dtype): torch.arange(7).to(dtype)
        for dtype in (
            torch.float64,
            torch.float16,
            torch.bfloat16,
            torch.int64,
            torch.int32,
            torch.int16,
            torch.int8,
            torch.uint8,
            torch.bool,
        )
    },
}
ARRAYS = {
    "rows": np.arange(6, dtype="f4").reshape(2, 3),
    "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "halves": np.arange(5, dtype="f2"),
    "big-endian": np.arange(5, dtype=">i4"),
    "nothing": np.zeros((0, 2)),
    "one": np.array(3.0),
    "truths": np.array([True, False]),
}


def read(data: bytes) -> Any:
    return pickles.read(memoryview(data))


def refusal(data: bytes) -> str:
    with pytest.raises(RefusedError) as error:
        read(data)
    return str(error.value)


@pytest.fixture
def opened(tmp_path):
    def open_bytes(data: bytes) -> Any:
        (tmp_path / "file").write_bytes(data)
        return open_pickle(tmp_path / "file")

    return open_bytes


def saved(tree: Any, zipped: bool, protocol: int = 2) -> bytes:
    out = io.BytesIO()
    torch.save(tree, out, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    return out.getvalue()


def same(found: dict[str, Any], expected: dict[str, Tensor]) -> None:
    assert list(found) == list(expected)
    for key, tensor in expected.items():
        assert isinstance(found[key], Tensor) and found[key].dtype is tensor.dtype, key
        assert found[key].shape == tensor.shape and torch.equal(found[key], tensor), key


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_values_are_what_they_were(opened, protocol):
    assert opened(pickle.dumps(PLAIN, protocol)) == PLAIN


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_tensors_are_bit_for_bit_those_of_torch_load(opened, zipped, protocol):
    data = saved(TENSORS, zipped, protocol)
    expected = torch.load(io.BytesIO(data), weights_only=protocol == 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same(opened(data), expected)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tensors_in_a_plain_pickle(opened, protocol):
    same(opened(pickle.dumps(TENSORS, protocol)), TENSORS)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_become_tensors_and_their_numbers_ours(opened, protocol):
    found = opened(pickle.dumps(ARRAYS | {"scalar": np.float32(1.5)}, protocol))
    assert type(found["scalar"]) is float and found.pop("scalar") == 1.5
    for key, array in ARRAYS.items():
        assert np.array_equal(found[key].numpy(), array) and found[key].shape == array.shape, key
    assert found["halves"].dtype is torch.float16


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_kind_of_dict_is_a_dict(opened, protocol):
    kinds = [
        OrderedDict(a=1, b=2),
        defaultdict(dict, {"a": 1}),
        argparse.Namespace(a=1),
        OrderedDict(),
    ]
    found = opened(pickle.dumps(kinds, protocol))
    assert found == [{"a": 1, "b": 2}, {"a": 1}, {"a": 1}, {}]
    assert {type(each) for each in found} == {dict}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_object_is_a_record_of_what_it_would_be(opened, protocol):
    found = opened(pickle.dumps(torch.nn.Linear(2, 3), protocol))
    assert isinstance(found, Record)
    assert found.callee == Name("torch.nn.modules.linear", "Linear")
    assert found.state["in_features"] == 2
    assert found.state["_parameters"]["weight"].shape == (3, 2)


def test_a_network_file_is_records_and_tensors(repository: Path):
    tree = open_pickle(repository / "tests/fixtures/networks/sg2_64_resnet.pkl")
    network = tree["G_ema"]
    assert network.callee == Name("torch_utils.persistence", "_reconstruct_persistent_obj")
    assert network.args[0]["class_name"] == "Generator"
    assert isinstance(tree["training_set_kwargs"], dict)


def test_shared_parts_stay_one(opened):
    part = [torch.zeros(2)]
    found = opened(pickle.dumps([part, part]))
    assert found[0] is found[1]


def test_a_name_is_only_a_name():
    assert read(pickled(name("torch", "float32"))) == Name("torch", "float32")
    assert "os.system" in refusal(pickled(name("os", "system")))
    assert "builtins.eval" in refusal(pickled(name("__builtin__", "eval")))
    assert "torch.nn.modules.conv._ConvNd.forward" in refusal(
        pickled(text("torch.nn.modules.conv"), text("_ConvNd.forward"), b"\x93")
    )


def test_a_call_only_notes_what_would_be_called():
    found = read(pickled(call(name("torch", "device"), text("cuda"), number(0))))
    assert (found.callee, found.args) == (Name("torch", "device"), ("cuda", 0))


def test_reading_imports_nothing(opened):
    before = set(sys.modules)
    found = opened(pickled(name("torch.nn.modules.nowhere", "Nothing"), b")\x81"))
    assert found.callee == Name("torch.nn.modules.nowhere", "Nothing")
    assert opened(pickled(name("R3GAN.Networks", "Generator"), b")R")).callee.module
    assert set(sys.modules) == before


@pytest.mark.parametrize("cut", [0.0, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("kind", ["pickle", "archive", "old file"])
def test_a_file_cut_off_is_refused(opened, kind, cut):
    tree = {"weight": torch.arange(50.0)}
    data = pickle.dumps(tree) if kind == "pickle" else saved(tree, kind == "archive")
    with pytest.raises(GenartError, match=r"file .*(damaged|empty|lacks)"):
        opened(data[: int(cut * len(data))])


def test_the_levels_a_tree_may_have():
    def nested(levels: int) -> bytes:
        return pickled(b"]" * levels, b"a" * (levels - 1))

    assert read(nested(200))
    assert "deeper" in refusal(nested(201))
    assert "deeper" in refusal(nested(90_000))


def test_a_deep_tree_is_let_go_without_harm():
    parts = b"]" * 100_000 + b"a" * 99_999, b"}" + b"N}" * 60_000 + b"s" * 60_000
    for deep in parts:
        assert read(pickled(b"(", deep, b"tN")) is None  # built, and not looked at
        gc.collect()


def test_what_is_shared_is_counted_as_often_as_it_is_met():
    double = b"]\x94" + b"".join(
        b"](h" + bytes([level]) + b"h" + bytes([level]) + b"e\x94" for level in range(15)
    )
    assert read(pickled(b"(" + double + b"t"))
    more = double + b"".join(
        b"](h" + bytes([level]) + b"h" + bytes([level]) + b"e\x94" for level in range(15, 40)
    )
    assert "more parts" in refusal(pickled(b"(" + more + b"t"))


def test_an_inner_file_may_hold_numbers_and_nothing_else(opened):
    load = name("torch.storage", "_load_from_bytes")
    data = old_storage(2, np.array([1.0, 2.0], "f4").tobytes())

    def tensor(inner: bytes) -> bytes:
        storage = call(load, b"B" + len(inner).to_bytes(4, "little") + inner)
        sizes = group(number(2)), group(number(1))
        return pickled(call(name("torch._utils", "_rebuild_tensor"), storage, number(0), *sizes))

    assert opened(tensor(data)).tolist() == [1.0, 2.0]
    with pytest.raises(GenartError, match="where numbers belong"):
        opened(tensor(pickled(b"]")))
    with pytest.raises(GenartError, match=r"os\.system"):
        opened(tensor(new_file(call(name("os", "system"), text("true")))))


def test_a_file_is_free_when_its_tensors_are_gone(tmp_path):
    path = tmp_path / "network.pt"
    path.write_bytes(saved(TENSORS, True))
    tree = open_pickle(path)
    if Path("/proc/self/maps").exists():
        assert str(path) in Path("/proc/self/maps").read_text()
        del tree
        assert str(path) not in Path("/proc/self/maps").read_text()


def test_a_mapped_tensor_never_writes_into_the_file(tmp_path):
    path = tmp_path / "network.pt"
    path.write_bytes(saved({"weight": torch.ones(64)}, True))
    before = path.read_bytes()
    open_pickle(path)["weight"].zero_()
    assert path.read_bytes() == before


def test_what_is_no_file_is_said(tmp_path):
    with pytest.raises(GenartError, match="There is no file"):
        open_pickle(tmp_path)
    with pytest.raises(GenartError, match="There is no file"):
        open_pickle(tmp_path / "network.pkl")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(GenartError, match="There is no file"):
            open_pickle(tmp_path / "pipe")


def test_random_trees_come_back_equal(opened):
    draw = random.Random(0)

    def tree(levels: int) -> Any:
        kind = draw.randrange(7) if levels else draw.randrange(3)
        many = range(draw.randrange(4))
        return (
            lambda: draw.randrange(-(2**40), 2**40),
            lambda: chr(draw.randrange(32, 5000)) * draw.randrange(300),
            lambda: draw.choice([None, True, 0.25]),
            lambda: [tree(levels - 1) for _ in many],
            lambda: tuple(tree(levels - 1) for _ in many),
            lambda: {each: tree(levels - 1) for each in many},
            lambda: {str(each): tree(levels - 1) for each in many},
        )[kind]()

    for index in range(60):
        made = tree(5)
        assert opened(pickle.dumps(made, index % 6)) == made


def test_small_numbers_are_counted_as_large_as_they_become(tmp_path):
    """They become float32: a network of bytes would take four times what its file allows."""
    seen = torch.zeros(1, dtype=torch.uint8).expand(12 * 2**20)
    torch.save({"w": seen}, tmp_path / "a.pt")
    with pytest.raises(GenartError, match="far more memory"):
        open_pickle(tmp_path / "a.pt")
