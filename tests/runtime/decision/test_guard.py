"""Evidence: by how many standard errors a model did better than the default on the neighbours."""

import numpy as np

from modelpick.runtime.decision.guard import t_statistics

RNG = np.random.default_rng(0)


def test_it_is_the_paired_t_statistic_of_outcomes_that_both_models_have():
    observed = np.where(RNG.random((30, 9, 4)) < 0.4, np.nan, RNG.normal(size=(30, 9, 4)))
    default = RNG.integers(4, size=30)
    found = t_statistics(observed, default)
    for query, own in enumerate(default):
        for model in range(4):
            pairs = observed[query][:, model] - observed[query][:, own]
            pairs = pairs[~np.isnan(pairs)]
            expected = -np.inf
            if model == own:
                expected = np.inf
            elif len(pairs) > 1 and pairs.mean() > 0:
                expected = pairs.mean() / (pairs.std(ddof=1) / np.sqrt(len(pairs)))
            np.testing.assert_allclose(found[query, model], expected, rtol=1e-12)


def test_one_pair_is_no_evidence_and_equal_gains_are_all_of_it():
    one, equal = np.array([[[0.0, 1.0]]]), np.array([[[0.0, 0.5], [0.25, 0.75]]])
    assert t_statistics(one, np.array([0])).tolist() == [[np.inf, -np.inf]]
    assert t_statistics(equal, np.array([0])).tolist() == [[np.inf, np.inf]]
