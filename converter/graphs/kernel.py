"""The Gaussian kernel of queries and support vectors, ``exp(-gamma |x - sv|^2)``, in a graph.

``|x - sv|^2 = |x|^2 + |sv|^2 - 2 x.sv`` costs one Gemm. Where cancellation in this sum could be seen, the square is
computed from the differences. The products are most of the work. Summed in float32, the error of each is at most
``gamma_n |x| |sv|``, see `exact_search`. A bound e on the error of the square bounds the error of the kernel's value K
by ``K (exp(gamma e) - 1)``, which bounds the error of a machine's score.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from modelpick.runtime.schema import Stored

from .builder import DOUBLE, Graph
from .rows import roundings
from .unit_length import Scaled

Matrix = npt.NDArray[np.float64]
# The error of an expanded square of lengths up to L is a few 2^-53 L^2. Below this value of gamma L^2, the error of
# kernels is less than 1e-10.
STEEP = 1e5
# Longer support vectors than this overflow float32.
LONGEST = 1e15
# Bounds on errors are raised by this share, far above the rounding in their own computation.
BOUND_SLACK = 1e-6


class SupportVectors(NamedTuple):
    """Names of the values from which kernels are computed."""

    vectors: str
    """Initializer `Stored.SUPPORT_VECTORS`, (s, d)."""
    norms: str
    """Squared norms, float64, (s,)."""
    minus_gammas: str
    """Float64, (s,)."""


def stored_support_vectors(graph: Graph, vectors: Matrix, gammas: Matrix) -> SupportVectors:
    """Add support vectors, (s, d), each with a gamma, (s,)."""
    return SupportVectors(
        vectors=graph.stored_exactly(Stored.SUPPORT_VECTORS, vectors),
        norms=graph.constant("support_norms", np.einsum("ij,ij->i", vectors, vectors)),
        minus_gammas=graph.constant("minus_gamma", -gammas),
    )


def products(graph: Graph, queries: str, support: SupportVectors, element_type: int) -> str:
    """Return ``-2 x.sv``, float64, (b, s), summed in FLOAT or DOUBLE."""
    left, right = (graph.node("Cast", side, to=element_type) for side in (queries, support.vectors))
    return graph.node("Cast", graph.node("Gemm", left, right, alpha=-2.0, transB=1), to=DOUBLE)


def expanded(graph: Graph, products: str, squared: str, support: SupportVectors) -> str:
    """Return kernels, float64, (b, s), from products, ``-2 x.sv``, and the queries' squared norms, (b, 1)."""
    return graph.node("Exp", _expanded_exponents(graph, products, squared, support))


def _expanded_exponents(graph: Graph, products: str, squared: str, support: SupportVectors) -> str:
    squares = graph.node("Add", products, graph.node("Add", support.norms, squared))
    return _exponents(graph, graph.node("Max", squares, graph.constant("zero", np.array(0.0))), support)


def can_expand(gamma: float, longest: float) -> bool:
    """Return whether cancellation in the expanded square cannot be seen, for queries of unit length.

    Parameters
    ----------
    gamma
        The largest gamma.
    longest
        Norm of the longest support vector.
    """
    with np.errstate(over="ignore"):
        return bool(gamma * (1.0 + longest) ** 2 <= STEEP and longest <= LONGEST)


def of_directions(graph: Graph, query: Scaled, support: SupportVectors, element_type: int) -> str:
    """Return kernels, float64, (b, s), of queries of unit length, whose products are summed in FLOAT or DOUBLE."""
    return graph.node("Exp", exponents_of_directions(graph, query, support, element_type))


def exponents_of_directions(graph: Graph, query: Scaled, support: SupportVectors, element_type: int) -> str:
    """Return the exponents of `of_directions`, ``-gamma |x - sv|^2``, float64, (b, s)."""
    found = graph.node("Mul", products(graph, query.shrunk, support, element_type), query.factor)
    return _expanded_exponents(graph, found, query.squared, support)


def by_differences(graph: Graph, queries: str, support: SupportVectors) -> str:
    """Return kernels, float64, (b, s), from the differences between queries and support vectors."""
    return graph.node("Exp", exponents_by_differences(graph, queries, support))


def exponents_by_differences(graph: Graph, queries: str, support: SupportVectors) -> str:
    """Return the exponents of `by_differences`, float64, (b, s)."""
    column = graph.node("Unsqueeze", queries, graph.constant("vector_axis", np.array([1])))
    vectors = graph.node("Cast", support.vectors, to=DOUBLE)
    return _exponents(graph, graph.squared_norm(graph.node("Sub", vectors, column), keepdims=0), support)


def _exponents(graph: Graph, squares: str, support: SupportVectors) -> str:
    return graph.node("Mul", squares, support.minus_gammas)


def nearest_distance(graph: Graph, exponents: str, gamma: float) -> str:
    """Return the distance to the nearest support vector, float64, (b, 1), from exponents of one gamma above 0."""
    largest = graph.node("ReduceMax", exponents, axes=[1], keepdims=1)
    return graph.node("Sqrt", graph.node("Div", largest, graph.constant("minus_one_gamma", np.array(-gamma))))


def without_vanished(graph: Graph, kernels: str) -> str:
    """Set kernels, float64, (b, s), to 0 where they are below the lowest normal number.

    The exponential of older onnxruntime never falls below that number, which would give a wrong sign to a sum of such
    kernels alone.
    """
    lowest = graph.constant("lowest_normal", np.array(2.0 * np.finfo(np.float64).tiny))
    return graph.node("Where", graph.node("Greater", kernels, lowest), kernels, graph.constant("zero", np.array(0.0)))


def square_errors(vectors: Matrix) -> Matrix:
    """Return bounds on the error of squared distances by products in float32, for queries of unit length: (s,).

    The error of the product with a support vector is at most ``e = gamma_n |sv|``, that of the square 2 e.
    """
    lengths = np.linalg.norm(vectors, axis=1)
    relative, absolute = roundings(vectors.shape[1])
    squares: Matrix = 2.0 * (relative * lengths + absolute * (1.0 + lengths))
    return squares


def error_shares(vectors: Matrix, gammas: Matrix) -> Matrix:
    """Return bounds on the relative error of kernels by products in float32, for queries of unit length: (s,).

    An error e of the square changes the kernel by the share ``exp(gamma e) - 1``.
    """
    shares: Matrix = np.expm1(gammas * square_errors(vectors)) * (1.0 + BOUND_SLACK) + BOUND_SLACK**2
    return shares
