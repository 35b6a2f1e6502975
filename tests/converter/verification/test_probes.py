"""Queries that are made from a model."""

import json

import numpy as np
import pytest

from modelpick.converter import verify
from modelpick.converter.verification.probes import made_queries
from support.artifacts import built, converted, encoded
from support.verified import KMEANS, LINEAR, MLP, MODELS, RBF, ROWS, D

pytestmark = pytest.mark.filterwarnings("error", "ignore::modelpick.converter.DocumentWarning")


VECTORS = {
    "knn": ROWS,
    "kmeans": KMEANS["centroids"],
    "svm linear": [c["weights"] for c in LINEAR["linear_classifiers"]],
    "svm rbf": [row for c in RBF["rbf_classifiers"] for row in c["support_vectors"]],
    "mlp": MLP["layers"][0]["weight"],
}


@pytest.mark.parametrize("name", MODELS)
def test_made_queries(name):
    model = MODELS[name]
    estimator = built(model)
    queries = made_queries(estimator, 200)
    assert queries.shape == (200, D)
    assert np.isfinite(queries).all()
    np.testing.assert_array_equal(queries, made_queries(estimator, 200))
    np.testing.assert_array_equal(queries, made_queries(built(json.dumps(model, indent=1).encode()), 200))
    made = {tuple(query) for query in queries.tolist()}
    assert (0.0,) * D in made
    own = {tuple(row) for row in VECTORS[name]}
    assert len(own & made) > len(own) / 2
    assert len(made - own) > 60


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_made_queries_hold_each_category_alone(model):
    queries = made_queries(built(model), 200).tolist()
    one_hot = np.eye(D)[-14:].tolist()
    assert [row for row in one_hot if row not in queries] == []


@pytest.mark.parametrize("samples", [1, 2, 6, 199])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_makes_as_many_queries_as_asked(model, samples):
    estimator = built(model)
    assert made_queries(estimator, samples).shape == (samples, D)
    assert verify(converted(model), encoded(model), samples=samples).queries == samples


def test_made_queries_of_the_smallest_model():
    smallest = KMEANS | {"num_clusters": 1, "centroids": [[0.0]], "cluster_models": ["a"]}
    report = verify(converted(smallest), encoded(smallest))
    assert (report.queries, report.agreed) == (200, 200)
