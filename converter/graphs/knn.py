"""Exact nearest rows: a fast search for candidates, then their distances in float64, and a certificate.

::

    features ─┬─ search ─┬─ score (b, c) ─────────────── bound on every other row ─┐
    (b, d)    │          └─ candidate (b, c) ─ If refine                           │
              │                                    │                               │
              └──────── Sub ◄──── Gather rows ◄────┘                               │
                         │                                                         │
                   sum of squares ─ TopK ─ neighbours (b, k) ─ k-th distance ─ certified (b, 1)

Identical embeddings are searched once and expanded to their rows afterwards: ``members`` lists those rows of each
distinct embedding that may count. Candidates are put in ascending order of row before the stable TopK by distance, so
equal distances go to the lower row.

`search` ranks by an approximation of ``|x_j|^2 - 2 q.x_j = |q - x_j|^2 - |q|^2`` whose error is at most E, such that no
row outside the candidates scores below the last of them. Queries and rows are moved alike if they lie far from zero,
see `Rows`. Such a row's squared distance is therefore at least
``s_c - E + |q|^2``: where that exceeds the k-th exact one, no such row belongs to the k, and ``certified`` is true.

What a caller may override, by initializers that are inputs as well:

- ``refine`` (bool): false leaves it at the search, and the neighbours are empty. The scores alone prove which rows are
  the k nearest wherever two that follow one another are more than 2 E apart.
- ``known_score`` and ``known_candidate`` (float32 and int64, (b, c)), in the quantised search: what it found before. It
  is skipped then.
- ``k`` (int64, shape (1,)): how many neighbours; of padding, beyond the last row, the distance is infinite.
- ``candidates``, ``first`` and, in the quantised search, ``kept`` (int64, shape (1,)): where ``certified`` is false,
  more rows are looked at. The k nearest of blocks of candidates, each from ``first`` on, up to one that is certified or
  to the last distinct row, are the answer.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from ..documents import Semantics
from ..estimators import KNNModelSelector, QueryModelSelector
from .builder import DOUBLE, Graph, register
from .exact_search import ExactSearch, Rows, Search, add_search
from .stored import stored_exactly

FOUND = {"row": "int64", "distance": "double", "certified": "bool", "score": "float", "candidate": "int64"}
OUTPUTS = {"model": "int64", "quality": "double", "speed": "double", **FOUND}


def convert_knn(graph: Graph, estimator: KNNModelSelector, features: str, outputs: dict[str, str]) -> None:
    """Write the graph of a `KNNModelSelector`; neighbours are (b, k)."""
    k = min(estimator.n_neighbors, estimator.n_samples_fit_)
    members = group_members(estimator.row_groups_, k, estimator.model_indices_)
    distinct = len(members) == estimator.n_samples_fit_
    rows = Rows(
        estimator._fit_X if distinct else estimator._fit_X[members[:, 0]], estimator.semantics == Semantics.trainer
    )
    columns = {"model": estimator.model_indices_, "quality": estimator.qualities_, "speed": estimator.speeds_}
    _add_neighbours(graph, features, outputs, rows, members, estimator.n_samples_fit_, k, columns)


def convert_queries(graph: Graph, estimator: QueryModelSelector, features: str, outputs: dict[str, str]) -> None:
    """Write the graph of a `QueryModelSelector`; neighbours are (b, k), and their outcomes stand beside the graph."""
    count = estimator.n_samples_fit_
    k = min(estimator.n_neighbors, count)
    members = np.arange(count)[:, None]
    _add_neighbours(graph, features, outputs, Rows(estimator._fit_X), members, count, k, {})
    graph.constant("outcomes", estimator.outcomes_)
    graph.constant("first_row", estimator.first_row_)


def _add_neighbours(
    graph: Graph,
    features: str,
    outputs: dict[str, str],
    rows: Rows,
    members: npt.NDArray[np.int64],
    n_rows: int,
    k: int,
    columns: dict[str, npt.NDArray[Any]],
) -> None:
    """Write the search and what refines it.

    Parameters
    ----------
    members
        Rows of each distinct row, see `group_members`.
    columns
        Outputs that tell of each neighbour -> their values for all rows.
    """
    stored = stored_exactly(graph, "rows", rows.values)
    search = Search(outputs["score"], outputs["candidate"])
    query = graph.unit_length(features) if rows.unit else features
    moved = rows.moved(graph, query)
    smallest_group = int((members < n_rows).sum(axis=1).min())
    kind = graph.option("exact_search", ExactSearch.auto)
    block = add_search(graph, moved, rows.searched(graph, stored), rows, -(-k // min(k, smallest_group)), search, kind)

    refined = graph.branch()
    candidates = refined.node("Slice", search.candidates, *block) if block else search.candidates
    squared = _squared_distances(refined, query, stored, candidates, rows)
    squared, by_row = _expand(refined, squared, candidates, members, n_rows)
    size = refined.constant("k", np.array([k]))
    nearest, ranks = refined.nodes("TopK", [squared, size], 2, axis=1, largest=0, sorted=1)
    neighbours = refined.node("GatherElements", by_row, ranks, axis=1)
    halved = refined.node("Mul", nearest, refined.constant("half", np.array(0.5))) if rows.unit else None
    results = {"row": neighbours, "distance": halved or refined.node("Sqrt", nearest)}
    known = refined.node("Min", neighbours, refined.constant("last_row", np.array(n_rows - 1))) if columns else ""
    for name, values in columns.items():
        results[name] = refined.node("Gather", refined.constant(f"row_{name}", values), known, axis=0)
    results["certified"] = _certified(refined, moved, search, nearest, rows)
    graph.refine(outputs, OUTPUTS, refined, results, search.candidates)


def group_members(
    groups: npt.NDArray[np.int64], k: int, models: npt.NDArray[np.int64] | None = None
) -> npt.NDArray[np.int64]:
    """List the rows of each group: int64, shape (n_groups, g).

    Ascending, the first k (no more can be among the k nearest) and beside them the first row of each model, padded
    with the number of rows.
    """
    order = np.argsort(groups, kind="stable")
    sizes = np.bincount(groups)
    rank = np.arange(len(groups)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    kept = rank < k
    if models is not None:
        kept[np.unique(np.stack([groups, models])[:, order], axis=1, return_index=True)[1]] = True
    place = np.cumsum(kept) - 1
    starts = np.cumsum(sizes) - sizes
    place -= np.repeat(place[starts], sizes)
    members = np.full((len(sizes), int(place.max()) + 1), len(groups), dtype=np.int64)
    members[groups[order][kept], place[kept]] = order[kept]
    return members


def _squared_distances(graph: Graph, query: str, stored: str, candidates: str, rows: Rows) -> str:
    vectors = graph.node("Cast", graph.node("Gather", stored, candidates, axis=0), to=DOUBLE)
    if rows.unit:
        vectors = graph.unit_length(vectors)
    column = graph.node("Unsqueeze", query, graph.constant("candidate_axis", np.array([1])))
    return graph.squared_norm(graph.node("Sub", vectors, column), keepdims=0)


def _expand(
    graph: Graph, squared: str, candidates: str, members: npt.NDArray[np.int64], n_rows: int
) -> tuple[str, str]:
    """Expand groups to rows, in ascending order of row: squared distances and rows, (b, c * g)."""
    flat = graph.constant("flat", np.array([0, -1]))
    rows = graph.node("Gather", graph.constant("members", members), candidates, axis=0)
    # A row whose distance overflows must still come before padding, which sorts after every row.
    padding = graph.node("Equal", rows, graph.constant("no_row", np.array(n_rows)))
    distances = graph.node(
        "Where",
        padding,
        graph.constant("infinity", np.array(np.inf)),
        graph.node("Unsqueeze", squared, graph.constant("member_axis", np.array([2]))),
    )
    distances, rows = (graph.node("Reshape", values, flat) for values in (distances, rows))
    count = graph.node("Shape", rows, start=1)
    by_row, order = graph.nodes("TopK", [rows, count], 2, axis=1, largest=0, sorted=1)
    return graph.node("GatherElements", distances, order, axis=1), by_row


def _certified(graph: Graph, moved: str, search: Search, nearest: str, rows: Rows) -> str:
    """Prove per query, (b, 1), that no row outside the candidates belongs to the k nearest; moved as the rows are."""
    last = graph.constant("last_column", np.array([-1]))
    outside = graph.node("Cast", graph.node("Gather", search.scores, last, axis=1), to=DOUBLE)
    farthest = graph.node("Gather", nearest, last, axis=1)
    # Float64's own roundings, of at most d * 2^-53 each, are covered four times over.
    slack = rows.width * 2.0**-51
    square = rows.factor**2
    q2, down = graph.squared_norm(moved), graph.constant("down", np.array(square * (1 - slack)))
    slope, constant = rows.error()
    error = graph.node(
        "Add",
        graph.node("Mul", q2, graph.constant("error_slope", np.array(slope))),
        graph.constant("error_constant", np.array(constant)),
    )
    lower = graph.node("Sub", graph.node("Add", outside, graph.node("Mul", q2, down)), error)
    upper = graph.node("Mul", farthest, graph.constant("up", np.array(square * (1 + slack))))
    return graph.node("Greater", lower, upper)


EXACT_SEARCH: dict[str, list[str]] = {"exact_search": list(ExactSearch)}
register(KNNModelSelector, OUTPUTS, convert_knn, EXACT_SEARCH)
register(QueryModelSelector, FOUND, convert_queries, EXACT_SEARCH)
