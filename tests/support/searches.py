"""Rows that are hard to search, and searches among them."""

import numpy as np

from modelpick.runtime.loading import read_contents
from modelpick.runtime.queries import Queries, Query
from modelpick.runtime.schema import Table
from modelpick.runtime.search.exact import SUBGRAPHS, Nearest
from modelpick.runtime.session import open_subgraphs
from support.artifacts import converted
from support.catalogue import knn

K, COUNT, WIDTH = 3, 200, 24
RNG = np.random.default_rng(0)


def near_ties():
    """Pairs of rows that differ by less than integers can tell."""
    half = RNG.normal(size=(COUNT // 2, WIDTH))
    return np.vstack([half, half * (1 + 1e-6)])


def one_hot():
    return np.hstack([RNG.normal(size=(COUNT, WIDTH - 4)) / 5, np.eye(4)[RNG.integers(4, size=COUNT)]])


ROWS = {
    "normal": RNG.normal(size=(COUNT, WIDTH)),
    "far from zero": 1e3 + RNG.normal(size=(COUNT, WIDTH)),
    "tiny": 1e-9 * RNG.normal(size=(COUNT, WIDTH)),
    "huge": 1e13 * RNG.normal(size=(COUNT, WIDTH)),
    "of many sizes": 10.0 ** RNG.integers(-6, 6, size=(COUNT, 1)) * RNG.normal(size=(COUNT, WIDTH)),
    "heavy-tailed": RNG.standard_t(1.5, size=(COUNT, WIDTH)),
    "near ties": near_ties(),
    "one-hot": one_hot(),
    "few values": RNG.integers(-1, 2, size=(COUNT, WIDTH)).astype(float),
}


def one(vector):
    return Query(vector[None], float(vector @ vector))


def many(vectors):
    return Queries(vectors, (vectors**2).sum(axis=1))


def opened(rows, semantics="native/1", seen=lambda outputs, feeds: None, search="quantised"):
    document = knn(rows, ["m0", "m1", "m2"], k=K, qualities=[0.5] * len(rows))
    data = converted(document, semantics, exact_search=search)
    _, metadata, tables, model = read_contents("test", data)
    assert (Table.INTEGERS in tables) == (search == "quantised")
    run = open_subgraphs("test", model, None, None, SUBGRAPHS, tables)

    def seen_run(outputs, feeds):
        seen(outputs, feeds)
        return run(outputs, feeds)

    return Nearest(seen_run, tables, metadata), tables, run


def queries_near(rows):
    steps = rows.std() * np.array([[0.0], [1e-3], [1.0]]) * RNG.normal(size=(3, WIDTH))
    return [*(rows[RNG.integers(COUNT, size=3)] + steps), rows[:2].mean(axis=0), RNG.normal(size=WIDTH) * rows.std()]
