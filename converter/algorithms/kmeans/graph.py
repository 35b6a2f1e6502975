"""KMeans in ONNX: the search for the nearest centroid."""

from sklearn.cluster import KMeans

from modelpick.runtime.schema import Output, Stored, Table

from ...graphs.builder import Graph
from ...graphs.centroids import OUTPUTS, add_nearest
from .estimators import ClusterScoreSelector


def add_graph(graph: Graph, estimator: KMeans, features: str, outputs: dict[str, str]) -> None:
    """Write the search of `add_nearest`, and its outputs."""
    refined = graph.branch()
    centers, estimate = estimator.cluster_centers_, outputs[Output.ESTIMATE]
    nearest = add_nearest(graph, refined, features, centers, Stored.CENTROIDS, estimate, Table.MARGIN)
    results = {Output.DISTANCE: nearest.distances, Output.CLUSTER: nearest.cluster}
    graph.in_float64(outputs, OUTPUTS, refined, results)


def add_scores(graph: Graph, estimator: ClusterScoreSelector, features: str, outputs: dict[str, str]) -> None:
    """Write the search of `add_nearest`, and store the scores."""
    add_graph(graph, estimator, features, outputs)
    graph.constant(Table.SCORES, estimator.scores_)
    graph.constant(Table.SUPPORT, estimator.support_)
