"""Outcomes of records: one array, with an axis of kinds."""

import numpy as np
import pytest

from modelpick.converter.training.records import read_records
from modelpick.runtime import DocumentError, Objective
from modelpick.runtime.decision.outcomes import KINDS, PLACES
from support.recorded import encoded, record, routed

FAILED = encoded(
    record(model_name="fast", success=False, response_time=0.1, cost=2.0),
    record(model_name="slow", response_time=3.0, cost=1.0),
    record(query="r", model_name="fast", success=False, response_time=0.1, cost=None),
)


def test_some_models_have_their_own_records_alone():
    benchmark = read_records(routed(5))
    part = benchmark.of_models([2, 0])
    assert part.model_names == ["bad", "cheap"]
    assert np.array_equal(part.recorded, benchmark.recorded[:, :, [2, 0]])
    assert np.array_equal(part.cost, [[5.0, 1.0]] * 5)
    assert part.failures.shape == (5, 2)
    assert part.embeddings is None


def test_failed_answers_are_paid_but_are_no_evidence_of_speed():
    answered = dict(zip(PLACES, np.moveaxis(read_records(FAILED).answered, 1, 0).tolist(), strict=True))
    assert answered["quality"][0] == [0.0, 0.5]
    assert answered["cost"][0] == [2.0, 1.0]
    assert answered["seconds"][0] == [pytest.approx(np.nan, nan_ok=True), 3.0]


def test_failed_answers_count_as_the_worst_that_succeeded_or_as_long_as_usual():
    outcomes = read_records(FAILED).outcomes()
    assert outcomes.shape == (2, len(KINDS), 2)
    assert outcomes[0].tolist() == [[0.0, 0.5], [2.0, 1.0], [3.0, 3.0]]
    assert outcomes[1, :, 0] == pytest.approx([0.0, np.nan, 3.0], nan_ok=True)


def test_a_weight_of_what_no_record_has_is_refused():
    benchmark = read_records(encoded(record(), record(model_name="b", performance=1.0)))
    assert benchmark.known_utilities(Objective(seconds_weight=0.25)).tolist() == [[0.25, 0.75]]
    with pytest.raises(DocumentError, match="expected records with the cost or response time that the objective has"):
        benchmark.known_utilities(Objective(cost_weight=1.0))
