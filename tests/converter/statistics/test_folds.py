"""Folds: each query is held out once, and equal queries together."""

import numpy as np
import pytest

from modelpick.converter.statistics.folds import FOLDS, folds, splits
from modelpick.runtime import DocumentError


@pytest.mark.parametrize("distinct", [2, 4, 5, 23])
def test_each_query_is_held_out_once_with_those_that_equal_it(distinct):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(distinct, 3))[rng.permutation(np.arange(60) % distinct)]
    found = splits(features, seed=1)
    assert len(found) == min(FOLDS, distinct)
    assert sorted(np.concatenate([held_out for _, held_out in found]).tolist()) == list(range(60))
    for learned, held_out in found:
        assert sorted([*learned.tolist(), *held_out.tolist()]) == list(range(60))
        assert not {*map(tuple, features[learned])} & {*map(tuple, features[held_out])}


def test_folds_are_drawn_by_the_seed():
    features = np.random.default_rng(0).normal(size=(50, 3))
    assert folds(features, 1).tolist() == folds(features, 1).tolist() != folds(features, 2).tolist()
    assert np.bincount(folds(features, 1)).tolist() == [10] * FOLDS


def test_one_distinct_query_is_refused():
    with pytest.raises(DocumentError, match="two distinct queries or more to cross-validate, got 1"):
        folds(np.ones((9, 3)), 0)
