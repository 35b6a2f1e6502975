"""Training of support vector machines where a model has no two sides to separate."""

import numpy as np
import pytest

from modelpick.converter.algorithms import TABLE
from modelpick.converter.formats.outcomes import Settings
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import training_data
from support.recorded import encoded, record

ROWS = [row for row in TABLE.values() if row.algorithm == "svm" and row.fit]
RNG = np.random.default_rng(2)
# On each query b is the best model, and a and c are below the mean.
LINES = [
    record(query=f"q{i}", model_name=name, performance=quality, embedding=vector.tolist())
    for i, vector in enumerate(RNG.normal(size=(12, 4)))
    for name, quality in (("a", 0.2), ("b", 0.9), ("c", 0.3))
]


@pytest.mark.parametrize("kernel", ["rbf", "linear"])
@pytest.mark.parametrize("row", ROWS, ids=[row.semantics for row in ROWS])
def test_a_model_that_is_the_best_everywhere_is_always_picked(row, kernel):
    training = training_data(read_records(encoded(*LINES)), Settings(kernel=kernel), one_hot=False)
    estimator = row.fit(training)
    assert set(estimator.predict(RNG.normal(size=(20, 4)))) == {"b"}
