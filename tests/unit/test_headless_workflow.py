"""Overriding a workflow's values: what is set, what is refused, and with which words."""

import copy

import pytest

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.headless.run import Delivery
from comfy_genart_nodes.headless.workflow import (
    missing_nodes,
    nodes,
    override,
    own_seed,
    parse_seeds,
    read,
    with_seed,
)

KNOWN = {
    "Sample": {
        "input": {
            "required": {
                "seed": ["INT", {}],
                "psi": ["FLOAT", {}],
                "loop": ["BOOLEAN", {}],
                "mode": [["slerp", "lerp"], {}],
                "model": ["GENART_GAN", {}],
            },
            "optional": {"note": ["STRING", {}], "mask": ["MASK", {}]},
        }
    }
}


@pytest.fixture
def prompt():
    def node(title, **inputs):
        return {"class_type": "Sample", "inputs": inputs, "_meta": {"title": title}}

    first = node("First v1.0", seed=1, psi=1, loop=False, mode="slerp", model=["9", 0])
    return {"3": first, "7:2": node("Second", seed=["3", 0], noise_seed=4, psi=0.5)}


@pytest.mark.parametrize(
    ("assignment", "name", "value"),
    [
        ("First v1.0.seed=12", "seed", 12),
        ('"First v1.0".psi=0.7', "psi", 0.7),  # the page writes 1.0 as 1: it stays a FLOAT
        ("3.loop=TRUE", "loop", True),
        ("3.mode=lerp", "mode", "lerp"),
        ("3.mode=a=b.c", "mode", "a=b.c"),
        ("3.note=an optional one", "note", "an optional one"),
    ],
)
def test_a_value_is_read_as_what_its_input_is(prompt, assignment, name, value):
    before = copy.deepcopy(prompt)
    override(prompt, assignment, KNOWN)
    assert prompt["3"]["inputs"].pop(name) == value
    before["3"]["inputs"].pop(name, None)
    assert prompt == before  # and nothing else changed


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("Third.seed=1", ["Third", '3 "First v1.0"', '7:2 "Second"']),
        ("Second.sed=1", ["sed", "noise_seed", "psi"]),
        ("Sample.psi=1", ["several", "3", "7:2"]),
        ("Second.seed=1", ["wired"]),
        ("3.mask=1", ["mask", "psi"]),
        ("3.psi=high", ["psi", "FLOAT", "high"]),
        ("3.psi=nan", ["psi"]),
        ("3.loop=maybe", ["loop", "BOOLEAN"]),
        ("3.seed", ["understood"]),
    ],
)
def test_what_cannot_be_set_is_refused_with_the_right_names(prompt, assignment, words):
    before = copy.deepcopy(prompt)
    with pytest.raises(GenartError) as caught:
        override(prompt, assignment, KNOWN)
    assert all(word in str(caught.value) for word in words), caught.value
    assert prompt == before


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("1-4", [1, 2, 3, 4]), ("9,5, 1", [9, 5, 1]), ("1-3,2,7", [1, 2, 3, 7]), ("0", [0])],
)
def test_seeds_are_taken_in_the_order_given_and_each_once(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "8-1", "1-", "-3", "a", "1,,2", "1.5"])
def test_seeds_that_are_no_list_are_refused(text):
    with pytest.raises(GenartError, match="--seeds"):
        parse_seeds(text)


def test_a_seed_goes_to_every_seed_that_is_not_wired_and_the_original_is_untouched(prompt):
    before = copy.deepcopy(prompt)
    seeded = with_seed(prompt, 99)
    assert prompt == before
    assert seeded["3"]["inputs"]["seed"] == seeded["7:2"]["inputs"]["noise_seed"] == 99
    assert seeded["7:2"]["inputs"]["seed"] == ["3", 0]
    assert (own_seed(prompt), own_seed(seeded)) == (None, 99)


def test_a_workflow_without_seeds_has_none_to_set():
    with pytest.raises(GenartError, match="no node"):
        with_seed(nodes({"1": {"class_type": "EmptyImage"}}), 1)


def test_missing_nodes_are_named_with_where_they_stand(prompt):
    assert missing_nodes(prompt, KNOWN) == ""
    assert missing_nodes(prompt, {}) == 'Sample (3 "First v1.0"), Sample (7:2 "Second")'


@pytest.mark.parametrize("text", ["", "not json", "[]", "{}", '{"nodes": 3}', '{"a": {"b": 1}}'])
def test_a_file_that_is_no_workflow_is_refused_by_name(tmp_path, text):
    path = tmp_path / "some.json"
    path.write_text(text)
    with pytest.raises(GenartError, match=r"some\.json"):
        read(path)
    with pytest.raises(GenartError, match=r"other\.json"):
        read(tmp_path / "other.json")


def test_a_servers_names_cannot_leave_the_folder_or_hide_a_file(tmp_path):
    served = [
        "../../up_00003_.png",
        "C:\\w\\x.png",
        "..",
        "/etc/passwd",
        "up_00007_.png",
        "a_00001_",
    ]
    delivery = Delivery(tmp_path)
    paths = [delivery.path(name, seed) for name in served for seed in (None, 3)]
    assert len(set(paths)) == len(paths)
    assert {path.parent for path in paths} == {tmp_path}
    assert not any(path.name.startswith(".") for path in paths)


def test_names_do_not_depend_on_how_far_a_server_has_counted(tmp_path):
    early, late = Delivery(tmp_path), Delivery(tmp_path)
    assert early.path("walk_00001_.webp", 3) == late.path("walk_12345_.webp", 3)
    assert early.path("ComfyUI_temp_abcde_00001_.png", 3).name == "ComfyUI_seed3_00001_.png"
