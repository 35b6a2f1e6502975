"""Queries in float32 are picked what the same numbers in float64 are, also where the search keeps them in float32."""

import json

import numpy as np
import pytest

from modelpick.converter import load_estimator, to_artifact
from modelpick.runtime import FeatureError, Selector
from modelpick.runtime.features import FeatureBuilder
from modelpick.runtime.request import Checks, Known

D, NAMES = 40, ["a", "b", "c", "d"]
RNG = np.random.default_rng(0)
CENTROIDS = RNG.normal(size=(60, D)).astype(np.float32)
MODELS = {
    "kmeans": {
        "algorithm": "kmeans",
        "num_clusters": 60,
        "centroids": CENTROIDS.tolist(),
        "cluster_models": NAMES * 15,
    },
    "few clusters": {
        "algorithm": "kmeans",
        "num_clusters": 4,
        "centroids": CENTROIDS[:4].tolist(),
        "cluster_models": NAMES,
    },
    "mlp": {
        "algorithm": "mlp",
        "model_names": NAMES,
        "feature_dim": D,
        "layers": [{"type": "linear", "weight": CENTROIDS[:4].tolist(), "bias": [0.0, 0.1, -0.1, 0.2]}],
    },
    "svm": {
        "algorithm": "svm",
        "linear_classifiers": [
            {"model_name": name, "weights": row, "rho": 0.1}
            for name, row in zip(NAMES, CENTROIDS.tolist(), strict=False)
        ],
    },
    "knn": {"algorithm": "knn", "k": 3, "embeddings": CENTROIDS.tolist(), "labels": NAMES * 15},
}
MIDPOINTS = (CENTROIDS[:20] + CENTROIDS[20:40]) / 2
QUERIES = {
    "ordinary": RNG.normal(size=(40, D)),
    "midpoints": MIDPOINTS,
    "near midpoints": MIDPOINTS * (1 + 1e-7 * RNG.normal(size=MIDPOINTS.shape)),
    "long": 1e15 * RNG.normal(size=(10, D)),
    "of infinite squares": 1e30 * RNG.normal(size=(10, D)),
    "largest": np.full((2, D), np.finfo(np.float32).max),
    "short": 1e-20 * RNG.normal(size=(10, D)),
    "subnormal": 1e-42 * RNG.normal(size=(10, D)),
    "zero": np.zeros((2, D)),
}


@pytest.fixture(scope="module", params=MODELS)
def selector(request):
    return Selector.load(to_artifact(load_estimator(json.dumps({"trained": True, **MODELS[request.param]}).encode())))


@pytest.mark.parametrize("queries", QUERIES.values(), ids=QUERIES)
def test_float32_is_picked_what_float64_is(selector, queries):
    single = queries.astype(np.float32)
    expected = [selector.select(query) for query in single.astype(np.float64)]
    assert [selector.select(query) for query in single] == expected
    assert selector.select_batch(single) == selector.select_batch(single.astype(np.float64)) == expected
    assert [selector.explain(query)["model"] for query in single] == expected
    assert selector.select_batch(np.asfortranarray(single)) == expected
    for candidates in (NAMES[:2], NAMES[3:]):
        among = [selector.select(query, candidates=candidates) for query in single.astype(np.float64)]
        assert [selector.select(query, candidates=candidates) for query in single] == among
        assert selector.select_batch(single, candidates=candidates) == among


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_float32_is_refused_where_it_is_not_finite(selector, value):
    queries = np.zeros((3, D), dtype=np.float32)
    queries[1, 2] = value
    with pytest.raises(FeatureError, match=r"finite numbers, got .* at \[2\]"):
        selector.select(queries[1])
    with pytest.raises(FeatureError, match=r"finite numbers, got .* at \[1\]\[2\]"):
        selector.select_batch(queries)


def test_norms_of_float32_are_bounded_from_above():
    checks = Checks(FeatureBuilder(D), Known(("a",), frozenset(), str), single=True)
    scales = 10.0 ** np.arange(-46, 18)
    queries = (scales[:, None] * RNG.normal(size=(len(scales), D))).astype(np.float32)
    kept, norms = checks.finite(queries, 0)
    exact = (queries.astype(np.float64) ** 2).sum(axis=1)
    assert kept.dtype == np.float32
    assert (norms >= exact).all()
    np.testing.assert_allclose(norms[30:], exact[30:], rtol=1e-4)
    for query, norm in zip(queries, exact, strict=True):
        assert checks.query(query, {}, may_be_single=True)[1] >= norm
        assert checks.query(query, {})[0].dtype == np.float64
