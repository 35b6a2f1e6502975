"""Names in words."""

import pytest

from modelpick.converter.formats.words import listed


@pytest.mark.parametrize(
    ("names", "most", "expected"),
    [
        (["a"], None, "a"),
        (["a", "b"], None, "a and b"),
        (["a", "b", "c"], 3, "a, b and c"),
        (["a", "b", "c", "d"], 2, "a, b and 2 more"),
        (("a", "b"), 1, "a and 1 more"),
    ],
)
def test_lists(names, most, expected):
    assert listed(names, most) == expected
