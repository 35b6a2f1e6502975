"""The table of the converter, that of the runtime, and the catalogue of the tests have the same rows."""

import numpy as np
import pytest

from modelpick.converter import verify
from modelpick.converter.algorithms import TABLE
from modelpick.runtime import Selector
from modelpick.runtime.algorithms import TABLE as RUNTIME_TABLE
from support.artifacts import converted, encoded
from support.catalogue import MODELS, NAMES, WIDTH


def test_all_have_the_same_algorithms_and_semantics():
    only_answered = {("knn", "queries/1")}
    assert set(TABLE) == set(RUNTIME_TABLE) - only_answered == set(MODELS)


@pytest.mark.parametrize("key", TABLE, ids="-".join)
def test_a_row_stands_under_its_own_name(key):
    row = TABLE[key]
    assert (row.algorithm, row.semantics) == key
    rule_set, _, version = row.semantics.partition("/")
    assert rule_set.isalpha()
    assert version.isdecimal()


@pytest.mark.parametrize("key", MODELS, ids="-".join)
def test_the_model_of_the_catalogue_is_of_its_row_and_picks_each_name(key):
    data = converted(MODELS[key], key[1])
    assert verify(data, encoded(MODELS[key]), samples=20).passed
    with Selector.load(data) as selector:
        assert (selector.algorithm, selector.metadata.semantics) == key
        assert set(selector.select_batch(np.random.default_rng(1).normal(size=(300, WIDTH)))) == set(NAMES)
