"""Neural networks: ties between models, and models that no query is labelled with."""

import json

import numpy as np
import pytest

from modelpick.converter import load_estimator, to_artifact
from modelpick.converter.algorithms import TABLE
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import training_data
from modelpick.runtime import Selector
from support.catalogue import dense, mlp
from support.recorded import routed

ROWS = [row for row in TABLE.values() if row.algorithm == "mlp"]


def test_of_equal_probabilities_the_last_model_is_picked():
    data = json.dumps(mlp(dense(np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])))).encode()
    queries = np.array([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    estimator = load_estimator(data)
    assert estimator.predict(queries).tolist() == ["c", "c", "a"]
    with Selector.load(to_artifact(estimator)) as selector:
        assert selector.select_batch(queries) == ["c", "c", "a"]


@pytest.mark.parametrize("row", ROWS, ids=[row.semantics for row in ROWS])
def test_a_model_that_is_never_above_the_mean_is_a_candidate_without_a_chance(row):
    training = training_data(read_records(routed(60)), one_hot=False)
    estimator = row.fit(training)
    scores = estimator.decision_function(np.random.default_rng(1).normal(size=(40, 6)))
    assert estimator.classes_.tolist() == ["cheap", "dear", "bad"]
    assert scores[:, 2].max() < 1e-20
    assert (scores[:, :2] > 1e-6).any(axis=0).all()
