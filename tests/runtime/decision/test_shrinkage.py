"""Means of models that answered different queries, held against plain numpy."""

import numpy as np
import pytest

from modelpick.runtime.decision.shrinkage import deviations, model_means, neighbour_means
from support import reference

RNG = np.random.default_rng(0)
OUTCOMES = np.where(RNG.random((40, 5)) < 0.4, np.nan, RNG.normal(size=(40, 5)))


def test_outcomes_are_split_as_by_one_solve_of_all_effects():
    base, common, own = reference.split(OUTCOMES)
    found = deviations(OUTCOMES)
    np.testing.assert_allclose(found.base, base, atol=1e-12)
    np.testing.assert_allclose(found.common, common, atol=1e-12)
    np.testing.assert_allclose(found.own, np.where(np.isnan(OUTCOMES), 0.0, own), atol=1e-12)
    np.testing.assert_array_equal(model_means(OUTCOMES), found.base)


@pytest.mark.parametrize("shrinkage", [0.0, 1.0, 3.5])
def test_neighbours_are_drawn_toward_the_means_of_all(shrinkage):
    base, common, own = reference.split(OUTCOMES)
    rows = RNG.integers(40, size=(7, 6))
    expected = np.empty((7, 5))
    for query, near in enumerate(rows):
        for model in range(5):
            known = [row for row in near if not np.isnan(OUTCOMES[row, model])]
            expected[query, model] = base[model] + common[near].sum() / (6 + shrinkage)
            expected[query, model] += own[known, model].sum() / max(len(known) + shrinkage, 1e-300)
    np.testing.assert_allclose(neighbour_means(deviations(OUTCOMES), rows, shrinkage), expected, atol=1e-12)
