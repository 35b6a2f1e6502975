"""Exact nearest rows: a fast search for candidates, then their distances in float64, and a certificate.

::

    features ─┬─ search ─┬─ score (b, c) ─────────────── bound on every other row ─┐
    (b, d)    │          └─ candidate (b, c) ─ If refine                           │
              │                                    │                               │
              └──────── Sub ◄──── Gather rows ◄────┘                               │
                         │                                                         │
                   sum of squares ─ TopK ─ neighbours (b, k) ─ k-th distance ─ certified (b, 1)

Identical embeddings are searched once and expanded to their rows afterwards: ``members`` lists the (at most k) rows of
each distinct embedding. Candidates are put in ascending order of row before the stable TopK by distance, so equal
distances go to the lower row.

`search` ranks by an approximation of ``|x_j|^2 - 2 q.x_j = |q - x_j|^2 - |q|^2`` whose error is at most E, such that no
row outside the candidates scores below the last of them. Queries and rows are moved alike if they lie far from zero,
see `Rows`. Such a row's squared distance is therefore at least
``s_c - E + |q|^2``: where that exceeds the k-th exact one, no such row belongs to the k, and ``certified`` is true.

What a caller may override, by initializers that are inputs as well:

- ``refine`` (bool): false leaves it at the search, and the neighbours are empty. The scores alone prove which rows are
  the k nearest wherever two that follow one another are more than 2 E apart.
- ``known_score`` and ``known_candidate`` (float32 and int64, (b, c)), in the quantised search: what it found before. It
  is skipped then.
- ``candidates``, ``first`` and, in the quantised search, ``kept`` (int64, shape (1,)): where ``certified`` is false,
  more rows are looked at. The k nearest of blocks of candidates, each from ``first`` on, up to one that is certified or
  to the last distinct row, are the answer.
"""

import numpy as np
import numpy.typing as npt

from ..estimators import KNNModelSelector
from .nodes import DOUBLE, Graph, register
from .search import ExactSearch, Rows, Search, add_search
from .stored import stored_exactly

OUTPUTS = {
    "row": "int64",
    "distance": "double",
    "model": "int64",
    "quality": "double",
    "speed": "double",
    "certified": "bool",
    "score": "float",
    "candidate": "int64",
}


def convert_knn(graph: Graph, estimator: KNNModelSelector, features: str, outputs: dict[str, str]) -> None:
    """Write the graph of a `KNNModelSelector`; neighbours are (b, k)."""
    n_rows = estimator.n_samples_fit_
    k = min(estimator.n_neighbors, n_rows)
    members = group_members(estimator.row_groups_, k)
    smallest_group = int((members < n_rows).sum(axis=1).min())
    rows = Rows(estimator._fit_X if len(members) == n_rows else estimator._fit_X[members[:, 0]])
    stored = stored_exactly(graph, "rows", rows.values)
    search = Search(outputs["score"], outputs["candidate"])
    moved = rows.moved(graph, features)
    block = add_search(
        graph,
        moved,
        rows.searched(graph, stored),
        rows,
        -(-k // smallest_group),
        search,
        graph.option("exact_search", ExactSearch.auto),
    )

    refined = graph.branch()
    candidates = refined.node("Slice", search.candidates, *block) if block else search.candidates
    squared = _squared_distances(refined, features, stored, candidates)
    squared, by_row = _expand(refined, squared, candidates, members, n_rows)
    size = refined.constant("k", np.array([k]))
    nearest, ranks = refined.nodes("TopK", [squared, size], 2, axis=1, largest=0, sorted=1)
    neighbours = refined.node("GatherElements", by_row, ranks, axis=1)
    results = {"row": neighbours, "distance": refined.node("Sqrt", nearest)}
    for name, values in (
        ("model", estimator.model_indices_),
        ("quality", estimator.qualities_),
        ("speed", estimator.speeds_),
    ):
        results[name] = refined.node("Gather", refined.constant(f"row_{name}", values), neighbours, axis=0)
    results["certified"] = _certified(refined, moved, search, nearest, rows)
    graph.refine(outputs, OUTPUTS, refined, results, search.candidates)


def group_members(groups: npt.NDArray[np.int64], k: int) -> npt.NDArray[np.int64]:
    """List the rows of each group: int64, shape (n_groups, g).

    Ascending, at most k of them (no more can be among the k nearest), padded with the number of rows.
    """
    order = np.argsort(groups, kind="stable")
    sizes = np.bincount(groups)
    rank = np.arange(len(groups)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    members = np.full((len(sizes), min(k, int(sizes.max()))), len(groups), dtype=np.int64)
    kept = rank < k
    members[groups[order][kept], rank[kept]] = order[kept]
    return members


def _squared_distances(graph: Graph, features: str, stored: str, candidates: str) -> str:
    vectors = graph.node("Cast", graph.node("Gather", stored, candidates, axis=0), to=DOUBLE)
    query = graph.node("Unsqueeze", features, graph.constant("candidate_axis", np.array([1])))
    return graph.squared_norm(graph.node("Sub", vectors, query), keepdims=0)


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


register(KNNModelSelector, OUTPUTS, convert_knn, {"exact_search": list(ExactSearch)})
