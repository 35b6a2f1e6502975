"""One Gemm for all support vectors, one for all coefficients: in float32 where that decides, else in float64.

::

    features ─ Div ─┬─ Gemm ─ Mul ─ Add ─ Max 0 ─ Exp ─ Gemm ─┐
    (b, d)          │  support vectors                  alpha  Concat ─┬─ score (b, n_classifiers)
                    └─ Gemm ─ Mul ─ Add ───────────────────────┘       └─ ArgMax ─ classifier (b,)
                       linear weights

``sum_i alpha_i exp(-gamma |x - sv_i|^2) - rho``, with ``|x - sv|^2 = |x|^2 + |sv|^2 - 2 x.sv``; support vectors that
several classifiers share with the same gamma are stored once, and ``alpha`` has a column per classifier. Queries whose
norm is at most 1e-10 are scored as they are. Where gamma is so large that cancellation in the expanded square could be
seen, all is computed in float64, and squared distances from the differences.

The products with the support vectors are most of the work. They are taken in float32 first: each is off by at most
``e = gamma_n |x| |sv|``, see `search`, and ``|x| <= 1``; so the kernel's value K by at most ``K (exp(2 gamma e) - 1)``,
and a score by the sum of that over the support vectors, weighed with ``|alpha|``. Where the best score leads by more
than twice that, it is the ``candidate`` and ``certain``. What this leaves open is for the caller to refine: the whole
is repeated in float64, unless the initializer ``refine`` is overridden with false.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..estimators import MIN_NORM, SVMModelSelector
from .builder import DOUBLE, FLOAT, Graph, register
from .exact_search import roundings
from .stored import stored_exactly

OUTPUTS = {"score": "double", "classifier": "index", "candidate": "index", "certain": "flag"}
# An expanded square of length up to L is off by a few 2^-53 L^2: below, the scores are by less than 1e-10.
STEEP = 1e5
# Longer support vectors overflow float32.
LONGEST = 1e15
# The bound on the error is raised by this share, far above the roundings in its own computation.
BOUND_SLACK = 1e-6


class Query(NamedTuple):
    """Names in the graph: a query of unit length is ``shrunk * factor``."""

    shrunk: str
    """The query divided by its largest absolute value, float64, (b, d)."""
    factor: str
    """Float64, (b, 1)."""
    squared: str
    """Squared norm of ``shrunk * factor``, float64, (b, 1)."""


class Machines(NamedTuple):
    """Names of what all kernel machines hold together."""

    vectors: str
    norms: str
    minus_gammas: str
    alphas: str
    intercepts: str


def convert_svm(graph: Graph, estimator: SVMModelSelector, features: str, outputs: dict[str, str]) -> None:
    """Write the graph of an `SVMModelSelector`."""
    query = _unit_length(graph, features)
    parts = [] if estimator.linear_ is None else [_linear_scores(graph, estimator.linear_, query)]
    refined = graph.branch()
    if is_fast(estimator.machines_):
        shared = shared_support_vectors(estimator.machines_)
        machines = _stored_machines(graph, shared, estimator.machines_)
        exact = _scores(refined, _expanded_squares(refined, query, machines), machines)
        scores = refined.node("Concat", *parts, exact, axis=1)
        candidates, error = _fast_scores(graph, query, machines, shared, parts)
    else:
        if estimator.machines_:
            machines = _stored_machines(graph, shared_support_vectors(estimator.machines_), estimator.machines_)
            parts.append(_scores(graph, _differences(graph, query, machines), machines))
        candidates, error = graph.node("Concat", *parts, axis=1), graph.constant("no_error", np.array([0.0]))
        scores = refined.node("Identity", candidates)
    graph.settle(candidates, len(estimator.choice_models_), 1, error, outputs)
    results = {"score": scores, "classifier": refined.node("ArgMax", scores, axis=1, keepdims=0)}
    graph.refine(outputs, OUTPUTS, refined, results, outputs["certain"])


def is_fast(machines: Sequence[Any]) -> bool:
    """Tell whether there are kernel machines, all with scores in which cancellation cannot be seen."""
    with np.errstate(over="ignore"):
        longest = max((np.linalg.norm(machine.support_vectors_, axis=1).max() for machine in machines), default=np.inf)
        return all(
            machine._gamma * (1.0 + longest) ** 2 <= STEEP and longest <= LONGEST for machine in machines
        ) and bool(machines)


def _unit_length(graph: Graph, features: str) -> Query:
    """Scale as `unit_length` of the estimators does, but multiply the products instead of the vectors."""
    min_norm = graph.constant("min_norm", np.array(MIN_NORM))
    largest = graph.node("Max", graph.largest(features), min_norm)
    shrunk = graph.node("Div", features, largest)
    squared = graph.squared_norm(shrunk)
    norm = graph.node("Sqrt", squared)
    scales = graph.node("Greater", norm, graph.node("Div", min_norm, largest))
    factor = graph.node("Where", scales, graph.node("Reciprocal", norm), largest)
    return Query(shrunk, factor, graph.node("Mul", squared, graph.node("Mul", factor, factor)))


def _linear_scores(graph: Graph, model: Any, query: Query) -> str:
    weights = graph.node("Cast", stored_exactly(graph, "weights", model.coef_), to=DOUBLE)
    products = graph.node("Mul", graph.node("Gemm", query.shrunk, weights, transB=1), query.factor)
    return graph.node("Add", products, graph.constant("linear_intercept", model.intercept_))


def _stored_machines(graph: Graph, shared: "SharedVectors", machines: Sequence[Any]) -> Machines:
    vectors = shared.vectors
    return Machines(
        vectors=stored_exactly(graph, "support_vectors", vectors),
        norms=graph.constant("support_norms", np.einsum("ij,ij->i", vectors, vectors)),
        minus_gammas=graph.constant("minus_gamma", -shared.gammas),
        alphas=graph.constant("alpha", shared.alphas),
        intercepts=graph.constant("rbf_intercept", np.concatenate([machine.intercept_ for machine in machines])),
    )


def _scores(graph: Graph, squares: str, machines: Machines) -> str:
    return graph.node("Gemm", _kernel(graph, squares, machines), machines.alphas, machines.intercepts)


def _kernel(graph: Graph, squares: str, machines: Machines) -> str:
    return graph.node("Exp", graph.node("Mul", squares, machines.minus_gammas))


def _differences(graph: Graph, query: Query, machines: Machines) -> str:
    unit = graph.node("Mul", query.shrunk, query.factor)
    column = graph.node("Unsqueeze", unit, graph.constant("vector_axis", np.array([1])))
    vectors = graph.node("Cast", machines.vectors, to=DOUBLE)
    return graph.squared_norm(graph.node("Sub", vectors, column), keepdims=0)


def _expanded_squares(graph: Graph, query: Query, machines: Machines) -> str:
    vectors = graph.node("Cast", machines.vectors, to=DOUBLE)
    return _expanded(graph, graph.node("Gemm", query.shrunk, vectors, alpha=-2.0, transB=1), query, machines)


def _expanded(graph: Graph, products: str, query: Query, machines: Machines) -> str:
    squares = graph.node("Add", machines.norms, query.squared)
    squared = graph.node("Add", graph.node("Mul", products, query.factor), squares)
    return graph.node("Max", squared, graph.constant("zero", np.array(0.0)))


def _fast_scores(
    graph: Graph, query: Query, machines: Machines, shared: "SharedVectors", linear: list[str]
) -> tuple[str, str]:
    """Score with products in float32: scores, float64 (b, n_classifiers), and twice the bound on their error, (b,)."""
    shrunk = graph.node("Cast", query.shrunk, to=FLOAT)
    products = graph.node("Gemm", shrunk, graph.node("Cast", machines.vectors, to=FLOAT), alpha=-2.0, transB=1)
    squares = _expanded(graph, graph.node("Cast", products, to=DOUBLE), query, machines)
    kernel = _kernel(graph, squares, machines)
    scores = graph.node("Gemm", kernel, machines.alphas, machines.intercepts)
    if linear:
        scores = graph.node("Concat", *linear, scores, axis=1)
    lengths = np.linalg.norm(shared.vectors, axis=1)
    relative, absolute = roundings(shared.vectors.shape[1])
    product_errors = relative * lengths + absolute * (1.0 + lengths)
    shares = np.expm1(2.0 * shared.gammas * product_errors) * (1.0 + BOUND_SLACK) + BOUND_SLACK**2
    bounds = graph.constant("alpha_error", 2.0 * np.abs(shared.alphas).max(axis=1) * shares)
    return scores, graph.node("MatMul", kernel, bounds)


class SharedVectors(NamedTuple):
    """The support vectors of several machines, each distinct one once."""

    vectors: npt.NDArray[np.float64]
    """Shape (s, d)."""
    gammas: npt.NDArray[np.float64]
    """Shape (s,)."""
    alphas: npt.NDArray[np.float64]
    """Shape (s, n_machines)."""
    places: list[list[int]]
    """Per machine, the row of each of its support vectors."""


def shared_support_vectors(machines: Sequence[Any]) -> SharedVectors:
    """Merge the machines' support vectors; those of another gamma stay apart."""
    index: dict[tuple[float, bytes], int] = {}
    places = [
        [index.setdefault((machine._gamma, vector.tobytes()), len(index)) for vector in machine.support_vectors_]
        for machine in machines
    ]
    alphas = np.zeros((len(index), len(machines)))
    for column, (machine, place) in enumerate(zip(machines, places, strict=True)):
        np.add.at(alphas[:, column], place, machine.dual_coef_[0])
    vectors = np.array([np.frombuffer(data) for _, data in index])
    return SharedVectors(vectors, np.array([gamma for gamma, _ in index]), alphas, places)


register(SVMModelSelector, OUTPUTS, convert_svm)
