"""Directions of vectors, which numpy makes of some rows at a time."""

import numpy as np
import pytest

from modelpick.runtime.search.distances import directions

X = np.vstack([np.random.default_rng(0).normal(size=(6, 4)), np.zeros(4), 1e200 * np.ones(4)])


@pytest.mark.parametrize("vectors", [X, X[:6]], ids=["extreme", "usual"])
def test_directions_are_the_same_however_many_rows_are_squared_at_once(monkeypatch, vectors):
    expected = directions(vectors)
    monkeypatch.setattr("modelpick.runtime.search.distances.AT_ONCE", 3)
    np.testing.assert_array_equal(directions(vectors), expected)
