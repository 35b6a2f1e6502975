"""Graphs of support vector machines: a classifier for each model, or a machine for each pair of models.

Graphs search in float32; the caller refines in float64 what the bounds leave open.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from modelpick.runtime.schema import Output, Stored, Table

from ...formats.decoding import Vector
from ...graphs.builder import DOUBLE, FLOAT, Graph
from ...graphs.kernel import (
    BOUND_SLACK,
    LONGEST,
    STEEP,
    SupportVectors,
    by_differences,
    can_expand,
    error_shares,
    expanded,
    of_directions,
    products,
    stored_support_vectors,
    without_vanished,
)
from ...graphs.margins import SLACK, needed_margin
from ...graphs.rows import roundings
from ...graphs.unit_length import Scaled, add_directions
from ..base import Matrix
from .estimators import MIN_NORM, KernelClassifier, OneVsOneModelSelector, OneVsRestModelSelector

# Below this gamma, the bound on the error does not cover queries that overflow float32.
FLATTEST = 1e-30
# Longer queries may overflow the products in float64: they count as this long, and their kernels are zero.
FARTHEST = 1e290

# Outputs of the graph of one classifier for each model; further outputs depend on whether it has machines.
_ONE_VS_REST = {Output.SCORE: "double", Output.CLASSIFIER: "index"}
# Outputs of the graph of a machine for each pair of models.
ONE_VS_ONE = {
    Output.SCORE: "double",
    Output.PAIR: "double",
    Output.CLASSIFIER: "index",
    Output.CANDIDATE: "index",
    Output.CERTAIN: "flag",
}


def one_vs_rest_outputs(estimator: OneVsRestModelSelector) -> dict[str, str]:
    """Return the outputs of an estimator's graph, and their types."""
    if not estimator.machines_:
        return _ONE_VS_REST | {Output.ESTIMATE: "float"}
    return _ONE_VS_REST | {Output.CANDIDATE: "index", Output.CERTAIN: "flag"}


def add_one_vs_rest(graph: Graph, estimator: OneVsRestModelSelector, features: str, outputs: dict[str, str]) -> None:
    """Write the classifiers by `_add_linear`, or, if some are kernel machines, by `_add_machines`."""
    (_add_machines if estimator.machines_ else _add_linear)(graph, estimator, features, outputs)


def _add_linear(graph: Graph, estimator: OneVsRestModelSelector, features: str, outputs: dict[str, str]) -> None:
    """Write linear classifiers: in float32 where that decides, else in float64, on the query scaled to unit length.

    ::

        features ─┬─ Cast f32 ─ Gemm weights ─ estimate (b, n_classifiers)
        (b, d)    │
                  └─ If refine: Div ─ Gemm weights ─ Mul ─ Add ─┬─ score (b, n_classifiers)
                                                                └─ ArgMax ─ classifier (b,)

    The estimates are ``w.q``, which for a q of length above 1e-10 have the order of ``|q| (score - intercept)``: the
    caller adds `Table.OFFSETS` times ``|q|``, and refines queries that the margin does not prove.
    """
    coef, intercept = estimator.coef_, estimator.intercept_
    weights = graph.stored_exactly(Stored.WEIGHTS, coef)
    narrow = (graph.node("Cast", name, to=FLOAT) for name in (features, weights))
    graph.output(outputs[Output.ESTIMATE], "Gemm", *narrow, transB=1)
    needed = needed_margin([(coef, np.zeros(len(coef)))])
    # Offsets are added in float64, to products that float32 does not hold more exactly.
    of_offsets = 8.0 * roundings(coef.shape[1])[0] * 2.0**-29 * float(np.abs(intercept).max())
    needed = needed._replace(slope=needed.slope + of_offsets, shortest=MIN_NORM * (1.0 + SLACK))
    graph.constant(Table.MARGIN, np.array(needed))
    graph.constant(Table.OFFSETS, intercept)

    refined = graph.branch()
    scores = _linear_scores(refined, estimator, weights, add_directions(refined, features, MIN_NORM))
    results = {Output.SCORE: scores, Output.CLASSIFIER: refined.node("ArgMax", scores, axis=1, keepdims=0)}
    graph.in_float64(outputs, _ONE_VS_REST, refined, results)


