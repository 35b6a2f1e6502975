"""Predictions of kernel ridge, held against plain numpy."""

import json

import numpy as np
import pytest

from modelpick.converter import load_estimator
from modelpick.converter.algorithms import TABLE
from modelpick.converter.formats.outcomes import Settings
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import training_data
from support import reference
from support.catalogue import MODELS
from support.recorded import routed


@pytest.mark.parametrize(("semantics", "least"), [("native/1", -np.inf), ("native/2", 0.0)])
def test_prices_are_not_below_the_least_of_their_semantics(semantics, least):
    model = MODELS["kernel_ridge", semantics]
    queries = np.random.default_rng(3).normal(size=(50, len(model["support_vectors"][0])))
    unit, vectors = queries / np.linalg.norm(queries, axis=1, keepdims=True), np.array(model["support_vectors"])
    kernels = np.exp(-model["gamma"] * ((unit[:, None] - vectors) ** 2).sum(axis=2))
    quality, cost = (
        kernels @ np.array(model["outcomes"][kind]["dual_coef"]) + model["outcomes"][kind]["intercept"]
        for kind in ("quality", "cost")
    )
    assert (quality < 0).any()
    assert (cost < 0).any()
    found = load_estimator(json.dumps(model).encode(), semantics=semantics).predict_outcomes(queries)
    np.testing.assert_allclose(found[:, 0], quality, atol=1e-12)
    np.testing.assert_allclose(found[:, 1], np.maximum(cost, least), atol=1e-12)
    assert np.isnan(found[:, 2]).all()


@pytest.mark.parametrize("share", [0.6, 1.0])
def test_what_is_trained_predicts_as_plain_numpy(share):
    rng = np.random.default_rng(4)
    lines = [line for line in routed(60).splitlines() if rng.random() < share]
    training = training_data(read_records(b"\n".join(lines)), Settings(gamma=0.7, ridge=0.5), one_hot=False)
    estimator = TABLE["kernel_ridge", "native/2"].fit(training)
    queries = rng.normal(size=(20, 6))
    expected = reference.kernel_ridge(training.features, training.benchmark.quality, queries, 0.7, 0.5)
    np.testing.assert_allclose(estimator.decision_function(queries), expected, atol=1e-9)
