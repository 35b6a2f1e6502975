"""The search among few rows in numpy, compared with that of the session."""

import numpy as np
import pytest

from modelpick.runtime.queries import Query
from modelpick.runtime.search import few
from modelpick.runtime.search.few import FewRows
from support.searches import ROWS, WIDTH, K, one, opened, queries_near


@pytest.mark.parametrize("semantics", ["native/1", "native/2"])
@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_it_finds_what_the_session_finds(rows, semantics, monkeypatch):
    runs = []
    found, tables, _ = opened(rows, semantics, lambda outputs, feeds: runs.append(outputs), search="plain")
    assert FewRows.suits(tables)
    monkeypatch.setattr(few, "MOST_NUMBERS", rows.size - 1)
    wanted, *_ = opened(rows, semantics, search="plain")
    for vector in queries_near(rows):
        query, asked = one(vector), len(runs)
        in_numpy, in_session = found.search_one(query), wanted.search_one(query)
        assert not runs[asked:]
        assert len(in_numpy.candidates) == len({*in_numpy.candidates}) == len(in_session.candidates)
        np.testing.assert_allclose(in_numpy.scores, in_session.scores, rtol=0, atol=in_session.gap)
        assert 0 < in_numpy.gap <= in_session.gap * (1 + 1e-6)
        np.testing.assert_array_equal(found.neighbours(query).rows, wanted.neighbours(query).rows)


@pytest.mark.parametrize(("norm", "answers"), [(0.0, True), (1e-20, True), (1e10, True), (1e20, False)])
def test_too_long_queries_are_left_to_the_session(norm, answers):
    nearest, tables, _ = opened(ROWS["normal"], search="plain")
    query = Query(norm * np.ones((1, WIDTH)) / WIDTH**0.5, norm**2)
    assert (FewRows(tables, unit=False).search(query) is not None) == answers
    assert len(nearest.neighbours(query).rows) == K


def test_a_query_without_direction_is_left_to_the_session():
    nearest, tables, _ = opened(ROWS["normal"], "native/2", search="plain")
    query = Query(np.zeros((1, WIDTH)), 0.0)
    assert FewRows(tables, unit=True).search(query) is None
    assert len(nearest.neighbours(query).rows) == K