def _linear_scores(graph: Graph, estimator: OneVsRestModelSelector, weights: str, query: Scaled) -> str:
    products = graph.node("Gemm", query.shrunk, graph.node("Cast", weights, to=DOUBLE), transB=1)
    products = graph.node("Mul", products, query.factor)
    return graph.node("Add", products, graph.constant("linear_intercept", estimator.intercept_))


def _add_machines(graph: Graph, estimator: OneVsRestModelSelector, features: str, outputs: dict[str, str]) -> None:
    """Write one Gemm for all support vectors, one for all coefficients: in float32 where that decides, else in float64.

    ::

        features ─ Div ─┬─ Gemm ─ Mul ─ Add ─ Max 0 ─ Exp ─ Gemm ─┐
        (b, d)          │  support vectors                  alpha  Concat ─┬─ score (b, n_classifiers)
                        └─ Gemm ─ Mul ─ Add ───────────────────────┘       └─ ArgMax ─ classifier (b,)
                           linear weights

    ``sum_i alpha_i exp(-gamma |x - sv_i|^2) - rho``, with ``|x - sv|^2 = |x|^2 + |sv|^2 - 2 x.sv``; support vectors
    that several classifiers share with the same gamma are stored once, and ``alpha`` has a column per classifier.
    Queries whose norm is at most 1e-10 are scored as they are. Where gamma is so large that cancellation in the
    expanded square could be seen, all is computed in float64, and squared distances from the differences.

    The products with the support vectors are taken in float32 first: a score is off by at most the sum of the kernels'
    errors, see `modelpick.converter.graphs.kernel`, weighed with ``|alpha|``; here ``|x| <= 1``. Where the best score
    exceeds the second by more than twice this error, it is the ``candidate``, and ``certain``. The caller refines the
    other queries: the whole graph is repeated in float64, unless the initializer ``refine`` is overridden with false.
    """
    query = add_directions(graph, features, MIN_NORM)
    linear = []
    if len(estimator.coef_):
        weights = graph.stored_exactly(Stored.WEIGHTS, estimator.coef_)
        linear.append(_linear_scores(graph, estimator, weights, query))
    refined = graph.branch()
    shared = shared_support_vectors(estimator.machines_)
    support = stored_support_vectors(graph, shared.vectors, shared.gammas)
    alphas = graph.constant("alpha", shared.alphas)
    intercepts = graph.constant("rbf_intercept", np.array([machine.intercept for machine in estimator.machines_]))
    if expands_machines(estimator):
        exact = refined.node("Gemm", of_directions(refined, query, support, DOUBLE), alphas, intercepts)
        scores = refined.node("Concat", *linear, exact, axis=1)
        kernel = of_directions(graph, query, support, FLOAT)
        candidates = graph.node("Concat", *linear, graph.node("Gemm", kernel, alphas, intercepts), axis=1)
        # The share of each kernel in twice the bound on the error of the scores.
        bounds = 2.0 * np.abs(shared.alphas).max(axis=1) * error_shares(shared.vectors, shared.gammas)
        error = graph.node("MatMul", kernel, graph.constant("alpha_error", bounds))
    else:
        kernel = by_differences(graph, query.product(graph), support)
        candidates = graph.node("Concat", *linear, graph.node("Gemm", kernel, alphas, intercepts), axis=1)
        error = graph.constant(Table.NO_ERROR, np.array([0.0]))
        scores = refined.node("Identity", candidates)
    graph.argmax_with_margin(candidates, len(estimator.choice_models_), 1, error, outputs)
    results = {Output.SCORE: scores, Output.CLASSIFIER: refined.node("ArgMax", scores, axis=1, keepdims=0)}
    graph.in_float64(outputs, _ONE_VS_REST, refined, results)


def expands_machines(estimator: OneVsRestModelSelector) -> bool:
    """Return whether squares are expanded: cancellation in them cannot be seen in the scores of the machines."""
    with np.errstate(over="ignore"):
        longest = max(float(np.linalg.norm(one.support_vectors, axis=1).max()) for one in estimator.machines_)
    return can_expand(max(machine.gamma for machine in estimator.machines_), longest)


class SharedVectors(NamedTuple):
    """The distinct support vectors of several machines."""

    vectors: Matrix
    """Shape (s, d)."""
    gammas: Vector
    """Shape (s,)."""
    alphas: Matrix
    """Shape (s, n_machines)."""
    places: list[list[int]]
    """For each machine, the rows of its support vectors."""


