"""The best of some choices, for one query and for many."""

import numpy as np
import pytest

from modelpick.runtime.search.margins import FEW, Margin

MARGIN = np.array([0.1, 0.5, 1.0, 10.0])


def best_of_one(margin, estimates, norm):
    needed = margin.needed(norm)
    return None if needed is None else margin.best_one(estimates, norm, needed)


@pytest.mark.parametrize("n", [1, 2, FEW, FEW + 1, 300])
@pytest.mark.parametrize("with_offsets", [False, True])
def test_one_query_and_many_are_answered_alike(n, with_offsets):
    rng = np.random.default_rng(n)
    estimates, norms = rng.normal(size=(400, n)).astype(np.float32), rng.uniform(0.5, 12.0, size=400)
    offsets = rng.normal(size=n) if with_offsets else None
    margin = Margin(MARGIN, offsets)
    values = estimates + norms[:, None] * (0.0 if offsets is None else offsets)
    ordered = np.sort(np.column_stack([np.full(400, -np.inf), values]), axis=1)
    expected = (ordered[:, -1] - ordered[:, -2] > 0.1 * norms + 0.5) & (norms > 1.0) & (norms < 10.0)
    best, proven = margin.best_many(estimates.copy(), norms)
    assert 0 < expected.sum() < 400
    np.testing.assert_array_equal(proven, expected)
    np.testing.assert_array_equal(best, values.argmax(axis=1))
    alone = [best_of_one(margin, row[None].copy(), float(norm)) for row, norm in zip(estimates, norms, strict=True)]
    assert alone == [int(place) if sure else None for place, sure in zip(best, expected, strict=True)]


@pytest.mark.parametrize("values", [[np.nan, 1.0], [np.inf, 0.0], [-np.inf, -np.inf]])
@pytest.mark.parametrize("n", [2, FEW + 2])
def test_nothing_is_proven_of_a_query_that_overflows(values, n):
    estimates = np.array([values + [0.0] * (n - 2)], dtype=np.float32)
    assert best_of_one(Margin(MARGIN), estimates, 1e20) is None
    assert not Margin(MARGIN).best_many(estimates, np.array([np.inf]))[1].any()
