"""The nearest rows, exactly, where the search proves them and where it has to look again."""

import numpy as np
import pytest

from modelpick.runtime.loading import read_contents
from modelpick.runtime.queries import Queries, Query, squared_norms
from modelpick.runtime.search.exact import SUBGRAPHS, Nearest
from modelpick.runtime.session import open_subgraphs
from support import reference
from support.artifacts import converted
from support.catalogue import knn

K = 4


def searched(rows, search):
    """The document, and the search."""
    document = knn(rows, ["m0", "m1", "m2"], k=K)
    data = converted(document, exact_search=search)
    _, metadata, tables, model = read_contents("test", data)
    run = open_subgraphs("test", model, None, None, SUBGRAPHS, tables)
    return document, Nearest(run, tables, metadata)


def one(vector):
    return Query(vector[None], float(vector @ vector))


@pytest.mark.parametrize("search", ["plain", "quantised"])
@pytest.mark.parametrize(("place", "spread"), [(0.0, 1.0), (1e3, 1e-9), (1e8, 1.0), (0.0, 1e30)])
def test_finds_the_nearest_rows_by_distance_then_row(search, place, spread):
    rng = np.random.default_rng(0)
    rows = place + spread * rng.normal(size=(300, 5))
    rows[100:110] = rows[:10]
    document, nearest = searched(rows, search)
    queries = np.vstack([place + spread * rng.normal(size=(10, 5)), rows[:10]])
    many = Queries(queries, squared_norms(queries))
    lists = nearest.rows_many(many, nearest.search_many(many))
    for query, listed in zip(queries, lists, strict=True):
        order, distances = reference.knn_order(document, query)
        found = nearest.neighbours(one(query))
        assert found.rows.tolist() == listed.tolist() == order[:K].tolist()
        np.testing.assert_allclose(found.distances, distances[order[:K]], rtol=1e-12)


@pytest.mark.parametrize("search", ["plain", "quantised"])
def test_finds_the_nearest_of_some_rows(search):
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(400, 6))
    document, nearest = searched(rows, search)
    for wanted in (np.arange(400) == 7, np.arange(400) > 390, np.ones(400, dtype=bool)):
        query = rng.normal(size=6)
        order, _ = reference.knn_order(document, query)
        assert nearest.nearest_of(one(query), wanted).rows.item() == next(row for row in order if wanted[row])


@pytest.mark.parametrize("search", ["plain", "quantised"])
def test_measures_which_rows_are_among_the_nearest(search):
    """The last of the k nearest rows, and the next, differ by less than float32 tells."""
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(300, 5))
    query = rows[0] + 0.01
    order = np.argsort(((rows - query) ** 2).sum(axis=1))
    rows[order[K - 1]] = query + (rows[order[K]] - query) * (1 - 1e-9)
    document, nearest = searched(rows, search)
    ranked = nearest.search_one(one(query))
    assert ranked.scores[K] - ranked.scores[K - 1] <= ranked.gap
    measured = nearest.measured(one(query), ranked)
    assert measured.scores[K] > measured.scores[K - 1] > measured.scores[0]
    expected, distances = reference.knn_order(document, query)
    assert set(measured.candidates[:K]) == set(expected[:K].tolist())
    assert sorted(measured.candidates) == sorted(ranked.candidates)
    known = [score**0.5 for score in measured.scores if 0 < score < np.inf]
    np.testing.assert_allclose(known, distances[expected[K - len(known) + 1 : K + 1]], rtol=1e-12)


def test_measures_nothing_where_a_row_that_was_not_found_may_be_near():
    rows = 1.0 + 1e-9 * np.random.default_rng(4).normal(size=(300, 5))
    _, nearest = searched(np.vstack([rows, 1e3 * rows]), "plain")
    ranked = nearest.search_one(one(rows[0]))
    assert nearest.measured(one(rows[0]), ranked) is None


def test_one_gap_is_that_of_the_batch():
    rng = np.random.default_rng(2)
    for rows in (rng.normal(size=(50, 4)), 1e4 + rng.normal(size=(50, 4))):
        _, nearest = searched(rows, "plain")
        queries = rng.normal(size=(8, 4))
        each = [nearest.gap_one(one(query)) for query in queries]
        np.testing.assert_allclose(nearest.gap_many(Queries(queries, squared_norms(queries))), each, rtol=1e-12)
