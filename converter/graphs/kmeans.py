"""Distances to all centroids, in float64.

::

    features (b, d) ─ Unsqueeze ─ Sub ─ sum of squares ─ Sqrt ─┬─ distances (b, c)
                             centroids (c, d)                   └─ ArgMin ─ cluster (b,)

``distance_j = sqrt(sum_i (q_i - c_ji)^2)``; centroids are few, so the plain difference costs
little and, unlike the expanded square, gives equidistant centroids equal distances. ArgMin takes the first.
"""

import numpy as np

from ..estimators import KMeansModelSelector
from .nodes import DOUBLE, Graph, register
from .stored import stored_exactly


def convert_kmeans(graph: Graph, estimator: KMeansModelSelector, features: str, outputs: dict[str, str]) -> None:
    """Write the graph of a `KMeansModelSelector`."""
    centroids = graph.node("Cast", stored_exactly(graph, "centroids", estimator.cluster_centers_), to=DOUBLE)
    query = graph.node("Unsqueeze", features, graph.constant("cluster_axis", np.array([1])))
    distances = graph.node("Sqrt", graph.squared_norm(graph.node("Sub", query, centroids), keepdims=0))
    graph.output(outputs["distance"], "Identity", distances)
    graph.output(outputs["cluster"], "ArgMin", distances, axis=1, keepdims=0)


register(KMeansModelSelector, {"distance": "double", "cluster": "int64"}, convert_kmeans)
