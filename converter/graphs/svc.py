"""Comparisons of each two models by a kernel machine, in float64.

::

    features ─ kernel ─ (b, s) ─ Gemm pair coefficients ─ > 0 ─ Gemm ─ score (b, n) ─ ArgMax ─ classifier (b,)

``kernel_i = exp(-gamma |q - sv_i|^2)``, or ``q.sv_i``. A machine for two models i < j is positive where i wins; a
model's score is the number of comparisons it wins, and of equal scores the first wins: the one-vs-one vote of C.-C.
Chang and C.-J. Lin, LIBSVM: A Library for Support Vector Machines, section 7, as scikit-learn's SVC.predict holds it.
"""

import numpy as np

from ..estimators import SVCModelSelector
from .builder import DOUBLE, Graph, register
from .stored import stored_exactly

OUTPUTS = {"score": "double", "classifier": "index"}


def convert_svc(graph: Graph, estimator: SVCModelSelector, features: str, outputs: dict[str, str]) -> None:
    """Write the graph of an `SVCModelSelector`."""
    vectors = graph.node("Cast", stored_exactly(graph, "support_vectors", estimator.support_vectors_), to=DOUBLE)
    if estimator.kernel == "rbf":
        column = graph.node("Unsqueeze", features, graph.constant("vector_axis", np.array([1])))
        squares = graph.squared_norm(graph.node("Sub", vectors, column), keepdims=0)
        kernel = graph.node(
            "Exp", graph.node("Mul", squares, graph.constant("minus_gamma", np.array(-estimator.gamma)))
        )
    else:
        kernel = graph.node("Gemm", features, vectors, transB=1)
    coefficients, intercepts = (
        graph.constant("pair_coef", estimator.pair_coef_),
        graph.constant("pair_intercept", estimator._intercept_),
    )
    pairs = graph.node("Gemm", kernel, coefficients, intercepts, transB=1)
    won = graph.node("Cast", graph.node("Greater", pairs, graph.constant("zero", np.array(0.0))), to=DOUBLE)
    n = len(estimator.classes_)
    first, second = (np.eye(n)[models] for models in np.triu_indices(n, 1))
    wins, losses = graph.constant("wins", first - second), graph.constant("losses", second.sum(axis=0))
    graph.output(outputs["score"], "Gemm", won, wins, losses)
    graph.output(outputs["classifier"], "ArgMax", outputs["score"], axis=1, keepdims=0)


register(SVCModelSelector, OUTPUTS, convert_svc)
