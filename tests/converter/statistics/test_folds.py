"""Folds over queries: each is held out once, and equal vectors together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelpick.converter.statistics.folds import FOLDS, folds, is_held_out, splits
from modelpick.runtime import DocumentError


@given(st.lists(st.integers(0, 12), min_size=2, max_size=40).filter(lambda it: len(set(it)) > 1), st.integers(0, 9))
def test_each_query_is_held_out_once_with_its_equals(values, seed):
    features = np.array(values, dtype=np.float64)[:, None]
    parts = splits(features, seed)
    assert len(parts) == min(FOLDS, len(set(values)))
    assert sorted(np.concatenate([held_out for _, held_out in parts]).tolist()) == list(range(len(values)))
    for learned, held_out in parts:
        assert sorted([*learned, *held_out]) == list(range(len(values)))
        assert not {values[row] for row in learned} & {values[row] for row in held_out}


def test_folds_are_of_one_size_and_drawn_by_the_seed():
    features = np.arange(50.0)[:, None]
    assert np.bincount(folds(features, 0)).tolist() == [10] * FOLDS
    assert folds(features, 0).tolist() == folds(features, 0).tolist() != folds(features, 1).tolist()


def test_one_distinct_vector_cannot_be_cut():
    with pytest.raises(DocumentError, match="expected two distinct queries or more"):
        splits(np.ones((9, 3)), 0)


@given(st.integers(2, 60), st.floats(0.01, 0.99), st.integers(0, 9))
def test_a_share_is_held_out_with_equals_together(n, share, seed):
    features = np.repeat(np.arange(float(n)), 2)[:, None]
    held_out = is_held_out(features, seed, share).reshape(n, 2)
    assert (held_out[:, 0] == held_out[:, 1]).all()
    assert 1 <= held_out[:, 0].sum() <= share * n + 1
    assert is_held_out(features, seed).tolist() == (folds(features, seed) == 0).tolist()
