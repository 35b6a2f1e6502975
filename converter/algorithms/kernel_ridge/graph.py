"""The graph of kernel ridge regression: in float32 if that decides, else in float64."""

import numpy as np

from modelpick.runtime.schema import Output, Table

from ...graphs.builder import DOUBLE, FLOAT, Graph
from ...graphs.kernel import (
    can_expand,
    error_shares,
    exponents_by_differences,
    exponents_of_directions,
    nearest_distance,
    of_directions,
    stored_support_vectors,
)
from ...graphs.unit_length import add_directions
from .estimators import KernelRidgeModelSelector

_OUTPUTS = {Output.PREDICTION: "double", Output.PREDICTION_ERROR: "double", Output.OUTCOME: "double"}


def outputs_of(estimator: KernelRidgeModelSelector) -> dict[str, str]:
    """Return the outputs of a graph, and their types; a kernel of gamma 0 tells no distance."""
    return _OUTPUTS | ({Output.DISTANCE: "double"} if estimator.gamma > 0 else {})


def add_graph(graph: Graph, estimator: KernelRidgeModelSelector, features: str, outputs: dict[str, str]) -> None:
    """Write one Gemm for all support vectors, and one for all outcomes of all models.

    ::

        features ─ Div ─┬─ Gemm f32 ─ Mul ─ Add ─ Max 0 ─┬─ Exp ─┬─ Gemm dual_coef ─ prediction (b, n_kinds m)
        (b, d)          │  support vectors               │       └─ MatMul bounds ─ prediction_error (b, n_kinds)
                        │                                └─ ReduceMax ─ distance (b, 1), to the nearest one
                        └─ If refine: the same in float64 ───────── Gemm dual_coef ─ outcome (b, n_kinds m)

    The products with the support vectors are first computed in float32. The error of each kernel is a share of its
    value, see `modelpick.converter.graphs.kernel`; the error of a prediction is the sum of these errors, weighted by
    the largest ``|dual_coef|`` of any model. Where gamma is so large that cancellation in the expanded square could be
    seen, everything is computed in float64 from the differences, and the bound on the error is 0.
    """
    query, vectors = add_directions(graph, features), estimator.support_vectors_
    gammas = np.full(len(vectors), float(estimator.gamma))
    support = stored_support_vectors(graph, vectors, gammas)
    dual_coef = graph.constant(Table.DUAL_COEF, estimator.dual_coef_.reshape(len(vectors), -1))
    intercept = graph.constant("intercept", estimator.intercept_.ravel())
    refined = graph.branch()
    largest = np.abs(estimator.dual_coef_).max(axis=2)
    if expands(estimator):
        exponents = exponents_of_directions(graph, query, support, FLOAT)
        exact = refined.node("Gemm", of_directions(refined, query, support, DOUBLE), dual_coef, intercept)
        bounds = largest * error_shares(vectors, gammas)[:, None]
    else:
        exponents = exponents_by_differences(graph, query.product(graph), support)
        exact, bounds = "", np.zeros_like(largest)
    kernel = graph.node("Exp", exponents)
    if Output.DISTANCE in outputs:
        nearest = nearest_distance(graph, exponents, float(estimator.gamma))
        graph.output(outputs[Output.DISTANCE], "Identity", nearest)
    graph.output(outputs[Output.PREDICTION], "Gemm", kernel, dual_coef, intercept)
    graph.output(outputs[Output.PREDICTION_ERROR], "MatMul", kernel, graph.constant("dual_coef_error", bounds))
    exact = exact or refined.node("Identity", outputs[Output.PREDICTION])
    graph.in_float64(outputs, _OUTPUTS, refined, {Output.OUTCOME: exact})
    graph.constant(Table.MEAN_OUTCOMES, estimator.intercept_)


def expands(estimator: KernelRidgeModelSelector) -> bool:
    """Return whether squares are expanded, as they are if cancellation cannot be seen in the predictions."""
    return can_expand(float(estimator.gamma), float(np.linalg.norm(estimator.support_vectors_, axis=1).max()))
