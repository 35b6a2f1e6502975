"""Kernel ridge: models that are predicted alike."""

import numpy as np
import pytest

from modelpick.converter import to_artifact
from modelpick.converter.algorithms import TABLE
from modelpick.converter.formats.outcomes import Settings
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import training_data
from modelpick.runtime import Selector
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
