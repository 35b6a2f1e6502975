"""The table of the converter and that of the runtime are twins."""

import pytest

from modelpick.converter.algorithms import TABLE
from modelpick.runtime.algorithms import TABLE as RUNTIME_TABLE


def test_both_sides_know_the_same_algorithms_and_rules():
    assert set(TABLE) == set(RUNTIME_TABLE)


@pytest.mark.parametrize("key", TABLE, ids="-".join)
def test_a_row_stands_under_its_own_name(key):
    row = TABLE[key]
    assert (row.algorithm, row.semantics) == key
    rule_set, _, version = row.semantics.partition("/")
    assert rule_set.isalpha()
    assert version.isdecimal()
