"""Candidates and quality weights: who may win, and what a vote weighs."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelpick.runtime import FeatureError, Objective, Selector
from support import reference
from support.artifacts import converted, loaded
from support.catalogue import dense, kernel_ridge, kmeans, knn, mlp, rbf_classifier, svm

MODELS = Path(__file__).parents[2] / "models"
RNG = np.random.default_rng(1)
D = 8
NAMES = ["a", "b", "c", "d"]


CENTROIDS = RNG.normal(size=(9, D))
VECTORS = RNG.normal(size=(200, D))
QUERIES = RNG.normal(size=(16, D))
KNN = knn(
    VECTORS.repeat(3, axis=0),
    [NAMES[min(3, i % 3 + i // 590)] for i in range(600)],
    k=4,
    qualities=RNG.uniform(0.01, 1, 600),
    latencies=RNG.integers(0, 10**9, 600),
)
SCORED = {
    "kmeans": kmeans(CENTROIDS, NAMES),
    "svm": svm(
        rbf=[rbf_classifier(NAMES[i % 4], VECTORS[20 * i : 20 * i + 20], RNG.normal(size=20), rho=0) for i in range(6)]
    ),
    "mlp": mlp(dense(RNG.normal(size=(4, D))), names=NAMES),
}


@cache
def artifact(algorithm, search="auto"):
    return converted(KNN if algorithm == "knn" else SCORED[algorithm], exact_search=search)


SUBSETS = st.sets(st.sampled_from(NAMES), min_size=1)


@pytest.mark.parametrize("algorithm", SCORED)
@settings(max_examples=25, deadline=None)
@given(candidates=SUBSETS)
def test_the_best_of_the_candidates_wins(algorithm, candidates):
    with Selector.load(artifact(algorithm)) as selector:
        picked = selector.select_batch(QUERIES, candidates=candidates)
        for query, batch_pick in zip(QUERIES, picked, strict=True):
            scores = {name: score for name, score in selector.scores(query).items() if name in candidates}
            best = max(scores, key=scores.get)
            assert selector.scores(query, candidates=candidates) == scores
            explained = selector.explain(query, candidates=list(candidates))
            assert selector.select(query, candidates=candidates) == batch_pick == explained["model"] == best
            if algorithm == "kmeans":
                assert SCORED["kmeans"]["cluster_models"][explained["cluster"]] == best
                assert explained["distance"] == pytest.approx(-scores[best])


def expected_pick(query, candidates, quality_weight):
    """Votes of the k nearest rows for candidates; without any, the nearest row of a candidate."""
    order, _ = reference.knn_order(KNN, query)
    low, high = min(KNN["latencies"]), max(KNN["latencies"])
    sums = {}
    for row in order[: KNN["k"]]:
        if KNN["labels"][row] in candidates:
            speed = 1 - (KNN["latencies"][row] - low) / (high - low)
            weight = quality_weight * max(KNN["qualities"][row], 0.01) + (1 - quality_weight) * speed
            sums[KNN["labels"][row]] = sums.get(KNN["labels"][row], 0) + weight
    if sums:
        return max(sums, key=sums.get)
    return next(KNN["labels"][row] for row in order if KNN["labels"][row] in candidates)


@pytest.mark.parametrize("search", ["plain", "quantised"])
@settings(max_examples=25, deadline=None)
@given(candidates=SUBSETS, quality_weight=st.sampled_from([0.9, 0.0, 1.0, 0.5]))
def test_neighbours_vote_for_candidates(search, candidates, quality_weight):
    with Selector.load(artifact("knn", search)) as selector:
        asked = {"candidates": candidates, "quality_weight": quality_weight}
        picked = selector.select_batch(QUERIES, **asked)
        for query, batch_pick in zip(QUERIES, picked, strict=True):
            explained = selector.explain(query, **asked)
            expected = expected_pick(query, candidates, quality_weight)
            assert selector.select(query, **asked) == batch_pick == explained["model"] == expected
            assert set(explained["scores"]) == candidates
            assert explained["scores"][expected] == max(explained["scores"].values()) > 0


def test_a_candidate_far_away_is_found():
    """Only the last rows, far from every query, are of the candidate: all rows have to be looked at."""
    rows = np.vstack([RNG.normal(size=(9_000, 4)), 1e3 + RNG.normal(size=(5, 4))])
    labels = ["near"] * 9_000 + ["far"] * 5
    for search in ("plain", "quantised"):
        data = knn(rows, labels)
        with loaded(data, search=search) as selector:
            query = np.zeros(4)
            neighbours = selector.explain(query, candidates=["far"])["neighbours"]
            nearest = 9_000 + np.linalg.norm(rows[9_000:], axis=1).argmin()
            assert [neighbour["row"] for neighbour in neighbours] == [nearest]
            assert selector.select(query, candidates=["far"]) == "far"
            assert selector.select_batch([query] * 3, candidates=["far"]) == ["far"] * 3


def test_the_quality_weight_is_set_at_load_and_per_call():
    with loaded(KNN, quality_weight=0.2) as selector:
        for query in QUERIES:
            assert selector.select(query) == expected_pick(query, NAMES, 0.2)
            assert selector.select(query, quality_weight=1) == expected_pick(query, NAMES, 1)
            assert selector.scores(query) == selector.scores(query, quality_weight=0.2)


UNKNOWN = {
    "unknown": ({"candidates": ["gpt-9"]}, "candidates: expected some of a, b, c, d, got 'gpt-9'"),
    "one unknown": ({"candidates": ["a", "gpt-9"]}, "candidates: expected some of a, b, c, d, got 'gpt-9'"),
    "no name": ({"candidates": [None]}, "candidates: expected some of a, b, c, d, got None"),
    "unhashable": ({"candidates": [["a"]]}, r"got \['a'\]"),
    "empty": ({"candidates": []}, "candidates: expected at least one of a, b, c, d"),
    "a string": ({"candidates": "abc"}, "candidates: expected at least one of a, b, c, d"),
    "a weight above 1": ({"quality_weight": 1.5}, "quality_weight: expected a number from 0 to 1, got 1.5"),
    "NaN": ({"quality_weight": float("nan")}, "quality_weight: expected a number from 0 to 1, got nan"),
    "no number": ({"quality_weight": "1"}, "quality_weight: expected a number from 0 to 1, got '1'"),
}


@pytest.mark.parametrize(("asked", "message"), UNKNOWN.values(), ids=UNKNOWN)
def test_refuses_what_is_unknown(asked, message):
    with loaded(KNN) as selector:
        for call in (selector.select, selector.scores, selector.explain):
            with pytest.raises(FeatureError, match=message):
                call(QUERIES[0], **asked)
        with pytest.raises(FeatureError, match=message):
            selector.select_batch(QUERIES, **asked)


def test_of_many_models_an_error_names_some():
    names = [f"m{number}" for number in range(40)]
    with loaded(knn(np.eye(40), names, k=1)) as selector, pytest.raises(FeatureError) as refused:
        selector.select(np.ones(40), candidates=["gpt-9"])
    assert str(refused.value) == f"candidates: expected some of {', '.join(names[:12])} and 28 more, got 'gpt-9'"


NOT_WEIGHED = "quality_weight: expected an algorithm that takes it, knn native/1"


def test_only_knn_weighs_quality():
    data = SCORED["kmeans"]
    with pytest.raises(FeatureError, match=NOT_WEIGHED):
        loaded(data, quality_weight=0.5)
    with (
        loaded(data) as selector,
        pytest.raises(FeatureError, match=NOT_WEIGHED),
    ):
        selector.select(CENTROIDS[0], quality_weight=0.5)


def test_costs_of_a_call_take_the_place_of_those_at_load():
    """A weight of cost that holds for all calls needs the costs of all models, whoever says them."""
    model = kernel_ridge([[1.0, 0.0]], {"quality": ([[0.0, 0.0]], [0.9, 0.8])}, ["a", "b"])
    asked = {"objective": Objective(cost_weight=1.0), "costs": {"a": 1.0, "b": 0.1}}
    with loaded(model, **asked) as selector:
        assert selector.select([1.0, 2.0]) == "b"
        assert selector.select([1.0, 2.0], costs={"a": 0.0, "b": 0.5}) == "a"
        with pytest.raises(FeatureError, match="expected costs of b: the artifact predicts no cost"):
            selector.select([1.0, 2.0], costs={"a": 0.0})
        assert selector.select([1.0, 2.0], costs={"a": 0.0}, candidates=["a"]) == "a"