def shared_support_vectors(machines: Sequence[KernelClassifier]) -> SharedVectors:
    """Merge the machines' support vectors; equal vectors of different gammas stay apart."""
    index: dict[tuple[float, bytes], int] = {}
    places = [
        [index.setdefault((machine.gamma, vector.tobytes()), len(index)) for vector in machine.support_vectors]
        for machine in machines
    ]
    alphas = np.zeros((len(index), len(machines)))
    for column, (machine, place) in enumerate(zip(machines, places, strict=True)):
        np.add.at(alphas[:, column], place, machine.dual_coef)
    vectors = np.array([np.frombuffer(data) for _, data in index])
    return SharedVectors(vectors, np.array([gamma for gamma, _ in index]), alphas, places)


def add_one_vs_one(graph: Graph, estimator: OneVsOneModelSelector, features: str, outputs: dict[str, str]) -> None:
    """Write the comparison of each pair of models by a kernel machine: in float32 if that decides, else in float64.

    ::

        features ─ kernel ─ (b, s) ─ Gemm pair coefficients ─ pair ─ > 0 ─ Gemm ─ score ─ ArgMax ─ classifier (b,)
        (b, d)                                      (b, n_pairs)            (b, n_models)

    ``kernel_i = exp(-gamma |x - sv_i|^2)``, or ``x.sv_i``. A machine for two models i < j is positive where i wins; a
    model's score is the number of comparisons it wins, and of equal scores the first wins: the one-vs-one vote of C.-C.
    Chang and C.-J. Lin, LIBSVM: A Library for Support Vector Machines, section 7, as scikit-learn's SVC.predict holds
    it.

    For a linear kernel, the machine of a pair is one vector, the weighted sum of its support vectors, which onnxruntime
    adds up once when it opens the graph. Support vectors that several models share are stored once. Gaussian kernels
    are first computed from products in float32, whose errors are bounded, see `_pair_error`. The ``candidate`` is
    ``certain`` if it wins whichever way the open comparisons go; the caller refines the other queries in float64.
    """
    coefficients = graph.constant("pair_coef", estimator.pair_coef_)
    intercepts = graph.constant("pair_intercept", estimator.pair_intercept_)
    refined = graph.branch()
    if expands_pairs(estimator):
        support = _stored(graph, estimator)
        squared = graph.squared_norm(features)
        kernel = expanded(graph, products(graph, features, support, FLOAT), squared, support)
        pairs = graph.node("Gemm", kernel, coefficients, intercepts, transB=1)
        error = _pair_error(graph, estimator, kernel, squared)
        far = [refined.constant("far", np.array(value)) for value in (-FARTHEST, FARTHEST)]
        near = refined.node("Clip", features, *far)
        exact_kernel = expanded(refined, products(refined, near, support, DOUBLE), squared, support)
        exact = refined.node("Gemm", without_vanished(refined, exact_kernel), coefficients, intercepts, transB=1)
    else:
        if estimator.kernel == "rbf":
            kernel = without_vanished(graph, by_differences(graph, features, _stored(graph, estimator)))
            machines = coefficients
        else:
            vectors = graph.node("Cast", graph.stored_exactly(Stored.SUPPORT_VECTORS, estimator.vectors_), to=DOUBLE)
            kernel, machines = features, graph.node("MatMul", coefficients, vectors)
        exact = pairs = graph.node("Gemm", kernel, machines, intercepts, transB=1)
        error = graph.constant(Table.NO_ERROR, np.array(0.0))
    _add_most_wins(graph, pairs, error, len(estimator.choice_models_), outputs)
    graph.in_float64(outputs, ONE_VS_ONE, refined, _counted(refined, exact, len(estimator.choice_models_)))


def expands_pairs(estimator: OneVsOneModelSelector) -> bool:
    """Return whether the kernel is Gaussian and its squares are expanded.

    Cancellation in them cannot be seen in the comparisons, and only queries far out overflow float32. A query so far
    from the support vectors that cancellation could be worse has kernels of zero.
    """
    with np.errstate(over="ignore"):
        longest = np.linalg.norm(estimator.vectors_, axis=1).max()
        is_flat = estimator.gamma * longest**2 <= STEEP and longest <= LONGEST
    return bool(is_flat and estimator.kernel == "rbf" and estimator.gamma >= FLATTEST)


