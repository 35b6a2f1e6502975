"""The nearest centroid: a float32 search that mostly proves it, and distances to all centroids in float64.

::

    features ─┬─ Gemm f32 ─ TopK 2 ─┬─ candidate (b,)
    (b, d)    │                     └─ gap > 2 E ─ certain (b,)
              │
              └─ If refine: Sub centroids (c, d) ─ sum of squares ─ Sqrt ─┬─ distance (b, c)
                                                                          └─ ArgMin ─ cluster (b,)

``distance_j = sqrt(sum_i (q_i - c_ji)^2)``; unlike the expanded square of the search, see `search`, the difference
gives equidistant centroids equal distances. ArgMin takes the first. What the search's error E leaves open is for the
caller to refine: overriding ``refine`` with false leaves it at the search.
"""

import numpy as np

from ..estimators import KMeansModelSelector, row_groups
from .builder import DOUBLE, Graph, register
from .exact_search import Rows, float32_scores
from .stored import stored_exactly

OUTPUTS = {"distance": "double", "cluster": "index", "candidate": "index", "certain": "flag"}


def convert_kmeans(graph: Graph, estimator: KMeansModelSelector, features: str, outputs: dict[str, str]) -> None:
    """Write the graph of a `KMeansModelSelector`."""
    rows = Rows(np.asarray(estimator.cluster_centers_, dtype=np.float64))
    stored = stored_exactly(graph, "centroids", rows.values)
    refined = graph.branch()
    # Sums of the same squares may differ in their last bits: identical centroids are measured once.
    groups = row_groups(rows.values)
    first = np.unique(groups, return_index=True)[1]
    centroids = refined.node("Gather", stored, refined.constant("distinct", first), axis=0)
    query = refined.node("Unsqueeze", features, refined.constant("cluster_axis", np.array([1])))
    differences = refined.node("Sub", query, refined.node("Cast", centroids, to=DOUBLE))
    distances = refined.node("Sqrt", refined.squared_norm(differences, keepdims=0))
    distances = refined.node("Gather", distances, refined.constant("groups", groups), axis=1)
    results = {"distance": distances, "cluster": refined.node("ArgMin", distances, axis=1, keepdims=0)}

    slope, constant = rows.error()
    moved = rows.moved(graph, features)
    squared = graph.squared_norm(moved, keepdims=0)
    error = graph.node(
        "Add",
        graph.node("Mul", squared, graph.constant("error_slope", np.array(2.0 * slope))),
        graph.constant("error_constant", np.array(2.0 * constant)),
    )
    graph.settle(float32_scores(graph, moved, rows.searched(graph, stored), rows), rows.count, 0, error, outputs)
    graph.refine(outputs, OUTPUTS, refined, results, outputs["certain"])


register(KMeansModelSelector, OUTPUTS, convert_kmeans)
