"""Queries in float32 are picked what the same numbers in float64 are, also where the search keeps them in float32."""

import numpy as np
import pytest

from modelpick.runtime import FeatureError
from modelpick.runtime.features import FeatureBuilder
from modelpick.runtime.queries import QueryChecks
from support.artifacts import loaded
from support.catalogue import dense, kmeans, knn, linear_classifier, mlp, rbf_classifier, svm

D, NAMES = 40, ["a", "b", "c", "d"]
RNG = np.random.default_rng(0)
CENTROIDS = RNG.normal(size=(60, D)).astype(np.float32)
MODELS = {
    "kmeans": kmeans(CENTROIDS, NAMES),
    "few clusters": kmeans(CENTROIDS[:4], NAMES),
    "mlp": mlp(dense(CENTROIDS[:4], [0.0, 0.1, -0.1, 0.2]), names=NAMES),
    "svm": svm([linear_classifier(name, row) for name, row in zip(NAMES, CENTROIDS, strict=False)]),
    "svm of kernels": svm(
        rbf=[rbf_classifier(name, [row], [1.0]) for name, row in zip(NAMES, CENTROIDS, strict=False)]
    ),
    "knn": knn(CENTROIDS, NAMES),
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
    return loaded(MODELS[request.param])


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
    checks = QueryChecks(FeatureBuilder(D), single=True)
    scales = 10.0 ** np.arange(-46, 18)
    queries = (scales[:, None] * RNG.normal(size=(len(scales), D))).astype(np.float32)
    kept, norms = checks.many(queries, 0)
    exact = (queries.astype(np.float64) ** 2).sum(axis=1)
    assert kept.dtype == np.float32
    assert (norms >= exact).all()
    np.testing.assert_allclose(norms[30:], exact[30:], rtol=1e-4)
    for query, norm in zip(queries, exact, strict=True):
        assert checks.one(query, {}, may_be_single=True).squared_norm >= norm
        assert checks.one(query, {}).vector.dtype == np.float64
