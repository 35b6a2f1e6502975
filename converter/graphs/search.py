"""Scans over all distinct rows: approximate scores, with a proven bound on their error.

A scan ranks rows by ``s_j ~ f^2 (|x_j|^2 - 2 q.x_j)``, where the factor ``f`` is 1 unless the rows are too large
to square in float32.

Plain, in float32: whatever the order of summation, the error of ``s_j`` is at most
``gamma_n (2 |q| |x_j| + |x_j|^2)``, where ``gamma_n = n u / (1 - n u)``, ``u = 2^-24``, and n is the number of
roundings on the longest path (N. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1,
with Cauchy-Schwarz for ``sum |q_i x_i|``). With ``L = max |x_j|`` and ``2 |q| L <= |q|^2 + L^2`` that is at most
``gamma_n (|q|^2 + 2 L^2)``. A query so long that its scores could overflow is clipped; ``gamma_n |q|^2`` alone
exceeds every score then, so that nothing is proven for it.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .nodes import FLOAT, Graph

# Roundings beside the d products and sums: casting both vectors, the norm, the last additions.
EXTRA_ROUNDINGS = 8
LARGEST_SCORE = 1e37
# Rows up to this need no factor.
LARGEST_VALUE = 1e12


class Search(NamedTuple):
    """Names in the graph.

    A row whose score is at least ``t`` is at a squared distance of at least ``(t + offset) / distance_factor``.
    """

    scores: str
    """Float32, (b, u)."""
    offset: str
    """Float64, (b, 1)."""
    distance_factor: str
    """Float64, scalar."""


def plain_search(graph: Graph, features: str, q2: str, stored: str, rows: npt.NDArray[np.float64]) -> Search:
    """Scan in float32 with one Gemm.

    Parameters
    ----------
    features, q2
        Names of the float64 queries, (b, d), and of their squared norms, (b, 1).
    stored
        Name of the initializer that holds ``rows``.
    rows
        Distinct rows, float64, shape (u, d).
    """
    largest = float(np.abs(rows).max())
    factor = 1.0 if largest < LARGEST_VALUE else float(2.0 ** -np.ceil(np.log2(largest)))
    if factor == 1.0:
        searched = graph.node("Cast", stored, to=FLOAT)
    else:
        rows = rows * factor
        features = graph.node("Mul", features, graph.constant("factor", np.array(factor)))
        searched = graph.constant("search_rows", rows.astype(np.float32))
    norms = np.einsum("ij,ij->i", rows, rows)
    longest = float(np.sqrt(norms.max()))
    width = rows.shape[1]
    limit = np.array(LARGEST_SCORE / (np.sqrt(width) * max(longest, 1.0)), dtype=np.float32)
    query = graph.node(
        "Clip",
        graph.node("Cast", features, to=FLOAT),
        graph.constant("lowest", -limit),
        graph.constant("highest", limit),
    )
    scores = graph.node(
        "Gemm",
        query,
        searched,
        graph.constant("search_norms", norms.astype(np.float32)),
        alpha=-2.0,
        transB=1,
    )
    n = width + EXTRA_ROUNDINGS
    gamma = n * 2.0**-24 / (1 - n * 2.0**-24)
    # Products below float32's normal range lose absolute, not relative, accuracy.
    error = 2 * gamma * longest**2 + n * 2.0**-125 * (1 + longest)
    # Float64's own roundings, of at most n * 2^-53 each, are covered four times over.
    slack = n * 2.0**-51
    weight = graph.constant("query_weight", np.array(factor**2 * (1 - slack - gamma)))
    offset = graph.node("Sub", graph.node("Mul", q2, weight), graph.constant("search_error", np.array(error)))
    return Search(scores, offset, graph.constant("distance_factor", np.array(factor**2 * (1 + slack))))
