"""Exact nearest rows: a fast search for candidates, their distances in float64, and a certificate.

::

    features ─────────┬─ search ─ TopK ─┬─ candidates (b, m), by row
    (b, d) f64        │                 └──────────────────────────┐
                      └─ Sub ◄─ Gather rows ◄─ candidates          │ bound on every other row
                          │                                        │
                      ReduceSumSquare ─ squared distances (b, m)   │
                          │                                        │
                      TopK ─ neighbours (b, k) ─ k-th distance ─ Greater ─ certified (b, 1)

Identical embeddings are searched once and expanded to their rows afterwards: ``members`` lists the
(at most k) rows of each distinct embedding. Candidates stand in ascending order of row before the stable TopK
by distance, so equal distances go to the lower row.

The search ranks by an approximation of ``|x_j|^2 - 2 q.x_j = |q - x_j|^2 - |q|^2`` with a known error bound E,
see `search`. A row outside the m candidates scores at least as high as the last of them, so its squared distance
is at least ``s_m - E + |q|^2``: where that exceeds the k-th exact one, no such row belongs to the k, and
``certified`` is true. Where it is false the caller looks at more candidates, by overriding two initializers,
int64 of shape (1,): of the ``candidates`` best scores those from ``first`` on are looked at. The k nearest of all
blocks up to one that is certified, or of all distinct rows, are the answer.
"""

import numpy as np
import numpy.typing as npt

from ..estimators import KNNModelSelector
from .nodes import DOUBLE, Graph, register
from .search import Search, plain_search
from .stored import stored_exactly

# More candidates than needed, so that the search's errors near the k-th distance are rarely felt.
SPARE_CANDIDATES = 8

OUTPUTS = {
    "row": "int64",
    "distance": "double",
    "model": "int64",
    "quality": "double",
    "speed": "double",
    "certified": "bool",
}


def convert_knn(graph: Graph, estimator: KNNModelSelector, features: str, outputs: dict[str, str]) -> None:
    """Write the graph of a `KNNModelSelector`; outputs are (b, k), ``certified`` is (b, 1)."""
    k = min(estimator.n_neighbors, estimator.n_samples_fit_)
    members = group_members(estimator.row_groups_, k)
    distinct = np.asarray(estimator._fit_X, dtype=np.float64)[members[:, 0]]
    smallest_group = int((members < estimator.n_samples_fit_).sum(axis=1).min())
    enough = -(-k // smallest_group) + SPARE_CANDIDATES
    candidates = graph.constant("candidates", np.array([min(enough, len(distinct))]))

    first = graph.constant("first", np.array([0]))
    everything = graph.constant("everything", np.array([len(distinct)]))
    columns = graph.constant("columns", np.array([1]))

    exact = stored_exactly(graph, "rows", distinct)
    q2 = graph.squared_norm(features)
    search = plain_search(graph, features, q2, exact, distinct)
    scores, found = graph.nodes("TopK", [search.scores, candidates], 2, axis=1, largest=0, sorted=1)
    found, _ = _ascending(graph, graph.node("Slice", found, first, everything, columns))
    vectors = graph.node("Cast", graph.node("Gather", exact, found, axis=0), to=DOUBLE)
    query = graph.node("Unsqueeze", features, columns)
    squared = graph.squared_norm(graph.node("Sub", vectors, query), keepdims=0)
    if members.shape[1] > 1:
        squared, found = _expand(graph, squared, found, members, estimator.n_samples_fit_)
    nearest, ranks = graph.nodes("TopK", [squared, graph.constant("k", np.array([k]))], 2, axis=1, largest=0, sorted=1)
    neighbours = graph.node("GatherElements", found, ranks, axis=1)

    graph.output(outputs["row"], "Identity", neighbours)
    graph.output(outputs["distance"], "Sqrt", nearest)
    for name, values in (
        ("model", estimator.model_indices_),
        ("quality", estimator.qualities_),
        ("speed", estimator.speeds_),
    ):
        graph.output(outputs[name], "Gather", graph.constant(f"row_{name}", values), neighbours, axis=0)
    _certify(graph, search, scores, nearest, q2, outputs["certified"])


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


def _expand(graph: Graph, squared: str, found: str, members: npt.NDArray[np.int64], n_rows: int) -> tuple[str, str]:
    """Expand groups to rows, in ascending order of row: squared distances and rows, (b, m * g)."""
    flat = graph.constant("flat", np.array([0, -1]))
    rows = graph.node("Gather", graph.constant("members", members), found, axis=0)
    # A row whose distance overflows must still come before padding, which sorts after every row.
    padding = graph.node("Equal", rows, graph.constant("no_row", np.array(n_rows)))
    member_axis = graph.constant("member_axis", np.array([2]))
    distances = graph.node(
        "Where",
        padding,
        graph.constant("infinity", np.array(np.inf)),
        graph.node("Unsqueeze", squared, member_axis),
    )
    distances, rows = (graph.node("Reshape", values, flat) for values in (distances, rows))
    by_row, order = _ascending(graph, rows)
    return graph.node("GatherElements", distances, order, axis=1), by_row


def _ascending(graph: Graph, values: str) -> list[str]:
    """Sort along the columns: values and places, both of the shape of ``values``."""
    count = graph.node("Shape", values, start=1)
    return graph.nodes("TopK", [values, count], 2, axis=1, largest=0, sorted=1)


def _certify(graph: Graph, search: Search, scores: str, nearest: str, q2: str, output: str) -> None:
    """Prove per query, (b, 1), that no row outside the candidates belongs to the k nearest."""
    last = graph.constant("last_column", np.array([-1]))
    outside = graph.node("Cast", graph.node("Gather", scores, last, axis=1), to=DOUBLE)
    farthest = graph.node("Gather", nearest, last, axis=1)
    lower = graph.node("Add", outside, search.offset)
    upper = graph.node("Mul", farthest, search.distance_factor)
    graph.output(output, "Greater", lower, upper)


register(KNNModelSelector, OUTPUTS, convert_knn)
