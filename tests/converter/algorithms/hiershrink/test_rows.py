"""HierShrink: what is refused, how it picks, and that its files come back."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from modelpick.converter import to_json, verify
from modelpick.converter.algorithms.hiershrink.estimators import HierShrinkSelector
from modelpick.runtime import DocumentError, FeatureError, Selector
from support import reference
from support.artifacts import MISSING, built, converted, edited, encoded, loaded
from support.catalogue import hiershrink
from support.catalogue import hiershrink_record as record

RNG = np.random.default_rng(6)
COARSE, FINE, D, NAMES = 3, 8, 6, ["a", "b", "c", "d"]


def model(**fields):
    queries = RNG.normal(size=(40, D)).tolist()
    training = [
        record(queries[i % 40], NAMES[RNG.integers(4)], float(RNG.uniform()), int(RNG.integers(10**9)))
        for i in range(150)
    ]
    return hiershrink(RNG.normal(size=(COARSE, D)), RNG.normal(size=(FINE, D)), training, **fields)


MODEL = model(cost_weight=0.25)
KNOWN = list(dict.fromkeys(record["selected_model"] for record in MODEL["training"]))
QUERIES = np.vstack([RNG.normal(size=(40, D)), MODEL["fine_centroids"], np.zeros((1, D))])


FULL = "expected at least one row"
REFUSED = [
    ("format_version", 2, "$.format_version: expected 1 for hiershrink, got 2"),
    ("coarse_centroids", MISSING, "$: object missing required field `coarse_centroids`"),
    ("coarse_centroids", [], f"$.coarse_centroids: {FULL}"),
    ("fine_centroids", [], f"$.fine_centroids: {FULL}"),
    ("fine_centroids.1", [1.0], f"$.fine_centroids[1]: expected {D} numbers, got 1"),
    ("fine_centroids.1.2", None, "$.fine_centroids[1]"),
    ("fine_centroids", [[1.0]], f"$.fine_centroids: expected {D} columns as in $.coarse_centroids, got 1"),
    ("training", [], "$.training: expected `array` of length >= 1"),
    (
        "training",
        [record([1.0], "a", 1, 1)],
        f"$.training[0].query_embedding: expected {D} columns as in $.coarse_centroids, got 1",
    ),
    ("training.7.query_embedding", [1.0], f"$.training[7].query_embedding: expected {D} numbers, got 1"),
    ("training.7.selected_model", "", "$.training[7].selected_model: expected `str` matching"),
    ("training.7.selected_model", MISSING, "$.training[7]: object missing required field `selected_model`"),
    ("training.7.response_quality", "1", "$.training[7].response_quality: expected `float`, got `str`"),
    ("training.7.response_latency_ns", -1, "$.training[7].response_latency_ns: expected `int` >= 0"),
    ("training.7.response_latency_ns", 2**63, "$.training[7].response_latency_ns: expected `int` <= "),
    ("training.7.response_latency_ns", 1.5, "$.training[7].response_latency_ns: expected `int`, got `float`"),
    (
        "training",
        [record([0] * D, "a", 1e308, 1), record([0] * D, "b", -1e308, 1)],
        "$.training: expected qualities whose sum is a finite number",
    ),
    ("cost_weight", -0.5, "$.cost_weight: expected `float` >= 0"),
]


@pytest.mark.parametrize(("path", "value", "message"), REFUSED)
def test_refuses(path, value, message):
    with pytest.raises(DocumentError) as caught:
        built(edited(MODEL, (path, value)))
    assert str(caught.value).startswith(f"<bytes>: {message}")


CANDIDATES = [None, KNOWN[::-1], ["d", "b"], ["c", "unknown"]]


@pytest.mark.parametrize("candidates", CANDIDATES, ids=str)
def test_scores_shrunk_means_less_relative_latencies(candidates):
    with Selector.load(converted(MODEL), unknown_candidates="ignore") as selector:
        batch = selector.select_batch(QUERIES, candidates=candidates)
        for query, pick in zip(QUERIES, batch, strict=True):
            scores = reference.hiershrink_scores(MODEL, query, candidates)
            explained = selector.explain(query, candidates=candidates)
            assert explained["scores"] == pytest.approx(scores, rel=1e-12)
            assert selector.select(query, candidates=candidates) == explained["model"] == pick
            assert pick == max(scores, key=scores.get)
            fine = reference.nearest_centroid(MODEL["fine_centroids"], query)
            coarse = reference.nearest_centroid(MODEL["coarse_centroids"], query)
            assert (explained["coarse_cluster"], explained["cluster"]) == (coarse, fine)
            distance = np.linalg.norm(query - MODEL["fine_centroids"][fine])
            assert explained["distance"] == pytest.approx(distance, rel=1e-12)


def test_no_known_candidate_is_an_error():
    with Selector.load(converted(MODEL), unknown_candidates="ignore") as selector:
        for candidates in ([], ["unknown"]):
            with pytest.raises(FeatureError, match="candidates: expected at least one of"):
                selector.select(QUERIES[0], candidates=candidates)


def test_equal_scores_go_to_the_first_candidate():
    training = [record([0.0] * D, name, 0.5, 0) for name in ("b", "a", "c")]
    with loaded(MODEL | {"training": training}) as selector:
        for candidates, first in ((None, "b"), (["c", "b"], "c"), (["a", "b", "c"], "a")):
            assert selector.select(QUERIES[0], candidates=candidates) == first
            assert selector.explain(QUERIES[0], candidates=candidates)["model"] == first
            assert set(selector.select_batch(QUERIES, candidates=candidates)) == {first}


NUMBERS = st.integers(-2, 2) | st.floats(-1, 1)
VECTORS = st.lists(NUMBERS, min_size=2, max_size=2)
RECORDS = st.builds(
    record, VECTORS, st.sampled_from(NAMES), st.floats(0, 1), st.integers(0, 2**63 - 1), success=st.booleans()
)
FILES = st.fixed_dictionaries(
    {
        "algorithm": st.just("hiershrink"),
        "coarse_centroids": st.lists(VECTORS, min_size=1, max_size=3),
        "fine_centroids": st.lists(VECTORS, min_size=1, max_size=5),
        "training": st.lists(RECORDS, min_size=1, max_size=12),
    },
    optional={"cost_weight": st.none() | st.floats(0, 2), "trained": st.booleans()},
)


@settings(max_examples=25, deadline=None)
@given(FILES, st.lists(VECTORS, min_size=1, max_size=4))
def test_any_file_is_verified_and_restored(fields, queries):
    raw = encoded(fields)
    data = converted(fields)
    assert verify(data, raw, queries=queries).passed
    kept = {name: value for name, value in fields.items() if name != "trained"}
    kept["training"] = [{k: v for k, v in entry.items() if k != "success"} for entry in kept["training"]]
    assert json.loads(to_json(data)) == kept


def test_is_verified_and_restored():
    data = converted(MODEL)
    report = verify(data, encoded(MODEL))
    assert report.passed
    assert report.queries == 200
    assert json.loads(to_json(data)) == MODEL


def test_queries_of_several_records_are_stored_once():
    often = MODEL | {"training": MODEL["training"] * 10}
    assert len(built(often).queries_) == 40


def test_the_estimator_is_one_of_scikit_learn():
    estimator = built(MODEL)
    expected = [reference.hiershrink_scores(MODEL, query) for query in QUERIES]
    np.testing.assert_allclose(estimator.decision_function(QUERIES), [[*scores.values()] for scores in expected])
    picks = [max(scores, key=scores.get) for scores in expected]
    assert list(estimator.predict(QUERIES)) == picks
    assert estimator.score(QUERIES, picks) == 1.0
    with pytest.raises(NotFittedError):
        HierShrinkSelector(np.zeros((1, D)), np.zeros((1, D))).predict(QUERIES)
    assert clone(estimator).cost_weight == 0.25


def test_drift_is_the_distance_to_the_nearest_fine_centroid():
    with loaded(MODEL) as selector:
        for query in QUERIES[:10]:
            distances = np.linalg.norm(np.array(MODEL["fine_centroids"]) - query, axis=1)
            assert selector.drift(query).distance == pytest.approx(distances.min(), rel=1e-12)
        assert selector.drift(np.full(D, 1e3)).rank == 1.0
