"""Exact nearest rows: a float32 search for candidates, float64 distances, and a certificate.

::

    features ──────────────┬─ Cast f32 ─ Gemm ─ TopK ── candidates (b, m) ─┐
    (b, d) f64             │            rows, norms                        │
                           └──────── Sub ── Mul ── ReduceSum ◄─ Gather ◄───┤
                                                     │                     │
                              squared distances (b, m)        members (b, m, g)
                                                     └──── TopK by row ────┘
                                                               │
                                                     TopK by distance ── neighbours (b, k)

Identical embeddings are searched once and expanded to their rows afterwards: ``members`` lists the
(at most k) rows of each distinct embedding. Sorting by row before the stable TopK by distance gives equal
distances to the lower row.

The search ranks by ``s_j = |x_j|^2 - 2 q.x_j = |q - x_j|^2 - |q|^2`` in float32. Whatever the order of
summation, its error is at most ``E = gamma_n (2 |q| |x_j| + |x_j|^2)``, where ``gamma_n = n u / (1 - n u)``,
``u = 2^-24``, and n is the number of roundings on the longest path (N. Higham, Accuracy and Stability of
Numerical Algorithms, 2nd ed., section 3.1, with Cauchy-Schwarz for ``sum |q_i x_i|``). A row outside the m
candidates therefore has ``s >= s_m - E``: where that exceeds the k-th exact distance, no such row belongs to
the k, and ``certified`` is true. Where it is false the caller asks for more candidates: the initializer
``candidates`` (int64, shape (1,)) is their number, and with all rows the answer is exact by itself.
"""

import numpy as np
import numpy.typing as npt

from ..estimators import KNNModelSelector
from .nodes import DOUBLE, FLOAT, Graph, register
from .stored import stored_exactly

# More candidates than neighbours, so that float32's errors near the k-th distance are rarely felt.
SPARE_CANDIDATES = 16
# Roundings beside the d products and sums: casting both vectors, the norm, the last additions.
EXTRA_ROUNDINGS = 8
LARGEST_SCORE = 1e37

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
    rows = np.asarray(estimator._fit_X, dtype=np.float64)
    k = min(estimator.n_neighbors, len(rows))
    distinct, members = distinct_rows(rows, k)
    exact = stored_exactly(graph, "rows", distinct)
    count = min(k + SPARE_CANDIDATES, len(distinct))
    candidates = graph.constant("candidates", np.array([count]))

    scale, q_norm, q2 = _scale(graph, features, distinct)
    scaled = graph.node("Cast", graph.node("Mul", features, scale), to=FLOAT)
    factor = _row_scale(distinct)
    scores = graph.node(
        "Gemm",
        scaled,
        graph.constant("search_rows", (distinct * factor).astype(np.float32))
        if factor != 1.0
        else graph.node("Cast", exact, to=FLOAT),
        graph.constant("search_norms", _squared_norms(distinct * factor).astype(np.float32)),
        alpha=-2.0,
        transB=1,
    )
    bounds, found = graph.nodes("TopK", [scores, candidates], 2, axis=1, largest=0, sorted=1)

    gathered = graph.node("Cast", graph.node("Gather", exact, found, axis=0), to=DOUBLE)
    axis = graph.constant("candidate_axis", np.array([1]))
    differences = graph.node("Sub", gathered, graph.node("Unsqueeze", features, axis))
    squared = graph.squared_norm(differences)
    near = _neighbours(graph, found, squared, members, len(rows), k)
    distances, neighbours = near

    graph.output(outputs["row"], "Identity", neighbours)
    graph.output(outputs["distance"], "Sqrt", distances)
    for name, values in (
        ("model", estimator.model_indices_),
        ("quality", estimator.qualities_),
        ("speed", estimator.speeds_),
    ):
        graph.output(outputs[name], "Gather", graph.constant(f"row_{name}", values), neighbours, axis=0)
    certified = _certificate(graph, distinct, bounds, distances, q_norm, q2, scale)
    everything = graph.node("Equal", candidates, graph.constant("all_rows", np.array([len(distinct)])))
    graph.output(outputs["certified"], "Or", certified, everything)


