"""The graph of a neural network: in float32 if that decides, else in float64."""

import numpy as np

from modelpick.runtime.schema import Output, Table

from ...graphs.builder import DOUBLE, FLOAT, Graph
from ...graphs.margins import needed_margin
from .estimators import MLPModelSelector

# Values that differ by more than this have different softmax probabilities in float64.
DISTINCT = 1e-12
OUTPUTS = {Output.SCORE: "double", Output.CLASSIFIER: "index", Output.ESTIMATE: "float"}


def add_graph(graph: Graph, estimator: MLPModelSelector, features: str, outputs: dict[str, str]) -> None:
    """Write a chain of dense layers, in float32 where that decides, else in float64.

    ::

        features ─┬─ Cast f32 ─ Gemm ─ Relu ─ ... ─ Gemm ─ estimate (b, n_models)
        (b, d)    │
                  └─ If refine: Gemm ─ Relu ─ ... ─ Gemm ─ Softmax ─┬─ score (b, n_models)
                                                                    └─ ArgMax ─ classifier (b,)

    ``softmax(W_n relu(... relu(W_1 x + b_1) ...) + b_n)``: batch normalisation was folded into the layers when the
    file was read. ArgMax takes the last. The softmax keeps the order of its inputs, which are estimated in float32. The
    caller refines queries that the margin of the best does not prove, see `modelpick.converter.graphs.margins`.
    """
    layers = list(zip(estimator.coefs_, estimator.intercepts_, strict=True))
    stored = [graph.stored_exactly(Table.LAYER, weights) for weights in estimator.coefs_]
    narrow = graph.node("Cast", features, to=FLOAT)
    for index, (name, (_, bias)) in enumerate(zip(stored, layers, strict=True)):
        parts = narrow, graph.node("Cast", name, to=FLOAT), graph.in_float32("search_bias", bias)
        if index + 1 < len(layers):
            narrow = graph.node("Relu", graph.node("Gemm", *parts))
        else:
            graph.output(outputs[Output.ESTIMATE], "Gemm", *parts)
    needed = needed_margin([(weights.T, bias) for weights, bias in layers])
    needed = needed._replace(constant=needed.constant + DISTINCT)
    graph.constant(Table.MARGIN, np.array(needed))

    refined, values = graph.branch(), features
    for index, (name, (_, bias)) in enumerate(zip(stored, layers, strict=True)):
        if index:
            values = refined.node("Relu", values)
        values = refined.node("Gemm", values, refined.node("Cast", name, to=DOUBLE), refined.constant(Table.BIAS, bias))
    scores = refined.node("Softmax", values, axis=1)
    classifier = refined.node("ArgMax", scores, axis=1, keepdims=0, select_last_index=1)
    graph.in_float64(outputs, OUTPUTS, refined, {Output.SCORE: scores, Output.CLASSIFIER: classifier})
