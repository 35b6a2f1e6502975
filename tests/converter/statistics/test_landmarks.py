"""Kernels by landmarks, and answers of all models in one solve, held to a dense solve in plain numpy."""

import numpy as np
import pytest

from modelpick.converter.statistics.landmarks import Landmarks, drawn_means, landmarks, regressed, stabilised

GAMMA, RIDGE, SHARED = 0.7, 2.0, 0.5
RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(40, 3))
QUERIES = RNG.normal(size=(9, 3))


def kernel(left, right):
    return np.exp(-GAMMA * ((left[:, None] - right) ** 2).sum(axis=2))


def dense(matrix, queries, outcomes, propensity):
    """Solve for all answers at once, by the kernel between answers: predictions of one kind, (b, n_models)."""
    known = ~np.isnan(outcomes)
    rows, models = np.nonzero(known)
    values = outcomes[rows, models]
    shares = known.mean(axis=0)
    chances = propensity[rows, models]
    weights = np.where(np.isnan(chances), 1.0, np.minimum(shares[models] / chances, 10.0))
    overall = (weights * values).sum() / weights.sum()
    means = np.array(
        [
            ((weights * values)[models == m].sum() + 10 * overall) / (weights[models == m].sum() + 10)
            for m in range(outcomes.shape[1])
        ]
    )
    alike = SHARED + (1 - SHARED) * (models[:, None] == models)
    system = matrix[np.ix_(rows, rows)] * alike + RIDGE * np.diag(1 / weights)
    found = np.linalg.solve(system, values - means[models])
    return np.stack(
        [
            means[m] + queries[:, rows] @ ((SHARED + (1 - SHARED) * (models == m)) * found)
            for m in range(outcomes.shape[1])
        ],
        axis=1,
    )


@pytest.mark.parametrize("answered", [0.3, 1.0])
@pytest.mark.parametrize("most", [100, 7])
def test_one_solve_over_answers_is_that_of_the_kernel_between_them(most, answered):
    rng = np.random.default_rng(most)
    outcomes = np.where(rng.random((40, 1, 4)) < answered, rng.random((40, 3, 4)), np.nan)
    outcomes[:, :, 3], outcomes[:, 2] = np.nan, np.nan  # a model and a kind without answers
    outcomes[0, 1] = np.nan  # the kinds differ in what is known
    propensity = np.where(rng.random((40, 4)) < 0.8, rng.uniform(0.02, 1, (40, 4)), np.nan)
    by = Landmarks(landmarks(FEATURES, most, 0), GAMMA)
    assert len(by.rows) == min(most, 40)
    mapped, of_queries = by.mapped(FEATURES), by.mapped(QUERIES)
    matrix = kernel(FEATURES, FEATURES) if most > 40 else mapped @ mapped.T
    queries = kernel(QUERIES, FEATURES) if most > 40 else of_queries @ mapped.T
    found = regressed(mapped, outcomes, propensity, RIDGE)
    predicted = found(of_queries)
    assert np.isnan(predicted[:, 2]).all()
    for kind in range(2):
        assert predicted[:, kind] == pytest.approx(dense(matrix, queries, outcomes[:, kind], propensity), abs=1e-9)
    of_kernels = by.of_kernels(found.coefficients[:, 0])
    assert kernel(QUERIES, by.rows) @ of_kernels + found.intercept[0] == pytest.approx(predicted[:, 0], abs=1e-9)


def test_weighted_answers_of_a_model_stand_for_all_questions():
    """Hard questions went to one model: its mean over its answers is that of hard questions."""
    hard = np.arange(20_000) % 2 == 0
    chance = np.where(hard, 0.8, 0.2)
    known = np.random.default_rng(0).random(20_000) < chance
    propensity = np.stack([chance, 1 - chance], axis=1)
    weights = stabilised(np.stack([known, ~known], axis=1), propensity)
    means = drawn_means(np.stack([1.0 - hard, 1.0 - hard], axis=1), weights)
    assert means == pytest.approx([0.5, 0.5], abs=0.02)
    assert weights[known, 0].sum() == pytest.approx(known.sum(), rel=0.03)
    assert stabilised(known[:, None], np.full((20_000, 1), 1e-6)).max() == 10.0


def test_a_model_with_few_answers_is_drawn_to_the_mean_of_all():
    values, weights = np.zeros((100, 2)), np.ones((100, 2))
    values[:, 0], weights[3:, 1], values[:3, 1] = 0.5, 0.0, 1.0
    first, second = drawn_means(values, weights)
    assert first == pytest.approx(0.5, abs=0.01)
    assert 0.5 < second < 0.65