def distinct_rows(
    rows: npt.NDArray[np.float64], k: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Group identical rows.

    Returns
    -------
    distinct
        The distinct rows in order of their first appearance, shape (u, d).
    members
        Row numbers of each, ascending, at most k of them (no more can be among the k nearest),
        padded with n; int64, shape (u, g).
    """
    first: dict[bytes, int] = {}
    # Adding 0.0 makes -0.0 and 0.0, which are equal, the same bytes.
    group = np.array([first.setdefault((row + 0.0).tobytes(), len(first)) for row in rows])
    order = np.argsort(group, kind="stable")
    sizes = np.bincount(group)
    rank = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    members = np.full((len(sizes), min(k, int(sizes.max()))), len(rows), dtype=np.int64)
    kept = rank < k
    members[group[order][kept], rank[kept]] = order[kept]
    return rows[members[:, 0]], members


def _squared_norms(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    norms: npt.NDArray[np.float64] = np.einsum("ij,ij->i", rows, rows)
    return norms


def _row_scale(rows: npt.NDArray[np.float64]) -> float:
    """Give the power of two that brings rows too large to square in float32 below 1, else 1."""
    largest = float(np.abs(rows).max())
    return 1.0 if largest < 1e12 else float(2.0 ** -np.ceil(np.log2(largest)))


def _scale(graph: Graph, features: str, rows: npt.NDArray[np.float64]) -> tuple[str, str, str]:
    """Give the factor that keeps float32 scores finite, the query's norm and its squared norm.

    The factor is that of the rows, and less only for a query so long that its scores would overflow.
    """
    factor = _row_scale(rows)
    longest = float(np.sqrt(_squared_norms(rows * factor).max()))
    limit = graph.constant("longest_query", np.array(LARGEST_SCORE / max(longest, 1.0)))
    one = graph.constant("row_scale", np.array(factor))
    q2 = graph.squared_norm(features)
    norm = graph.node("Sqrt", q2)
    return graph.node("Min", one, graph.node("Div", limit, norm)), norm, q2


def _neighbours(
    graph: Graph,
    found: str,
    squared: str,
    members: npt.NDArray[np.int64],
    n_rows: int,
    k: int,
) -> tuple[str, str]:
    """Expand candidates to rows, and take k by (distance, row): squared distances and rows, (b, k)."""
    flat = graph.constant("flat", np.array([0, -1]))
    rows = graph.node("Gather", graph.constant("members", members), found, axis=0)
    padding = graph.node("Equal", rows, graph.constant("no_row", np.array(n_rows)))
    infinity = graph.constant("infinity", np.array(np.inf))
    # A row whose distance overflows must still come before padding, which sorts after every row.
    distances = graph.node("Reshape", graph.node("Where", padding, infinity, squared), flat)
    rows = graph.node("Reshape", rows, flat)
    last = graph.constant("last", np.array([-1]))
    size = graph.node("Gather", graph.node("Shape", rows), last, axis=0)
    by_row, order = graph.nodes("TopK", [rows, size], 2, axis=1, largest=0, sorted=1)
    by_row_distances = graph.node("GatherElements", distances, order, axis=1)
    count = graph.constant("k", np.array([k]))
    nearest, ranks = graph.nodes("TopK", [by_row_distances, count], 2, axis=1, largest=0, sorted=1)
    return nearest, graph.node("GatherElements", by_row, ranks, axis=1)


def _certificate(
    graph: Graph,
    rows: npt.NDArray[np.float64],
    bounds: str,
    distances: str,
    q_norm: str,
    q2: str,
    scale: str,
) -> str:
    """Prove per query, (b, 1), that no row outside the candidates belongs to the k nearest."""
    n = rows.shape[1] + EXTRA_ROUNDINGS
    gamma = n * 2.0**-24 / (1 - n * 2.0**-24)
    factor = _row_scale(rows)
    longest = float(np.sqrt(_squared_norms(rows * factor).max()))
    # Products below float32's normal range lose absolute, not relative, accuracy.
    underflow = n * 2.0**-125 * (1 + longest)
    last = graph.constant("last_column", np.array([-1]))
    nearest_outside = graph.node("Cast", graph.node("Gather", bounds, last, axis=1), to=DOUBLE)
    farthest = graph.node("Gather", distances, last, axis=1)
    q_error = graph.node("Mul", q_norm, graph.constant("q_error", np.array(2 * gamma * longest * factor)))
    error = graph.node("Add", q_error, graph.constant("error", np.array(gamma * longest**2 + underflow)))
    lower = graph.node("Sub", nearest_outside, error)
    rounding = graph.constant("up", np.array((1 + n * 2.0**-51) * factor**2))
    down = graph.constant("down", np.array((1 - n * 2.0**-51) * factor**2))
    upper = graph.node("Sub", graph.node("Mul", farthest, rounding), graph.node("Mul", q2, down))
    unscaled = graph.node("Equal", scale, graph.constant("unscaled", np.array(factor)))
    return graph.node("And", graph.node("Greater", lower, upper), unscaled)


register(KNNModelSelector, OUTPUTS, convert_knn)
