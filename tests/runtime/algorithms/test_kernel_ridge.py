"""Kernel ridge: models that are predicted alike, or nearly so."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelpick.converter import to_artifact
from modelpick.converter.algorithms import TABLE
from modelpick.converter.algorithms.kernel_ridge.graph import difference_errors
from modelpick.converter.formats.outcomes import Settings
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import training_data
from modelpick.runtime import Objective, Selector
from modelpick.runtime.algorithms.kernel_ridge import KernelRidge
from support.artifacts import converted
from support.catalogue import kernel_ridge
from support.recorded import encoded, routed

QUERIES = np.random.default_rng(9).normal(size=(40, 6))


@pytest.fixture(scope="module")
def selector():
    """One of records where the dear model has a twin, and where the cheap one has a limit that no answer reaches."""
    lines = routed(80).splitlines()
    twins = [line.replace(b'"dear"', b'"dear@800"') for line in lines if b'"dear"' in line]
    limited = [line.replace(b'"cheap"', b'"cheap@400"') for line in lines if b'"cheap"' in line]
    records = read_records(encoded() + b"\n".join([*lines, *twins, *limited]))
    estimator = TABLE["kernel_ridge", "native/2"].fit(training_data(records, Settings(ridge=0.5), one_hot=False))
    with Selector.load(to_artifact(estimator)) as selector:
        yield selector


def test_of_equal_models_the_first_is_picked_without_the_others(selector):
    assert selector.model_names == ("cheap", "dear", "bad", "dear@800", "cheap@400")
    predicted = selector.predict_outcomes(QUERIES)
    np.testing.assert_array_equal(predicted[:, :, 3], predicted[:, :, 1])
    picks = selector.select_batch(QUERIES)
    assert set(picks) == {"cheap", "dear"}
    assert picks == [selector.select(query) for query in QUERIES] == [selector.explain(q)["model"] for q in QUERIES]
    without = selector.select_batch(QUERIES, candidates=["cheap", "dear", "bad"])
    assert picks == without


def test_an_equal_model_is_picked_where_the_first_is_no_candidate_or_costs_more(selector):
    picks = selector.select_batch(QUERIES)
    other = {"cheap": "cheap@400", "dear": "dear@800"}
    among = [*other.values(), "bad"]
    assert selector.select_batch(QUERIES, candidates=among) == [other[pick] for pick in picks]
    assert [selector.select(query, candidates=among) for query in QUERIES] == [other[pick] for pick in picks]
    given = {"cheap@400": 0.5, "cheap": 0.6, "dear": 9.0, "dear@800": 8.0}
    assert selector.select_batch(QUERIES, costs=given) == [other[pick] for pick in picks]


@given(st.integers(0, 2**32), st.floats(1e-12, 1e-3), st.floats(0, 3))
def test_no_errors_of_kernels_change_a_difference_by_more_than_its_bound(seed, largest, spread):
    """Each kernel errs as far as it may, in the direction that hurts most."""
    rng = np.random.default_rng(seed)
    coefficients = rng.normal(size=(20, 1, 1)) * rng.integers(0, 2, (20, 1, 1)) + spread * rng.normal(size=(20, 2, 4))
    shares, kernels = largest * rng.random(20), rng.random(20) ** rng.integers(0, 9)
    bounds = difference_errors(coefficients, shares)
    error = np.einsum("s,sk->k", kernels * shares, np.abs(coefficients).max(axis=2))
    between = np.abs(coefficients[..., :, None] - coefficients[..., None, :])
    worst = np.einsum("s,skij->kij", kernels * shares, between)
    assert (worst <= np.sqrt(error)[:, None, None] * bounds + np.finfo(np.float64).tiny).all()


NEARLY, QUERY_COUNT = tuple(f"m{limit}" for limit in range(12)), 300


@pytest.fixture(scope="module", params=[1e-2, 1e-5, 1e-9])
def nearly_equal(request):
    """Twelve models whose coefficients nearly agree, with costs that do so too, and reach the least price."""
    rng = np.random.default_rng(1)
    outcomes = {
        kind: (
            scale * (rng.normal(size=(60, 1)) + request.param * rng.normal(size=(60, len(NEARLY)))),
            scale * (0.5 + request.param * rng.normal(size=len(NEARLY))),
        )
        for kind, scale in (("quality", 1.0), ("cost", 0.1))
    }
    artifact = converted(kernel_ridge(rng.normal(size=(60, 8)), outcomes, NEARLY, gamma=0.5, format_version=2))
    with Selector.load(artifact) as selector:
        yield selector


@pytest.mark.parametrize("cost_weight", [0.0, 0.1, 3.0])
def test_picks_among_nearly_equal_models_are_those_of_float64(nearly_equal, cost_weight):
    queries, objective = np.random.default_rng(2).normal(size=(QUERY_COUNT, 8)), Objective(cost_weight=cost_weight)
    outcomes = nearly_equal.predict_outcomes(queries)
    utility = outcomes[:, 0] - cost_weight * outcomes[:, 1]
    second, best = np.partition(utility, -2, axis=1)[:, -2:].T
    expected = [NEARLY[model] for model in utility.argmax(axis=1)]
    picks = nearly_equal.select_batch(queries, objective=objective)
    told = best - second > 1e-11
    assert [pick for pick, is_told in zip(picks, told, strict=True) if is_told] == [
        pick for pick, is_told in zip(expected, told, strict=True) if is_told
    ]
    assert picks == [nearly_equal.select(query, objective=objective) for query in queries]


@pytest.mark.parametrize("nearly_equal", [1e-2, 1e-5], indirect=True)
def test_most_nearly_equal_models_are_told_apart_without_float64(nearly_equal, monkeypatch):
    computed = []
    predicted = KernelRidge._predicted
    monkeypatch.setattr(KernelRidge, "_predicted", lambda self, x: computed.append(len(x)) or predicted(self, x))
    queries = np.random.default_rng(2).normal(size=(QUERY_COUNT, 8))
    nearly_equal.select_batch(queries)
    assert sum(computed) < QUERY_COUNT / 2
