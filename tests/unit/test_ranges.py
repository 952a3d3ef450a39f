"""Numbers and ranges as people write them."""

import pytest

from comfy_genart_nodes.errors import GenartError
from comfy_genart_nodes.ranges import read_numbers, read_ranges


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", [0]),
        ("0, 3, 5-8", [0, 3, 5, 6, 7, 8]),
        (" 9 , 9,2 - 3", [9, 9, 2, 3]),
        ("-1", [9]),
        ("-10", [0]),
        ("7-", [7, 8, 9]),
        ("-2-, 0", [8, 9, 0]),
        ("9-9", [9]),
    ],
)
def test_what_people_write(text, expected):
    assert read_ranges(text, 10) == expected


@pytest.mark.parametrize(
    "text", ["", ",", "0,", "a", "1.5", "10", "-11", "3-1", "-3-5", "--1", "1-2-3", "0-10", "10-"]
)
def test_anything_else_is_refused_with_what_was_written(text):
    with pytest.raises(GenartError, match=r"write them as|numbered 0 to 9"):
        read_ranges(text, 10)


def test_a_short_text_cannot_ask_for_all_the_memory():
    assert read_ranges("4294967295, 0-99", 2**32)[:2] == [4294967295, 0]
    for text in ("0-", "0-999999,0", "0-1000000"):
        with pytest.raises(GenartError, match="more than a million"):
            read_ranges(text, 2**32)


def test_numbers_with_commas():
    assert read_numbers(" 1, -2,.5 ", "weights") == [1.0, -2.0, 0.5]
    for text in ("", "1,", "1;2", "nan", "1, inf", "one"):
        with pytest.raises(GenartError, match="are no weights"):
            read_numbers(text, "weights")
