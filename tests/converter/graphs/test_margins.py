"""Margins in float32: what they prove is so, for layers and queries of every size, and near ties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelpick.converter.graphs.margins import LARGEST, needed_margin
from modelpick.runtime.queries import Queries, Query
from support.artifacts import loaded
from support.catalogue import dense, kmeans, linear_classifier, mlp, svm

NAMES = ["a", "b", "c", "d", "e"]
SIZES = [1e-160, 1e-42, 1e-30, 1e-12, 1e-3, 1.0, 1e3, 1e12, 1e18, 1e30, 1e60, 1e150]


@st.composite
def cases(draw):
    """Vectors for each choice, some of them near ties or far from zero, and queries of many sizes."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    width, choices = draw(st.sampled_from([1, 3, 40, 300])), draw(st.integers(2, len(NAMES)))
    size, shift = draw(st.sampled_from(SIZES)), draw(st.sampled_from([0.0, 0.0, 10.0, 1e4]))
    vectors = (rng.normal(size=(choices, width)) + shift) * size
    near = draw(st.sampled_from([0.0, 1e-16, 1e-9, 1e-6, 1e-4, 1.0]))
    vectors[-1] = vectors[0] * (1.0 + near * rng.normal(size=width))
    queries = np.vstack(
        [
            vectors,
            (vectors[:1] + vectors[-1:]) / 2,
            vectors + size * near * rng.normal(size=vectors.shape),
            *((rng.normal(size=(3, width)) + shift) * other for other in (size, draw(st.sampled_from(SIZES)))),
            np.zeros((1, width)),
        ]
    )
    return rng, vectors, queries


def search_beside(document, queries):
    """Yield what the search proves for each query, alone and among all: None where it does not."""
    selector = loaded(document)
    search = selector._algorithm._best.search
    with np.errstate(over="ignore"):
        squares = (queries**2).sum(axis=1)
    found, proven = search.best_many(Queries(queries, squares))
    for index, square in enumerate(squares):
        alone = search.best_one(Query(queries[index : index + 1], float(square)))
        yield alone, int(found[index]) if proven[index] else None
    picks = selector.select_batch(queries)
    assert picks == [selector.select(query) for query in queries] == [selector.explain(q)["model"] for q in queries]


def check(document, queries, scores, roundings):
    """Compare with scores in long double, highest the best, of which float64 makes ``roundings`` at most, (b,)."""
    for (alone, among), row, rounded in zip(search_beside(document, queries), scores, roundings, strict=True):
        assert alone == among or alone is None or among is None
        for found in {alone, among} - {None}:
            others = np.delete(row, found)
            assert row[found] > others.max()
            assert row[found] - others.max() > rounded


@settings(max_examples=40, deadline=None)
@given(cases())
def test_a_centroid_that_is_proven_is_the_nearest(case):
    _, vectors, queries = case
    document = kmeans(vectors, NAMES[: len(vectors)])
    exact = ((queries[:, None].astype(np.longdouble) - vectors) ** 2).sum(axis=2)
    check(document, queries, -exact, 2e-16 * exact.min(axis=1))


@settings(max_examples=40, deadline=None)
@given(cases())
def test_a_linear_classifier_that_is_proven_scores_highest(case):
    rng, vectors, queries = case
    rhos = rng.normal(size=len(vectors)) * abs(vectors).max() * rng.choice([0.0, 1.0, 1e6])
    rhos[-1] = rhos[0]
    machines = zip(NAMES, vectors, rhos.tolist(), strict=False)
    document = svm([linear_classifier(*machine) for machine in machines])
    wide = queries.astype(np.longdouble)
    norms = np.sqrt((wide**2).sum(axis=1))
    scores = wide / np.where(norms > 1e-10, norms, 1)[:, None] @ vectors.T.astype(np.longdouble) - rhos
    check(document, queries, scores, 2e-16 * abs(scores).max(axis=1))


@settings(max_examples=40, deadline=None)
@given(cases(), st.integers(0, 2))
def test_a_class_that_is_proven_is_the_most_probable(case, hidden):
    rng, vectors, queries = case
    layers, wide, last = [], queries.astype(np.longdouble), vectors
    for _ in range(hidden):
        weights, bias = rng.normal(size=(7, wide.shape[1])), rng.normal(size=7) * rng.choice([0.0, 1.0, 1e6])
        layers += [dense(weights, bias), {"type": "relu"}]
        wide = np.maximum(wide @ weights.T.astype(np.longdouble) + bias, 0)
        last = rng.normal(size=(len(vectors), 7)) * abs(vectors).max()
        last[-1] = last[0] + (vectors[-1] - vectors[0])[0]
    layers.append(dense(last))
    document = mlp(*layers, names=NAMES[: len(last)])
    scores = wide @ last.T.astype(np.longdouble)
    check(document, queries, scores, 2e-16 * abs(scores).max(axis=1))


def test_most_queries_are_proven():
    rng = np.random.default_rng(0)
    vectors, queries = rng.normal(size=(2, 500, 256)) / 16
    layers = [dense(rng.normal(size=(64, 256)) / 16), {"type": "relu"}, dense(rng.normal(size=(5, 64)) / 8)]
    machines = [linear_classifier(name, row) for name, row in zip(NAMES, vectors, strict=False)]
    for document, asked, share in (
        (kmeans(vectors[:5], NAMES), queries, 0.98),
        (kmeans(vectors[:5] + 1.0, NAMES), queries + 1.0, 0.9),
        (svm(machines), queries, 0.99),
        (mlp(*layers, names=NAMES), queries, 0.98),
    ):
        proven = [alone is not None for alone, _ in search_beside(document, asked)]
        assert np.mean(proven) >= share


@pytest.mark.parametrize("size", [1e38, 1e160, 1e300])
def test_nothing_is_proven_where_float32_cannot_hold_the_layers(size):
    needed = needed_margin([(np.full((2, 3), size), np.zeros(2))])
    assert not needed.longest > 1e-1


def test_a_longer_chain_needs_a_larger_margin():
    rng = np.random.default_rng(0)
    first, second = (rng.normal(size=(4, 8)), rng.normal(size=4)), (rng.normal(size=(3, 4)), rng.normal(size=3))
    alone, both = needed_margin([first]), needed_margin([first, second])
    assert 0.0 < alone.slope < both.slope < 1e-3
    assert 0.0 < alone.constant < both.constant < 1e-3
    assert both.longest < alone.longest < LARGEST
