"""The search in 8-bit integers: how far off it may be, and what it says of one query."""

import numpy as np
import pytest

from modelpick.converter.graphs import exact_search
from modelpick.runtime.queries import Query
from modelpick.runtime.schema import Input, Stored, Table
from modelpick.runtime.search.integers import SUBGRAPH, IntegerSearch
from support.searches import COUNT, RNG, ROWS, WIDTH, K, many, one, opened, queries_near


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_integers_add_no_more_than_the_bound(rows):
    _, tables, run = opened(rows)
    stored, center, factor = tables[Stored.ROWS].astype(float), tables.get(Table.CENTER, 0.0), tables.get(Table.FACTOR)
    scale = 1.0 if factor is None else float(factor)
    moved = (stored - center) * scale
    light = np.ones(WIDTH, dtype=bool)
    light[tables.get(Table.HEAVY, [])] = False
    slope, constant = tables[Table.INTEGER_ERROR]
    for query in queries_near(rows):
        (scores,), (candidates,) = run(SUBGRAPH.outputs, {"features": query[None]})
        q = (query - center) * scale
        true = (moved**2).sum(axis=1) - 2.0 * moved @ q
        bound = slope * np.linalg.norm(q[light]) + tables[Table.ERROR_SLOPE] / scale**2 * (q @ q) + 2 * constant
        assert np.abs(scores - true[candidates]).max() <= bound
        others = np.setdiff1d(np.arange(len(stored)), candidates)
        assert true[others].min(initial=np.inf) >= scores[-1] - bound


@pytest.mark.parametrize("search", ["quantised", "plain"])
@pytest.mark.parametrize("semantics", ["native/1", "native/2"])
@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_what_is_ranked_is_in_order_but_for_the_gap(rows, semantics, search):
    nearest, tables, _ = opened(rows, semantics, search=search)
    stored = tables[Stored.ROWS].astype(float)
    unit = semantics == "native/2"
    for query in queries_near(rows):
        ranked = nearest.search_one(one(query))
        assert ranked.scores == sorted(ranked.scores)
        vectors = stored / np.linalg.norm(stored, axis=1, keepdims=True).clip(1e-300) if unit else stored
        q = query / np.linalg.norm(query) if unit else query
        squared = ((vectors - q) ** 2).sum(axis=1)
        scale = float(tables.get(Table.FACTOR, 1.0)) ** 2
        for place, (lower, higher) in enumerate(zip(ranked.scores, ranked.scores[1:], strict=False)):
            if higher - lower > ranked.gap:
                nearer, farther = ranked.candidates[: place + 1], np.delete(squared, ranked.candidates[: place + 1])
                assert squared[nearer].max() * scale <= farther.min() * scale * (1 + 1e-12)


@pytest.mark.parametrize(("norm", "answers"), [(0.0, False), (1e-20, False), (1.0, True), (1e10, True), (1e20, False)])
def test_too_short_or_too_long_queries_are_left_to_float32(norm, answers):
    nearest, tables, run = opened(ROWS["normal"])
    query = Query(norm * np.ones((1, WIDTH)) / WIDTH**0.5, norm**2)
    ranked = IntegerSearch(run, tables, K, unit=False).search(query)
    assert (ranked is not None) == answers
    assert len(nearest.neighbours(query).rows) == K


def test_few_queries_are_searched_for_one_by_one():
    runs = []
    nearest, tables, _ = opened(ROWS["normal"], seen=lambda outputs, feeds: runs.append(outputs == SUBGRAPH.outputs))
    singles = int(tables[Table.SINGLES][0])
    queries = RNG.normal(size=(singles + 1, WIDTH))
    few, more = nearest.search_many(many(queries[:-1])), nearest.search_many(many(queries))
    assert runs == [True] * singles + [False]
    np.testing.assert_array_equal(few.candidates[:, :K], more.candidates[:-1, :K])
    # Behind them, integers bound scores from below.
    np.testing.assert_allclose(few.scores[:, :K], more.scores[:-1, :K], rtol=1e-5, atol=1e-5)
    assert (few.scores <= more.scores[:-1] + 1e-5).all()


@pytest.mark.parametrize("beyond_caches", [False, True])
def test_many_queries_are_searched_for_in_blocks_or_packed(beyond_caches, monkeypatch):
    monkeypatch.setattr(exact_search, "BEYOND_CACHES", 0 if beyond_caches else np.inf)
    sizes = []
    nearest, tables, _ = opened(ROWS["normal"], seen=lambda outputs, feeds: sizes.append(len(feeds[Input.FEATURES])))
    together, packed = int(tables[Table.TOGETHER][0]), exact_search.MANY
    assert (Table.MANY in tables) == beyond_caches
    queries = np.random.default_rng(1).normal(size=(2 * packed + 3, WIDTH))
    exact = ((ROWS["normal"][None] - queries[:, None]) ** 2).sum(axis=2)
    for count in (together + 1, packed, packed + 1, len(queries)):
        found = nearest.search_many(many(queries[:count]))
        np.testing.assert_array_equal(found.candidates[:, :K], exact[:count].argsort(axis=1)[:, :K])
        assert max(sizes) == (count if beyond_caches and count > packed else together)
        sizes.clear()


def test_the_distance_is_known_where_integers_tell_no_row_from_another():
    """All rows are about as far from the query, in numbers that 8 bits hold badly."""
    rows = np.eye(WIDTH)[np.arange(COUNT) % WIDTH] + 1e-3 * RNG.normal(size=(COUNT, WIDTH))
    nearest, _, _ = opened(rows)
    for query in 1.0 + 1e-4 * RNG.normal(size=(10, WIDTH)):
        true = np.linalg.norm(rows - query, axis=1).min()
        assert nearest.distance(one(query)) == pytest.approx(true, rel=1e-5)