def _stored(graph: Graph, estimator: OneVsOneModelSelector) -> SupportVectors:
    vectors = estimator.vectors_
    return stored_support_vectors(graph, vectors, np.full(len(vectors), estimator.gamma))


def _pair_error(graph: Graph, estimator: OneVsOneModelSelector, kernel: str, squared: str) -> str:
    """Return a bound on the error of pairs whose products were summed in float32, float64, (b, n_pairs).

    With ``L = max |sv|`` and ``2 |x| L <= |x|^2 + L^2``, the error of the squared distances is at most ``slope |x|^2 +
    constant``, including their sums in float64; it grows with the query, which is not scaled. A query that overflows
    float32 has an infinite bound.
    """
    count, width = estimator.vectors_.shape
    longest = float(np.linalg.norm(estimator.vectors_, axis=1).max())
    relative, absolute = roundings(width)
    in_float64 = 4.0 * (width + 8) * 2.0**-53
    raised = estimator.gamma * (1.0 + BOUND_SLACK)
    slope = raised * (relative + absolute + in_float64)
    constant = raised * ((relative + in_float64) * longest**2 + absolute * (3.0 + 2.0 * longest))
    exponents = graph.node("Mul", squared, graph.constant("error_slope", np.array(slope)))
    exponents = graph.node("Add", exponents, graph.constant("error_constant", np.array(constant)))
    # The kernels' own error, and the error of adding them up.
    slack = BOUND_SLACK**2 + count * 2.0**-52
    shares = graph.node("Add", graph.node("Exp", exponents), graph.constant("minus_one", np.array(slack - 1.0)))
    weights = np.abs(estimator.pair_coef_) * (1.0 + BOUND_SLACK)
    # A kernel that underflows in float64 may be any number below the lowest normal one; shares are above slack.
    vanished = graph.constant("vanished", weights.sum(axis=1) * np.finfo(np.float64).tiny / slack)
    bounds = graph.node("Gemm", kernel, graph.constant("error_coef", weights), vanished, transB=1)
    return graph.node("Mul", bounds, shares)


def _add_most_wins(graph: Graph, pairs: str, error: str, n: int, outputs: dict[str, str]) -> None:
    """Output the model that wins the most pairs, given a bound on their error, and whether it surely does.

    Each model surely wins some comparisons, and may win others. The candidate is the first of the models that may win
    the most. It is certain if it surely wins more comparisons than any other model may win. Fractions make equal counts
    differ.
    """
    sure = graph.node("Greater", pairs, error), graph.node("Less", pairs, graph.node("Neg", error))
    decided = graph.node("Cast", graph.node("Concat", *sure, axis=1), to=DOUBLE)
    first, second = (np.eye(n)[models] for models in np.triu_indices(n, 1))
    order = np.arange(n)[::-1] / 2.0 ** np.ceil(np.log2(n))
    won, lost = np.vstack([first, second]), np.vstack([second, first])
    surely = graph.node("Gemm", decided, graph.constant("surely_won", won), graph.constant("order", order))
    perhaps = graph.node("Gemm", decided, graph.constant("surely_lost", -lost), graph.constant("most", n - 1 + order))
    open_ones = graph.node("Sub", graph.largest(perhaps), graph.largest(surely))
    axis = graph.constant("model_axis", np.array([1]))
    graph.argmax_with_margin(perhaps, n, 1, graph.node("Squeeze", open_ones, axis), outputs)


def _counted(graph: Graph, pairs: str, n: int) -> dict[str, str]:
    """Count the comparisons that each model wins: output names -> the names of the results."""
    won = graph.node("Cast", graph.node("Greater", pairs, graph.constant("zero", np.array(0.0))), to=DOUBLE)
    first, second = (np.eye(n)[models] for models in np.triu_indices(n, 1))
    wins, losses = graph.constant("wins", first - second), graph.constant("losses", second.sum(axis=0))
    scores = graph.node("Gemm", won, wins, losses)
    classifier = graph.node("ArgMax", scores, axis=1, keepdims=0)
    return {Output.SCORE: scores, Output.PAIR: graph.node("Identity", pairs), Output.CLASSIFIER: classifier}
