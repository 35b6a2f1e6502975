"""Scaling to unit length in a graph, by the steps of `modelpick.runtime.search.distances.directions`.

A vector is first divided by its largest absolute value, so that its square neither overflows nor vanishes. Vectors with
a norm of at most ``min_norm`` are not scaled; by default this applies only to zeros.
"""

from typing import NamedTuple

import numpy as np

from modelpick.runtime.search.distances import SMALLEST

from .builder import Graph


class Scaled(NamedTuple):
    """Names in a graph of vectors of unit length, ``shrunk * factor``: a product with them is scaled only once."""

    shrunk: str
    """The vectors divided by their largest absolute value, float64, (..., d)."""
    factor: str
    """Float64, (..., 1)."""
    squared: str
    """Squared norm of ``shrunk * factor``, float64, (..., 1)."""

    def product(self, graph: Graph) -> str:
        """Return the name of the vectors themselves."""
        return graph.node("Mul", self.shrunk, self.factor)


def add_directions(graph: Graph, vectors: str, min_norm: float = 0.0) -> Scaled:
    """Scale float64 vectors to unit length over the last axis."""
    largest = graph.node("Max", graph.largest(vectors), graph.constant("floor", np.array(min_norm or SMALLEST)))
    shrunk = graph.node("Div", vectors, largest)
    squared = graph.squared_norm(shrunk)
    norm = graph.node("Sqrt", squared)
    is_long = graph.node("Greater", norm, graph.node("Div", graph.constant("min_norm", np.array(min_norm)), largest))
    factor = graph.node("Where", is_long, graph.node("Reciprocal", norm), largest)
    return Scaled(shrunk, factor, graph.node("Mul", squared, graph.node("Mul", factor, factor)))
