"""Distinct rows as a search needs them, and the bound on the error of their scores in float32; see `exact_search`."""

import numpy as np
import numpy.typing as npt

from modelpick.runtime.schema import Metric, Table
from modelpick.runtime.search.distances import directions

from .builder import FLOAT, Graph
from .tensors import are_single

Matrix = npt.NDArray[np.float64]
UNIT = 2.0**-24
# Number of roundings except in products and their sums: of both vectors, the norm, scales and the last additions.
EXTRA_ROUNDINGS = 16
# Rows with smaller values than this need no factor.
LARGEST_VALUE = 1e12
# Rows are moved where that makes their largest squared norm more than `FAR` times smaller.
FAR = 2.0
# Squares of vectors shorter than this, and of their differences, do not overflow float64.
LONGEST = 1e153


def roundings(products: int) -> tuple[float, float]:
    """Return the bound on the error of ``x.y`` in float32, ``relative * |x| |y| + absolute * (1 + |y|)``."""
    n = products + EXTRA_ROUNDINGS
    # Products below float32's normal range have an absolute, not a relative, error.
    return n * UNIT / (1 - n * UNIT), n * 2.0**-124


class Rows:
    """Distinct rows, and the rows moved and scaled so that float32 holds their squares well.

    Parameters
    ----------
    values
        Shape (u, d).
    metric
        See `modelpick.runtime.schema.Metric`. For metrics other than the Euclidean one, rows and queries are first
        scaled to unit length.
    """

    def __init__(self, values: Matrix, metric: str = Metric.EUCLIDEAN) -> None:
        self.values, self.metric, self.unit = values, metric, metric != Metric.EUCLIDEAN
        if self.unit:
            values = directions(values)
        self.scaled = values
        self.factor, self.center = 1.0, None
        largest = float(max(values.max(), -values.min()))
        if largest >= LARGEST_VALUE:
            self.factor = float(2.0 ** -np.ceil(np.log2(largest)))
            self.scaled = values * self.factor
        else:
            center = values.mean(axis=0)
            norms = np.einsum("ij,ij->i", values, values)
            moved = norms - values @ (2.0 * center) + center @ center
            if 0.0 < FAR * moved.max() < norms.max():
                self.center = center
                self.scaled = values - center
        self.norms = np.einsum("ij,ij->i", self.scaled, self.scaled)
        self.longest = float(np.sqrt(self.norms.max()))
        self.count, self.width = values.shape
        self._are_single = self.scaled is not self.values or are_single(values)

    def moved(self, graph: Graph, features: str) -> str:
        """Move float64 queries as the rows were moved; queries are already scaled to unit length if rows were."""
        return (
            features if self.center is None else graph.node("Sub", features, graph.constant(Table.CENTER, self.center))
        )

    def searched(self, graph: Graph, stored: str) -> str:
        """Return the name of the searched initializer: the stored rows, unless rows were moved or scaled."""
        return stored if self.scaled is self.values else graph.in_float32(Table.SEARCH_ROWS, self.scaled)

    def single(self, graph: Graph, searched: str) -> str:
        """Cast searched rows, or some of them, to float32, unless they are stored so: a cast would copy them."""
        return searched if self._are_single else graph.node("Cast", searched, to=FLOAT)

    def error(self) -> tuple[float, float]:
        """Return slope and constant of the scores' error, ``slope * |q|^2 + constant`` with q moved, not scaled."""
        gamma, absolute = roundings(self.width)
        constant = 2 * gamma * self.longest**2 + absolute * (1 + self.longest)
        # Distances that overflow float64 are equal in float64, whatever the search finds.
        return gamma * self.factor**2, constant if self.longest < LONGEST * self.factor else np.inf

    def integer_constant(self, heavy: int) -> float:
        """Return the constant of the bound on scores in integers, and on the float32 scores that rank their candidates.

        Norms are added in any order to the products of heavy columns, and last to the products of all columns.

        Parameters
        ----------
        heavy
            Number of heavy columns.
        """
        (of_all, absolute), (of_heavy, _) = roundings(self.width), roundings(heavy)
        return max(of_all + 4 * UNIT, 2 * of_heavy) * self.longest**2 + absolute * (1 + self.longest)
