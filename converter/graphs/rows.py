"""Distinct rows as a search needs them, and the bound on what float32 makes of their scores; see `exact_search`."""

import numpy as np
import numpy.typing as npt

from modelpick.runtime.schema import Metric, Table

from .builder import FLOAT, Graph
from .tensors import are_single
from .unit_length import directions

Matrix = npt.NDArray[np.float64]
UNIT = 2.0**-24
# Roundings beside the products and their sums: casting both vectors, the norm, scales, the last additions.
EXTRA_ROUNDINGS = 16
# Rows up to this need no factor.
LARGEST_VALUE = 1e12
# Rows are moved where that makes their largest squared norm so many times smaller.
FAR = 2.0
# Squares of vectors up to this, and of their differences, do not overflow float64.
LONGEST = 1e153


def roundings(products: int) -> tuple[float, float]:
    """Bound the error of a float32 sum of so many products, ``x.y``: ``relative * |x| |y| + absolute * (1 + |y|)``."""
    n = products + EXTRA_ROUNDINGS
    # Products below float32's normal range lose absolute, not relative, accuracy.
    return n * UNIT / (1 - n * UNIT), n * 2.0**-124


class Rows:
    """Distinct rows, and the same moved and scaled so that float32 holds their squares well.

    Parameters
    ----------
    values
        Shape (u, d).
    metric
        See `modelpick.runtime.schema.Metric`; but for the Euclidean one, rows and queries are scaled to unit length
        before all else.
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
        """Move queries, scaled to unit length where the rows are, as the rows are, float64."""
        return (
            features if self.center is None else graph.node("Sub", features, graph.constant(Table.CENTER, self.center))
        )

    def searched(self, graph: Graph, stored: str) -> str:
        """Return the name of the initializer that is searched: the stored one, unless rows were moved or scaled."""
        return stored if self.scaled is self.values else graph.in_float32(Table.SEARCH_ROWS, self.scaled)

    def single(self, graph: Graph, searched: str) -> str:
        """Make float32 of rows that are searched, or some of them, where they are not: a copy even so costs memory."""
        return searched if self._are_single else graph.node("Cast", searched, to=FLOAT)

    def error(self) -> tuple[float, float]:
        """Bound the error of float32 scores, ``slope * |q|^2 + constant`` with q moved, not scaled: slope, constant."""
        gamma, absolute = roundings(self.width)
        constant = 2 * gamma * self.longest**2 + absolute * (1 + self.longest)
        # Distances that overflow float64 are equal in it, whatever the search finds.
        return gamma * self.factor**2, constant if self.longest < LONGEST * self.factor else np.inf

    def integer_constant(self, heavy: int) -> float:
        """Bound the constant of the same for scores in integers, of so many heavy columns, and those ranked after them.

        Norms are added to products of the heavy columns in any order, and last to those of all columns.
        """
        (of_all, absolute), (of_heavy, _) = roundings(self.width), roundings(heavy)
        return max(of_all + 4 * UNIT, 2 * of_heavy) * self.longest**2 + absolute * (1 + self.longest)
