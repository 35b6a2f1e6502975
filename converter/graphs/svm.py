"""One Gemm for all support vectors, one for all coefficients, in float64.

::

    features ─ Div ─┬─ Gemm ─ Mul ─ Add ─ Max 0 ─ Exp ─ Gemm ─┐
    (b, d)          │  support vectors                  alpha  Concat ─┬─ scores (b, n_classifiers)
                    └─ Gemm ─ Mul ─ Add ───────────────────────┘       └─ ArgMax ─ classifier (b,)
                       linear weights

``sum_i alpha_i exp(-gamma |x - sv_i|^2) - rho``, with ``|x - sv|^2 = |x|^2 + |sv|^2 - 2 x.sv``; support
vectors that several classifiers share with the same gamma are stored once, and ``alpha`` has a column per
classifier. Queries whose norm is at most 1e-10 are scored as they are. Where gamma is so large that cancellation in the
expanded square could be seen, squared distances are computed from the differences.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..estimators import MIN_NORM, SVMModelSelector
from .nodes import DOUBLE, Graph, register
from .stored import stored_exactly

# An expanded square of length up to L is off by a few 2^-53 L^2: below, the scores are by less than 1e-10.
STEEP = 1e5


class Query(NamedTuple):
    """Names in the graph: a query of unit length is ``shrunk * factor``."""

    shrunk: str
    """The query divided by its largest absolute value, float64, (b, d)."""
    factor: str
    """Float64, (b, 1)."""
    squared: str
    """Squared norm of ``shrunk * factor``, float64, (b, 1)."""


def convert_svm(graph: Graph, estimator: SVMModelSelector, features: str, outputs: dict[str, str]) -> None:
    """Write the graph of an `SVMModelSelector`."""
    query = _unit_length(graph, features)
    parts = []
    if estimator.linear_ is not None:
        weights = graph.node("Cast", stored_exactly(graph, "weights", estimator.linear_.coef_), to=DOUBLE)
        products = graph.node("Mul", graph.node("Gemm", query.shrunk, weights, transB=1), query.factor)
        parts.append(graph.node("Add", products, graph.constant("linear_intercept", estimator.linear_.intercept_)))
    if estimator.machines_:
        parts.append(_kernel_scores(graph, estimator.machines_, query))
    graph.output(outputs["score"], "Concat", *parts, axis=1)
    graph.output(outputs["classifier"], "ArgMax", outputs["score"], axis=1, keepdims=0)


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


def is_steep(machines: Sequence[Any]) -> bool:
    """Tell whether cancellation in the expanded square could be seen in the scores."""
    with np.errstate(over="ignore"):
        longest = max((np.linalg.norm(machine.support_vectors_, axis=1).max() for machine in machines), default=0.0)
        return any(machine._gamma * (1.0 + longest) ** 2 > STEEP for machine in machines)


def _kernel_scores(graph: Graph, machines: Sequence[Any], query: Query) -> str:
    vectors, gammas, alphas, _ = shared_support_vectors(machines)
    stored = graph.node("Cast", stored_exactly(graph, "support_vectors", vectors), to=DOUBLE)
    distances = _differences if is_steep(machines) else _expanded_squares
    exponents = graph.node("Mul", distances(graph, query, stored, vectors), graph.constant("minus_gamma", -gammas))
    intercept = graph.constant("rbf_intercept", np.concatenate([machine.intercept_ for machine in machines]))
    return graph.node("Gemm", graph.node("Exp", exponents), graph.constant("alpha", alphas), intercept)


def _differences(graph: Graph, query: Query, stored: str, vectors: npt.NDArray[np.float64]) -> str:
    unit = graph.node("Mul", query.shrunk, query.factor)
    column = graph.node("Unsqueeze", unit, graph.constant("vector_axis", np.array([1])))
    return graph.squared_norm(graph.node("Sub", stored, column), keepdims=0)


def _expanded_squares(graph: Graph, query: Query, stored: str, vectors: npt.NDArray[np.float64]) -> str:
    products = graph.node("Gemm", query.shrunk, stored, alpha=-2.0, transB=1)
    norms = graph.constant("support_norms", np.einsum("ij,ij->i", vectors, vectors))
    squares = graph.node("Add", norms, query.squared)
    squared = graph.node("Add", graph.node("Mul", products, query.factor), squares)
    return graph.node("Max", squared, graph.constant("zero", np.array(0.0)))


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


register(SVMModelSelector, {"score": "double", "classifier": "int64"}, convert_svm)
