"""The nearest centroid: a search in float32 that usually proves it, and distances in float64."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from modelpick.runtime.schema import Output

from ..formats.distinct import row_groups
from .builder import DOUBLE, FLOAT, Graph
from .margins import Margin, needed_margin

Matrix = npt.NDArray[np.float64]
OUTPUTS = {Output.DISTANCE: "double", Output.CLUSTER: "index", Output.ESTIMATE: "float"}
# Queries more than `FARTHEST` times as long as the longest centroid are not searched for: their distances are rounded
# in float64 too.
FARTHEST = 2.0**10
# Centroids are moved where that makes the longest more than `FAR` times shorter.
FAR = 1.5


class Nearest(NamedTuple):
    """Names of the results of `add_nearest` in the refined branch."""

    distances: str
    """Float64, (b, c)."""
    cluster: str
    """The nearest centroid by these distances, int64, (b,)."""


def add_nearest(
    graph: Graph, refined: Graph, features: str, centroids: Matrix, stored_as: str, estimate: str, margin_as: str
) -> Nearest:
    """Write a search in float32 that usually proves the nearest centroid, and distances to all centroids in float64.

    ::

        features ─┬─ Cast f32 ─ Gemm ─ estimate (b, c)
        (b, d)    │
                  └─ If refine: Sub centroids (c, d) ─ sum of squares ─ Sqrt ─┬─ distance (b, c)
                                                                              └─ ArgMin ─ cluster (b,)

    ``distance_j = sqrt(sum_i (q_i - c_ji)^2)``; the difference gives equidistant centroids equal distances. ArgMin
    takes the first. The estimate is the expanded square with its sign reversed, without the terms that all centroids
    share: ``2 q.(c_j - m) - (|c_j|^2 - |m|^2)``, where m is zero, or the mean of centroids that lie far from zero for
    their spread. The caller refines queries that the margin does not prove.

    Parameters
    ----------
    graph, refined
        The graph of the search, and the branch of it that refines.
    features
        Name of the float64 queries, (b, d).
    centroids, stored_as
        Shape (c, d), and the initializer that holds them.
    estimate, margin_as
        Full name of the output of estimates, and the initializer of their margin.
    """
    values = np.asarray(centroids, dtype=np.float64)
    stored = graph.stored_exactly(stored_as, values)
    # Sums of the same squares may differ in their last bits. Therefore identical centroids are measured once.
    groups = row_groups(values)
    first = np.unique(groups, return_index=True)[1]
    distinct = refined.node("Gather", stored, refined.constant("distinct", first), axis=0)
    query = refined.node("Unsqueeze", features, refined.constant("cluster_axis", np.array([1])))
    differences = refined.node("Sub", query, refined.node("Cast", distinct, to=DOUBLE))
    distances = refined.node("Sqrt", refined.squared_norm(differences, keepdims=0))
    distances = refined.node("Gather", distances, refined.constant("groups", groups), axis=1)

    searched, bias = _searched(values)
    rows = graph.node("Cast", stored, to=FLOAT) if searched is values else graph.in_float32("search_rows", searched)
    query = graph.node("Cast", features, to=FLOAT)
    graph.output(estimate, "Gemm", query, rows, graph.in_float32("search_bias", bias), alpha=2.0, transB=1)
    graph.constant(margin_as, np.array(_margin(values, searched, bias)))
    return Nearest(distances, refined.node("ArgMin", distances, axis=1, keepdims=0))


def _searched(centroids: Matrix) -> tuple[Matrix, Matrix]:
    """Move centroids that lie far from zero; returns the factors of products, (c, d), and the terms to add, (c,)."""
    mean = centroids.mean(axis=0)
    moved = centroids - mean
    with np.errstate(over="ignore"):
        is_far = FAR * _longest(moved) < _longest(centroids) < np.inf
        if not is_far:
            return centroids, -np.einsum("ij,ij->i", centroids, centroids)
        return moved, -np.einsum("ij,ij->i", moved, moved + 2.0 * mean)


def _longest(vectors: Matrix) -> float:
    return float(np.linalg.norm(vectors, axis=1).max())


def _margin(centroids: Matrix, searched: Matrix, bias: Matrix) -> Margin:
    """Return the margin plus the error of squares in float64, which is a share of ``(|q| + longest)^2``."""
    with np.errstate(over="ignore", invalid="ignore"):
        needed, longest = needed_margin([(2.0 * searched, bias)]), _longest(centroids)
        share = (centroids.shape[1] + 16) * 2.0**-50
        return Margin(
            slope=needed.slope + share * (FARTHEST + 2.0) * longest,
            constant=needed.constant + share * longest**2,
            shortest=needed.shortest,
            longest=min(needed.longest, FARTHEST * longest),
        )
