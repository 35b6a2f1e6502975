"""Queries that are far from the training questions get the default model, held against plain numpy."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from modelpick.runtime import ArtifactError, FeatureError, Objective, Selector
from modelpick.runtime.events import Far, Selection
from support.artifacts import converted
from support.catalogue import MODELS

KEPT = Path(__file__).parents[1] / "data/format-2"
QUERIES = np.random.default_rng(6).normal(size=(60, 12))
FAMILIES = {
    "kernel_ridge": ("kernel_ridge", "native/2", {}),
    "kernel_ridge by differences": ("kernel_ridge", "native/2", {"gamma": 1e5}),
    "knn": ("knn", "queries/3", {}),
}


@cache
def artifact_of(family):
    """An artifact, the distances of `QUERIES` to its nearest vectors, and those between its vectors."""
    algorithm, semantics, fields = FAMILIES[family]
    model = MODELS[algorithm, semantics] | fields
    rows = np.unique(np.array(model.get("support_vectors") or model["embeddings"]), axis=0)
    if family == "knn":
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    unit = QUERIES / np.linalg.norm(QUERIES, axis=1, keepdims=True)
    between = np.linalg.norm(rows[:, None] - rows, axis=2) + np.diag(np.full(len(rows), np.inf))
    nearest = np.linalg.norm(unit[:, None] - rows, axis=2).min(axis=1)
    return converted(model, semantics.partition("/")[0]), nearest, np.sort(between.min(axis=1))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("far", [0.05, 0.5, 0.99, 1.0])
def test_the_default_is_picked_beyond_the_share_of_distances(family, far):
    data, nearest, between = artifact_of(family)
    least = np.quantile(between, np.linspace(0, 1, 100))
    expected = np.array([(least < distance).mean() >= far for distance in nearest])
    events = []
    with Selector.load(data, far=far, observer=events.append) as selector:
        picks = selector.select_batch(QUERIES)
        assert events == [Far("<bytes>", expected.sum()), Selection("<bytes>", tuple(picks), events[-1].seconds)]
        assert picks == [selector.select(query) for query in QUERIES]
        assert [selector.decide(query).model for query in QUERIES[:9]] == picks[:9]
        why = [selector.explain(query) for query in QUERIES]
    with Selector.load(data) as selector:
        free = selector.select_batch(QUERIES)
        assert selector.select_batch(QUERIES, far=far) == picks
        assert "far" not in selector.explain(QUERIES[0])
    assert [one["model"] for one in why] == picks
    assert [one["far"] for one in why] == expected.tolist()
    assert [one["distance"] for one in why] == pytest.approx(nearest, abs=1e-5)
    default = why[0]["default"]
    assert picks == [default if is_far else pick for is_far, pick in zip(expected, free, strict=True)]
    said = f"the query is farther from the training questions than {far:g} of them are from one another: {default} is"
    assert [one["reason"].startswith(said) for one in why] == expected.tolist()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_queries_are_far_alone_and_in_a_batch(family):
    """Between a near and a far query lie some that roundings decide on."""
    data, nearest, _ = artifact_of(family)
    near, far = QUERIES[nearest.argmin()], QUERIES[nearest.argmax()]
    with Selector.load(data, far=0.5) as selector:
        low, high = 0.0, 1.0
        assert selector.explain(far)["far"] and not selector.explain(near)["far"]
        for _ in range(40):
            middle = (low + high) / 2
            is_far = selector.explain(near + middle * (far - near))["far"]
            low, high = (low, middle) if is_far else (middle, high)
        queries = near + (low + np.linspace(-1e-6, 1e-6, 101))[:, None] * (far - near)
        assert [selector.select(query) for query in queries] == selector.select_batch(queries)
        events = []
        with Selector.load(data, far=0.5, observer=events.append) as told:
            told.select_batch(queries)
    assert 0 < events[0].queries < len(queries)


def test_it_is_the_default_of_the_candidates_by_the_objective():
    data, _, _ = artifact_of("kernel_ridge")
    with Selector.load(data, far=1e-9) as selector:
        far = QUERIES[:1]
        assert selector.explain(far[0])["far"]
        for given in ({}, {"candidates": ["b", "c"]}, {"objective": Objective(cost_weight=1e3)}, {"at_least": 0.1}):
            (pick,) = selector.select_batch(far, **given)
            assert pick == selector.explain(far[0], **given)["default"]
        assert selector.select(far[0], candidates=["c"]) == "c"


@pytest.mark.parametrize("far", [0.0, -0.1, 1.1, np.nan, "0.9", True])
def test_refuses_what_is_no_share(far):
    with pytest.raises(FeatureError, match=r"^far: expected a number above 0, up to 1, got "):
        Selector.load(artifact_of("knn")[0], far=far)


def test_refuses_it_where_no_distances_are_recorded():
    with Selector.load(KEPT / "kernel_ridge_2.onnx") as selector:
        with pytest.raises(FeatureError, match=r"^far: expected an artifact that records distances: convert its JSON"):
            selector.select(np.ones(selector.n_features_in_), far=0.99)
        with pytest.raises(ArtifactError, match="expected an artifact that records distances"):
            selector.drift(np.ones(selector.n_features_in_))
    flat = converted(MODELS["kernel_ridge", "native/2"] | {"gamma": 0.0})
    with Selector.load(flat) as selector, pytest.raises(FeatureError, match=r"^far: expected an artifact that records"):
        selector.select(QUERIES[0], far=0.99)
    machines, said = converted(MODELS["svm", "native/1"]), r"^far: expected an algorithm that takes it, knn queries/2"
    with Selector.load(machines) as selector, pytest.raises(FeatureError, match=said):
        selector.select(np.ones(selector.n_features_in_), far=0.99)
