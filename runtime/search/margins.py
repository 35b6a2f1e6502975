"""When estimates of the scores of choices prove which choice is the best.

The error of an estimate has a bound that grows with the query's length: the best choice is proven where its estimate
exceeds all others by a margin, see `modelpick.converter.graphs.margins`. Comparing estimates here saves the graph a
dozen nodes, each of which takes longer to start than to run.

`Margin.best_one` answers for one query, `Margin.best_many` for many; `modelpick.runtime.algorithms.base` explains why
there are two of each.
"""

from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt

from ..artifact.onnx_reader import Tensor
from ..artifact.tables import DOUBLES, Spec
from ..queries import Norms

Estimates = npt.NDArray[np.float32]
# The best choice of each query, int64, and whether it is proven, bool: (b,) each.
Found = tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]
MARGIN_SPEC = Spec(DOUBLES, (4,))
# At most `FEW` choices of one query are compared in Python, more choices in numpy.
FEW = 40
# At most `MOST_LEFT` centroids are measured one by one. Where more are left open, the graph measures all.
MOST_LEFT = 8
# Squares that differ by less than this may have lost digits to underflow.
TINY = 1e-290


class Margin:
    """Finds the best choice by estimates of the choices' scores.

    Parameters
    ----------
    tensor
        `Table.MARGIN`, or `Table.COARSE_MARGIN`.
    offsets
        `Table.OFFSETS`, where there are any.
    """

    def __init__(self, tensor: Tensor, offsets: Tensor | None = None) -> None:
        self._slope, self._constant, self._shortest, self._longest = tensor.tolist()
        self._offsets, self._offset_list = offsets, None if offsets is None else offsets.tolist()

    def needed(self, norm: float) -> float | None:
        """Return the margin that proves the best choice for a query of this norm; None where no margin does."""
        return self._slope * norm + self._constant if self._shortest < norm < self._longest else None

    def best_one(self, estimates: Estimates, norm: float, needed: float) -> int | None:
        """Return the best choice of one query by its estimates, (1, n), if its margin is large enough."""
        if estimates.shape[1] > FEW:
            row = estimates[0].copy() if self._offsets is None else estimates[0] + norm * self._offsets
            best = int(row.argmax())
            highest, row[best] = row.item(best), -inf
            margin = highest - float(row.max())
        else:
            values: list[float] = estimates.tolist()[0]
            if self._offset_list is not None:
                values = [value + norm * offset for value, offset in zip(values, self._offset_list, strict=True)]
            ordered = sorted(values)
            best = values.index(ordered[-1])
            margin = ordered[-1] - ordered[-2] if len(ordered) > 1 else inf
        return best if margin > needed else None

    def best_many(self, estimates: Estimates, norms: Norms) -> Found:
        """Return the best choice of each query by estimates, (b, n), and whether it is proven, given norms, (b,)."""
        with np.errstate(over="ignore", invalid="ignore"):  # queries that are too long
            values = estimates if self._offsets is None else estimates + norms[:, None] * self._offsets
            is_clear = _margins(values) > self._slope * norms + self._constant
        return values.argmax(axis=1), is_clear & (self._shortest < norms) & (norms < self._longest)


def _margins(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return by how much the highest of n values exceeds the second, (b, n) -> (b,)."""
    if values.shape[1] == 1:
        return np.full(len(values), inf)
    two = np.partition(values, -2, axis=1)[:, -2:]
    return two[:, 1] - two[:, 0]


class Centroids:
    """Finds the nearest centroid in float64, where estimates leave a few of them open.

    The expanded squares of distances, ``|c|^2 - 2 q.c``, have the same order as the graph's distances where they differ
    by more than the rounding errors of both.

    Parameters
    ----------
    rows
        `Table.CENTROIDS`.
    """

    def __init__(self, rows: Tensor) -> None:
        # Copied, since there are few, and aligned numbers are read faster than those within a file's bytes.
        self._rows = rows.astype(np.float64)
        with np.errstate(over="ignore"):  # such centroids are never found
            squares = np.square(self._rows).sum(axis=1)
        self._squares: list[float] = squares.tolist()
        self._share, self._longest = (rows.shape[1] + 16) * 2.0**-48, float(squares.max())

    def nearest(
        self, estimates: Estimates, needed: float, vector: npt.NDArray[np.floating], squared_norm: float
    ) -> int | None:
        """Return the nearest centroid to a query, or None where float64 leaves it open.

        Parameters
        ----------
        estimates
            Shape (n,).
        needed
            The margin that proves the best estimate: centroids that are farther behind cannot be the nearest.
        vector, squared_norm
            The query, shape (d,), and its squared norm or a bound on it.
        """
        values: list[float] = estimates.tolist()
        floor = max(values) - needed
        left = [place for place, value in enumerate(values) if value >= floor]
        if len(left) > MOST_LEFT:
            return None
        exact = vector.astype(np.float64, copy=False)
        squares = [self._squares[place] - 2.0 * float(np.vdot(self._rows[place], exact)) for place in left]
        ordered = [*sorted(squares), inf]
        is_clear = ordered[1] - ordered[0] > self._share * (squared_norm + self._longest) + TINY or len(left) == 1
        return left[squares.index(ordered[0])] if is_clear else None
