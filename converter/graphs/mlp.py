"""A chain of dense layers, in float64.

::

    features ─ Gemm ─ Relu ─ ... ─ Gemm ─ Softmax ─┬─ scores (b, n_models)
    (b, d)                                         └─ ArgMax ─ classifier (b,)

``softmax(W_n relu(... relu(W_1 x + b_1) ...) + b_n)``: batch normalisation was folded into the layers when the
estimator was built.
"""

from ..estimators import MLPModelSelector
from .builder import DOUBLE, Graph, register
from .stored import stored_exactly


def convert_mlp(graph: Graph, estimator: MLPModelSelector, features: str, outputs: dict[str, str]) -> None:
    """Write the graph of an `MLPModelSelector`."""
    values = features
    for index, (weights, bias) in enumerate(zip(estimator.coefs_, estimator.intercepts_, strict=True)):
        if index:
            values = graph.node("Relu", values)
        stored = graph.node("Cast", stored_exactly(graph, "layer", weights), to=DOUBLE)
        values = graph.node("Gemm", values, stored, graph.constant("bias", bias))
    graph.output(outputs["score"], "Softmax", values, axis=1)
    graph.output(outputs["classifier"], "ArgMax", outputs["score"], axis=1, keepdims=0)


register(MLPModelSelector, {"score": "double", "classifier": "index"}, convert_mlp)
