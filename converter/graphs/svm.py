"""One Gemm for all support vectors, one for all coefficients, in float64.

::

    features ─ unit length ─┬─ Gemm ─ Max 0 ─ Exp ─ Gemm ─┐
    (b, d)                  │  support vectors    alpha   Concat ─┬─ scores (b, n_classifiers)
                            └─ Gemm ──────────────────────┘       └─ ArgMax ─ classifier (b,)
                               linear weights

``sum_i alpha_i exp(-gamma |x - sv_i|^2) - rho``, with ``|x - sv|^2 = |x|^2 + |sv|^2 - 2 x.sv``; support
vectors that several classifiers share with the same gamma are stored once, and ``alpha`` has a column per
classifier. Queries whose norm is at most 1e-10 are scored as they are.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..estimators import MIN_NORM, SVMModelSelector
from .nodes import DOUBLE, Graph, register
from .stored import stored_exactly


def convert_svm(graph: Graph, estimator: SVMModelSelector, features: str, outputs: dict[str, str]) -> None:
    """Write the graph of an `SVMModelSelector`."""
    query = _unit_length(graph, features)
    parts = []
    if estimator.linear_ is not None:
        weights = stored_exactly(graph, "weights", estimator.linear_.coef_)
        parts.append(
            graph.node(
                "Gemm",
                query,
                graph.node("Cast", weights, to=DOUBLE),
                graph.constant("linear_intercept", estimator.linear_.intercept_),
                transB=1,
            )
        )
    if estimator.machines_:
        parts.append(_kernel_scores(graph, estimator.machines_, query))
    graph.output(outputs["score"], "Concat", *parts, axis=1)
    graph.output(outputs["classifier"], "ArgMax", outputs["score"], axis=1, keepdims=0)


def _unit_length(graph: Graph, features: str) -> str:
    """Scale as `unit_length` of the estimators does."""
    min_norm = graph.constant("min_norm", np.array(MIN_NORM))
    largest = graph.node("Max", graph.reduce_last("ReduceMax", graph.node("Abs", features)), min_norm)
    shrunk = graph.node("Div", features, largest)
    norm = graph.node("Sqrt", graph.squared_norm(shrunk))
    scales = graph.node("Greater", graph.node("Mul", norm, largest), min_norm)
    return graph.node("Where", scales, graph.node("Div", shrunk, norm), features)


def _kernel_scores(graph: Graph, machines: Sequence[Any], query: str) -> str:
    vectors, gammas, alphas, _ = shared_support_vectors(machines)
    stored = graph.node("Cast", stored_exactly(graph, "support_vectors", vectors), to=DOUBLE)
    products = graph.node("Gemm", query, stored, transB=1)
    doubled = graph.node("Mul", products, graph.constant("minus_two", np.array(-2.0)))
    norms = graph.constant("support_norms", np.einsum("ij,ij->i", vectors, vectors))
    squared = graph.node("Add", graph.node("Add", doubled, norms), graph.squared_norm(query))
    squared = graph.node("Max", squared, graph.constant("zero", np.array(0.0)))
    kernel = graph.node("Exp", graph.node("Mul", squared, graph.constant("minus_gamma", -gammas)))
    intercept = np.concatenate([machine.intercept_ for machine in machines])
    return graph.node("Gemm", kernel, graph.constant("alpha", alphas), graph.constant("rbf_intercept", intercept))


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
