"""What holds for the estimators of all rows: scikit-learn's conventions, and training that makes what a file makes."""

import json
from functools import cache

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from modelpick.converter import load_estimator
from modelpick.converter.algorithms import TABLE
from modelpick.converter.formats.outcomes import Settings
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import train, training_data
from support.catalogue import MODELS
from support.recorded import routed

ROWS = list(TABLE.values())
TRAINED = [row for row in ROWS if row.fit]
OPTIONS = {"defaults": {}, "linear": {"kernel": "linear"}, "landmarks": {"landmarks": 20}}
CASES = [(row, option) for row in TRAINED for option, given in OPTIONS.items() if given.keys() <= row.settings]


def name(row):
    return f"{row.algorithm}-{row.semantics}"


def learned(estimator):
    """Fitted attributes, without what the estimator was loaded from, and what cross-validation finds."""
    others = {"source_", "operating_points_"}
    return {name: value for name, value in vars(estimator).items() if name.endswith("_") and name not in others}


@cache
def training(**settings):
    return training_data(read_records(routed(60)), Settings(**settings), one_hot=False)


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_estimators_can_be_cloned(row):
    estimator = load_estimator(json.dumps(MODELS[row.algorithm, row.semantics]).encode(), semantics=row.semantics)
    check_is_fitted(estimator)
    other = clone(estimator)
    assert type(other) is row.estimator
    np.testing.assert_equal(other.get_params(), estimator.get_params())
    assert other.row is estimator.row
    with pytest.raises(NotFittedError):
        check_is_fitted(other)


@pytest.mark.filterwarnings("ignore::modelpick.converter.DocumentWarning")
@pytest.mark.parametrize(("row", "option"), CASES, ids=[f"{name(row)}-{option}" for row, option in CASES])
def test_a_file_makes_the_estimator_that_was_trained(row, option):
    data = training(**OPTIONS[option])
    fitted = row.fit(data)
    loaded = load_estimator(json.dumps(train(data, row)).encode(), semantics=row.semantics)
    assert type(loaded) is row.estimator
    queries = np.vstack([data.features[:20], np.random.default_rng(1).normal(size=(40, data.features.shape[1]))])
    np.testing.assert_array_equal(loaded.decision_function(queries), fitted.decision_function(queries))
    np.testing.assert_array_equal(loaded.predict(queries), fitted.predict(queries))
    np.testing.assert_equal(learned(loaded), learned(fitted))
