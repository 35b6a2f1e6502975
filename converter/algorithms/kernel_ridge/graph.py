"""The graph of kernel ridge regression: in float32 if that decides, else in float64."""

import numpy as np

from modelpick.runtime.decision.outcomes import QUALITY
from modelpick.runtime.schema import Output, Table

from ...graphs.builder import DOUBLE, FLOAT, Graph
from ...graphs.kernel import (
    BOUND_SLACK,
    can_expand,
    error_shares,
    exponents_by_differences,
    exponents_of_directions,
    nearest_distance,
    of_directions,
    stored_support_vectors,
)
from ...graphs.unit_length import add_directions
from ..base import Matrix
from .estimators import KernelRidgeModelSelector

# Each of two sums in float64, by the search and without it, has roundings of half of this a term and a model.
ROUNDINGS = 4.0 * 2.0**-53
# Least half range of qualities' coefficients, as a share of the largest of them: it covers roundings in float64.
LEAST_HALF = 2.0**-16
_OUTPUTS = {Output.PREDICTION: "double", Output.PREDICTION_ERROR: "double", Output.OUTCOME: "double"}


def outputs_of(estimator: KernelRidgeModelSelector) -> dict[str, str]:
    """Return the outputs of a graph, and their types; a kernel of gamma 0 tells no distance."""
    return _OUTPUTS | ({Output.DISTANCE: "double"} if estimator.gamma > 0 else {})


def add_graph(graph: Graph, estimator: KernelRidgeModelSelector, features: str, outputs: dict[str, str]) -> None:
    """Write one Gemm for all support vectors, and one for all outcomes of all models.

    ::

        features ─ Div ─┬─ Gemm f32 ─ Mul ─ Add ─ Max 0 ─┬─ Exp ─┬─ Gemm dual_coef ─ prediction (b, n_kinds m)
        (b, d)          │  support vectors               │       └─ MatMul bounds ─ prediction_error (b, n_kinds + 1)
                        │                                └─ ReduceMax ─ distance (b, 1), to the nearest one
                        └─ If refine: the same in float64 ───────── Gemm dual_coef ─ outcome (b, n_kinds m)

    The products with the support vectors are first computed in float32. The error of each kernel is a share of its
    value, see `modelpick.converter.graphs.kernel`; the error of a prediction is the sum of these errors, weighted by
    the largest ``|dual_coef|`` of any model. Of qualities, what all models have in common errs alike: half of the range
    of the coefficients bounds half the error of a difference. `difference_errors` bounds the error of the difference
    between two models, which is far smaller where they have nearly equal coefficients. Where gamma is so large that
    cancellation in the expanded square could be seen, everything is computed in float64 from the differences, and the
    bound on the error is 0.
    """
    query, vectors = add_directions(graph, features), estimator.support_vectors_
    gammas = np.full(len(vectors), float(estimator.gamma))
    support = stored_support_vectors(graph, vectors, gammas)
    dual_coef = graph.constant(Table.DUAL_COEF, estimator.dual_coef_.reshape(len(vectors), -1))
    intercept = graph.constant("intercept", estimator.intercept_.ravel())
    refined = graph.branch()
    largest, of_quality = np.abs(estimator.dual_coef_).max(axis=2), estimator.dual_coef_[:, QUALITY]
    half = np.maximum((of_quality.max(axis=1) - of_quality.min(axis=1)) / 2.0, LEAST_HALF * largest[:, QUALITY])
    weights = np.column_stack([largest, half])
    if expands(estimator):
        exponents = exponents_of_directions(graph, query, support, FLOAT)
        exact = refined.node("Gemm", of_directions(refined, query, support, DOUBLE), dual_coef, intercept)
        shares = error_shares(vectors, gammas)
        bounds = weights * shares[:, None]
        graph.constant(Table.DIFFERENCE_ERROR, difference_errors(estimator.dual_coef_, shares))
    else:
        exponents = exponents_by_differences(graph, query.product(graph), support)
        exact, bounds = "", np.zeros_like(weights)
    kernel = graph.node("Exp", exponents)
    if Output.DISTANCE in outputs:
        nearest = nearest_distance(graph, exponents, float(estimator.gamma))
        graph.output(outputs[Output.DISTANCE], "Identity", nearest)
    graph.output(outputs[Output.PREDICTION], "Gemm", kernel, dual_coef, intercept)
    graph.output(outputs[Output.PREDICTION_ERROR], "MatMul", kernel, graph.constant("dual_coef_error", bounds))
    exact = exact or refined.node("Identity", outputs[Output.PREDICTION])
    graph.in_float64(outputs, _OUTPUTS, refined, {Output.OUTCOME: exact})
    graph.constant(Table.MEAN_OUTCOMES, estimator.intercept_)


def difference_errors(dual_coef: Matrix, shares: Matrix) -> Matrix:
    """Return `Table.DIFFERENCE_ERROR`, (n_kinds, n_models, n_models).

    With kernels K of at most 1 whose relative errors are at most e, the error of the difference between the predictions
    of models i and j is at most ``sum K e |a_i - a_j|``. By the inequality of Cauchy and Schwarz, that is at most
    ``sqrt(sum K e M) sqrt(sum e (a_i - a_j)^2 / M)``, where M is the largest ``|a|`` of any model; the first factor is
    the root of the bound on the error of a prediction. Roundings of the sums in float64 add a share of M to
    ``e |a_i - a_j|``.

    Parameters
    ----------
    dual_coef
        The coefficients a, (s, n_kinds, n_models).
    shares
        The relative errors e, (s,).
    """
    largest = np.abs(dual_coef).max(axis=2, keepdims=True)
    roundings = ROUNDINGS * (len(dual_coef) + 8) / shares[:, None, None]
    with np.errstate(over="ignore"):  # a bound without end proves nothing
        found = []
        for model in np.moveaxis(dual_coef, 2, 0):
            parts = np.divide(
                np.abs(dual_coef - model[..., None]), largest, out=np.zeros_like(dual_coef), where=largest > 0
            )
            found.append((shares[:, None, None] * largest * (parts + roundings) ** 2).sum(axis=0))
    errors: Matrix = np.sqrt(np.stack(found, axis=1)) * (1.0 + BOUND_SLACK)
    return errors


def expands(estimator: KernelRidgeModelSelector) -> bool:
    """Return whether squares are expanded, as they are if cancellation cannot be seen in the predictions."""
    return can_expand(float(estimator.gamma), float(np.linalg.norm(estimator.support_vectors_, axis=1).max()))
