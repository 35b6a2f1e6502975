"""HierShrink in ONNX: the searches for the nearest centroid of each level."""

from modelpick.runtime.schema import Output, Stored, Table

from ...graphs.builder import Graph
from ...graphs.centroids import OUTPUTS as CENTROID_OUTPUTS
from ...graphs.centroids import add_nearest
from .estimators import HierShrinkSelector

OUTPUTS = {Output.COARSE_ESTIMATE: "float", Output.COARSE_CLUSTER: "index", **CENTROID_OUTPUTS}


def add_graph(graph: Graph, estimator: HierShrinkSelector, features: str, outputs: dict[str, str]) -> None:
    """Write the search of `modelpick.converter.graphs.centroids` for each level, and store the tables."""
    refined = graph.branch()
    fine, coarse = (
        add_nearest(graph, refined, features, centroids, stored_as, outputs[estimate], margin_as)
        for centroids, stored_as, estimate, margin_as in (
            (estimator.fine_centroids, Stored.CENTROIDS, Output.ESTIMATE, Table.MARGIN),
            (estimator.coarse_centroids, Stored.COARSE_CENTROIDS, Output.COARSE_ESTIMATE, Table.COARSE_MARGIN),
        )
    )
    results = {
        Output.DISTANCE: fine.distances,
        Output.CLUSTER: fine.cluster,
        Output.COARSE_CLUSTER: coarse.cluster,
    }
    graph.in_float64(outputs, OUTPUTS, refined, results)
    graph.constant(Table.COARSE_MEANS, estimator.coarse_means_)
    graph.constant(Table.FINE_SUMS, estimator.fine_sums_)
    graph.constant(Table.FINE_COUNTS, estimator.fine_counts_)
    graph.constant(Table.LATENCIES, estimator.latencies_)
    graph.stored_exactly(Stored.QUERIES, estimator.queries_)
