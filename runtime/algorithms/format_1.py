"""The table for artifacts of format version 1, whose graphs search in other ways than today's.

- KNN searched many rows in 8-bit integers within the graph, which kept a number of candidates of its own.
- The graph of KMeans returns which choices are proven, as that of SVM with kernels does today.
- MLP had no search.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from ..artifact.tables import INTEGERS, Spec, optional
from ..schema import Input, Output, Stored, Table
from ..search.best_choice import search_tables
from ..search.exact import GROWTH
from . import kmeans, knn, mlp, svm
from .base import Algorithm, Artifact, Row, Rows

KEPT: Final = "kept"
"""Optional input: how many candidates of the search in integers are kept, int64, (1,)."""
_Make = Callable[[Artifact], Algorithm]


def _with_kept(make: _Make, artifact: Artifact) -> Algorithm:
    """Make a KNN algorithm whose kept candidates grow with the number of candidates of the search."""
    run, tables = artifact.run, artifact.tables
    if KEPT not in tables:
        return make(artifact)
    counts = {name: tables[name] for name in (Input.CANDIDATES, KEPT)}
    more = {name: np.minimum(GROWTH * count, len(tables[Stored.ROWS])) for name, count in counts.items()}

    def run_kept(outputs: Sequence[str], feeds: dict[str, Any]) -> list[Any]:
        return run(outputs, feeds | more if Input.CANDIDATES in feeds else feeds)

    return make(artifact._replace(run=run_kept, tables={**tables, Table.CANDIDATES: np.minimum(*counts.values())}))


def _unsearched(make: _Make, artifact: Artifact) -> Algorithm:
    """Make an algorithm whose graph has no search: the whole graph runs for each query."""

    def run_whole(outputs: Sequence[str], feeds: dict[str, Any]) -> list[Any]:
        if Output.CERTAIN in outputs:
            return [np.zeros(1, np.int64), np.array([False])]
        return artifact.run(outputs, feeds)

    return make(artifact._replace(run=run_whole, tables={**artifact.tables, Table.NO_ERROR: np.array(0.0)}))


def _of_knn(row: Row) -> Row:
    kept = optional({KEPT: Spec(INTEGERS, (1,), 1)})
    return row._replace(make=partial(_with_kept, row.make), tables={**row.tables, **kept})


_KMEANS, _MLP = kmeans.ROWS["kmeans", "native/1"], mlp.ROWS["mlp", "native/1"]
TABLE: Rows = {
    **{key: _of_knn(knn.ROWS[key]) for key in (("knn", "native/1"), ("knn", "queries/1"), ("knn", "trainer/1"))},
    ("kmeans", "native/1"): _KMEANS._replace(tables=search_tables("choices")),
    ("svm", "native/1"): svm.ROWS["svm", "native/1"],
    ("svm", "trainer/1"): svm.ROWS["svm", "trainer/1"],
    ("mlp", "native/1"): _MLP._replace(make=partial(_unsearched, _MLP.make), tables={}),
}
