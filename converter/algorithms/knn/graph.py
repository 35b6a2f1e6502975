"""KNN in ONNX: the search for the nearest rows, and the columns of each."""

import numpy as np

from modelpick.runtime.schema import Output, Table

from ...formats.distinct import taken
from ...graphs import neighbours as graph_of
from ...graphs.builder import Graph
from ...graphs.rows import Rows
from .estimators import KNNModelSelector, OutcomeModelSelector

OUTPUTS = graph_of.OUTPUTS | {Output.MODEL: "int64", Output.QUALITY: "double", Output.SPEED: "double"}


def add_rows(graph: Graph, estimator: KNNModelSelector, features: str, outputs: dict[str, str]) -> None:
    """Write the graph of `modelpick.converter.graphs.neighbours`, and the vote of each neighbour.

    ::

        features ─ nearest rows ─ row (b, k) ─┬─ Gather ─ model (b, k)
        (b, d)                                ├─ Gather ─ quality (b, k)
                                              └─ Gather ─ speed (b, k)
    """
    k = min(estimator.n_neighbors, estimator.n_samples_fit_)
    members = graph_of.group_members(estimator.row_groups_, k, estimator.model_indices_)
    values = taken(estimator.embeddings_, members[:, 0])
    graph_of.check_size(values, estimator.ranking)
    columns = {
        Output.MODEL: graph_of.Column(Table.ROW_MODEL, estimator.model_indices_, OUTPUTS[Output.MODEL]),
        Output.QUALITY: graph_of.Column(Table.ROW_QUALITY, estimator.qualities_, OUTPUTS[Output.QUALITY]),
        Output.SPEED: graph_of.Column(Table.ROW_SPEED, estimator.speeds_, OUTPUTS[Output.SPEED]),
    }
    rows = Rows(values, estimator.ranking)
    graph_of.add_neighbours(graph, features, outputs, rows, members, estimator.n_samples_fit_, k, columns)


def add_queries(graph: Graph, estimator: OutcomeModelSelector, features: str, outputs: dict[str, str]) -> None:
    """Write the graph of `modelpick.converter.graphs.neighbours`, and store the queries' outcomes."""
    count = estimator.n_samples_fit_
    k = min(estimator.n_neighbors, count)
    graph_of.check_size(estimator.embeddings_, estimator.ranking)
    members, rows = np.arange(count)[:, None], Rows(estimator.embeddings_, estimator.ranking)
    graph_of.add_neighbours(graph, features, outputs, rows, members, count, k, {})
    graph.constant(Table.OUTCOMES, estimator.outcomes_)
    graph.constant(Table.FIRST_ROW, estimator.first_row_)
