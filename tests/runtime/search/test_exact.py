"""The nearest rows, exactly, where the search proves them and where it has to look again."""

import numpy as np
import pytest

from modelpick.runtime.loading import read_contents
from modelpick.runtime.request import squared_norms
from modelpick.runtime.search.exact import PARTS, Nearest
from modelpick.runtime.session import open_parts
from support import reference
from support.artifacts import converted
from support.catalogue import knn

K = 4


def searched(rows, search):
    """The document, the search, and what runs its graph."""
    document = knn(rows, ["m0", "m1", "m2"], k=K)
    data = converted(document, exact_search=search)
    _, metadata, tables, model = read_contents("test", data)
    run = open_parts("test", model, None, None, PARTS, tables)
    return document, Nearest(tables, metadata.k, metadata.n_features_in, metadata.metric), run


@pytest.mark.parametrize("search", ["plain", "quantised"])
@pytest.mark.parametrize(("place", "spread"), [(0.0, 1.0), (1e3, 1e-9), (1e8, 1.0), (0.0, 1e30)])
def test_finds_the_nearest_rows_by_distance_then_row(search, place, spread):
    rng = np.random.default_rng(0)
    rows = place + spread * rng.normal(size=(300, 5))
    rows[100:110] = rows[:10]
    document, nearest, run = searched(rows, search)
    queries = np.vstack([place + spread * rng.normal(size=(10, 5)), rows[:10]])
    norms = squared_norms(queries)
    lists = nearest.row_lists(run, queries, norms, nearest.search(run, queries, norms))
    for query, listed in zip(queries, lists, strict=True):
        order, distances = reference.knn_order(document, query)
        found = nearest.neighbours(run, query[None])
        assert found.rows.tolist() == listed.tolist() == order[:K].tolist()
        np.testing.assert_allclose(found.distances, distances[order[:K]], rtol=1e-12)


@pytest.mark.parametrize("search", ["plain", "quantised"])
def test_finds_the_nearest_of_some_rows(search):
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(400, 6))
    document, nearest, run = searched(rows, search)
    for wanted in (np.arange(400) == 7, np.arange(400) > 390, np.ones(400, dtype=bool)):
        query = rng.normal(size=(1, 6))
        order, _ = reference.knn_order(document, query[0])
        assert nearest.nearest_of(run, query, wanted).rows.item() == next(row for row in order if wanted[row])


@pytest.mark.parametrize("search", ["plain", "quantised"])
def test_settles_which_rows_are_among_the_nearest(search):
    """The last of the k nearest rows, and the next, differ by less than float32 tells."""
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(300, 5))
    query = rows[0] + 0.01
    order = np.argsort(((rows - query) ** 2).sum(axis=1))
    rows[order[K - 1]] = query + (rows[order[K]] - query) * (1 - 1e-9)
    document, nearest, run = searched(rows, search)
    ranked = nearest.ranked(run, query[None], float(query @ query))
    assert ranked.scores[K] - ranked.scores[K - 1] <= ranked.gap
    settled = nearest.settled(query[None], ranked)
    assert settled.scores[K] > settled.scores[K - 1] > settled.scores[0]
    expected, distances = reference.knn_order(document, query)
    assert set(settled.candidates[:K]) == set(expected[:K].tolist())
    assert sorted(settled.candidates) == sorted(ranked.candidates)
    known = [score**0.5 for score in settled.scores if 0 < score < np.inf]
    np.testing.assert_allclose(known, distances[expected[K - len(known) + 1 : K + 1]], rtol=1e-12)


def test_settles_nothing_where_a_row_that_was_not_found_may_be_near():
    rows = 1.0 + 1e-9 * np.random.default_rng(4).normal(size=(300, 5))
    _, nearest, run = searched(np.vstack([rows, 1e3 * rows]), "plain")
    ranked = nearest.ranked(run, rows[:1], float(rows[0] @ rows[0]))
    assert nearest.settled(rows[:1], ranked) is None


def test_one_gap_is_that_of_the_batch():
    rng = np.random.default_rng(2)
    for rows in (rng.normal(size=(50, 4)), 1e4 + rng.normal(size=(50, 4))):
        _, nearest, _ = searched(rows, "plain")
        queries = rng.normal(size=(8, 4))
        each = [nearest.gap(query[None], float(query @ query)) for query in queries]
        np.testing.assert_allclose(nearest.gaps(queries, squared_norms(queries)), each, rtol=1e-12)
