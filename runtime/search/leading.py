"""The best of some choices, where a search in float32 proves it.

A search either says itself whether its candidate is proven, or returns an estimate of each choice's score. Estimates
are off by at most an error that grows with the query's length: the best is proven where it leads all others by more,
see `modelpick.converter.graphs.margins`. To compute that here spares the graph a dozen nodes, each of which takes
longer to start than to run.

`Lead.best` answers for one query, `Lead.bests` for many; why there are two of each is said in
`modelpick.runtime.algorithms.base`.
"""

from collections.abc import Mapping
from math import inf, sqrt
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..artifact.onnx_reader import Tensor
from ..artifact.tables import DOUBLES, FLOATS, Spec, optional
from ..request import Norms, Queries
from ..schema import Input, Output, Table
from ..session import Part, Run

Estimates = npt.NDArray[np.float32]
_ESTIMATE = (Output.ESTIMATE,)
# A search by estimates has a session without the choice of whether to refine. It takes queries in float32, as encoders
# make them; but not where offsets are multiplied by norms, which float32 is off by too much.
ESTIMATES = Part(_ESTIMATE, needs=Table.LEAD, single_without=Table.OFFSETS)
PARTS = (Part(), ESTIMATES)
SEARCH_ONLY = np.array(False)
MARGIN = Spec(DOUBLES, (4,))
# So many choices of one query are compared in Python, more in numpy.
FEW = 40
# So many centroids are measured one by one; where more are left, the graph measures all.
MOST_LEFT = 8
# Squares that differ by less may have lost digits to underflow.
TINY = 1e-290


class Lead:
    """Finds the best of some choices by estimates of their scores.

    Parameters
    ----------
    tensor
        `Table.LEAD`, or `Table.COARSE_LEAD`.
    offsets
        `Table.OFFSETS`, where there are any.
    """

    def __init__(self, tensor: Tensor, offsets: Tensor | None = None) -> None:
        self._slope, self._constant, self._shortest, self._longest = tensor.tolist()
        self._offsets, self._offset_list = offsets, None if offsets is None else offsets.tolist()

    def best(self, estimates: Estimates, norm: float, needed: float) -> int | None:
        """Return the best choice of one query of that norm by its estimates, (1, n), if it leads by what is needed."""
        if estimates.shape[1] > FEW:
            row = estimates[0].copy() if self._offsets is None else estimates[0] + norm * self._offsets
            best = int(row.argmax())
            highest, row[best] = row.item(best), -inf
            ahead = highest - float(row.max())
        else:
            values: list[float] = estimates.tolist()[0]
            if self._offset_list is not None:
                values = [value + norm * offset for value, offset in zip(values, self._offset_list, strict=True)]
            ordered = sorted(values)
            best = values.index(ordered[-1])
            ahead = ordered[-1] - ordered[-2] if len(ordered) > 1 else inf
        return best if ahead > needed else None

    def needed(self, norm: float) -> float | None:
        """Return the lead that proves the best for a query of that norm; None where nothing does."""
        return self._slope * norm + self._constant if self._shortest < norm < self._longest else None

    def bests(
        self, estimates: Estimates, norms: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Return the best choice of each of some queries by their estimates, (b, n), and whether it is proven: (b,).

        The norms, (b,), are those of the queries.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # of queries that are too long
            values = estimates if self._offsets is None else estimates + norms[:, None] * self._offsets
            ahead = _ahead(values) > self._slope * norms + self._constant
        return values.argmax(axis=1), ahead & (self._shortest < norms) & (norms < self._longest)


def _ahead(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return by how much the highest of some values, (b, n), exceeds the second: (b,)."""
    if values.shape[1] == 1:
        return np.full(len(values), inf)
    two = np.partition(values, -2, axis=1)[:, -2:]
    return two[:, 1] - two[:, 0]


class Centroids:
    """Finds the nearest of some centroids where estimates leave a few of them, in float64.

    The expanded squares of distances, ``|c|^2 - 2 q.c``, are in the order of the graph's where they differ by more than
    the roundings of both.

    Parameters
    ----------
    rows
        `Table.CENTROIDS`.
    """

    def __init__(self, rows: Tensor) -> None:
        # Few, and read faster than where a file was read to.
        self._rows = rows.astype(np.float64)
        with np.errstate(over="ignore"):  # of such centroids nothing is found
            squares = np.square(self._rows).sum(axis=1)
        self._squares: list[float] = squares.tolist()
        self._share, self._longest = (rows.shape[1] + 16) * 2.0**-48, float(squares.max())

    def nearest(
        self, estimates: Estimates, needed: float, query: npt.NDArray[np.floating], squared_norm: float
    ) -> int | None:
        """Return the nearest centroid to a query, (d,), if these say which; None else.

        Parameters
        ----------
        estimates
            Shape (n,).
        needed
            The lead that proves the best estimate: no centroid farther behind can be the nearest.
        query, squared_norm
            The query, and its squared norm or a bound on it.
        """
        values: list[float] = estimates.tolist()
        floor = max(values) - needed
        left = [place for place, value in enumerate(values) if value >= floor]
        if len(left) > MOST_LEFT:
            return None
        exact = query.astype(np.float64, copy=False)
        squares = [self._squares[place] - 2.0 * float(np.vdot(self._rows[place], exact)) for place in left]
        ordered = [*sorted(squares), inf]
        is_clear = ordered[1] - ordered[0] > self._share * (squared_norm + self._longest) + TINY or len(left) == 1
        return left[squares.index(ordered[0])] if is_clear else None


class Search(Protocol):
    """Searches for the best choice."""

    def best(self, run: Run, query: Queries, squared_norm: float) -> int | None:
        """Return the best choice of one query, (1, d), if it is proven."""

    def bests(
        self, run: Run, queries: Queries, squared_norms: Norms
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Return the best choice of each query, (b, d), as the search has it, and whether it is proven: (b,) each."""


class Estimated:
    """A search that returns estimates.

    Parameters
    ----------
    lead, centroids
        What proves them, and what measures where they do not.
    kind
        Type of the queries that its session takes.
    """

    def __init__(self, lead: Lead, centroids: Centroids | None, kind: type[np.floating]) -> None:
        self._lead, self._centroids, self._kind = lead, centroids, kind

    def best(self, run: Run, query: Queries, squared_norm: float) -> int | None:
        """See `Search`."""
        norm = sqrt(squared_norm)
        needed = self._lead.needed(norm)
        if needed is None:  # it may be too long for float32
            return None
        (estimates,) = run(_ESTIMATE, {Input.FEATURES: query.astype(self._kind, copy=False)})
        best = self._lead.best(estimates, norm, needed)
        if best is None and self._centroids is not None:
            return self._centroids.nearest(estimates[0], needed, query[0], squared_norm)
        return best

    def bests(
        self, run: Run, queries: Queries, squared_norms: Norms
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """See `Search`."""
        norms = np.sqrt(squared_norms)
        given = queries
        if queries.dtype != self._kind:
            with np.errstate(over="ignore"):  # of queries that are too long
                given = queries.astype(self._kind)
        (estimates,) = run(_ESTIMATE, {Input.FEATURES: given})
        best, proven = self._lead.bests(estimates, norms)
        if self._centroids is None:
            return best, proven
        for place in np.flatnonzero(~proven).tolist():
            needed = self._lead.needed(norms.item(place))
            if needed is None:
                continue
            nearest = self._centroids.nearest(estimates[place], needed, queries[place], squared_norms.item(place))
            if nearest is not None:
                best[place], proven[place] = nearest, True
        return best, proven


class Settled:
    """A search that says itself what is proven."""

    _OUTPUTS = (Output.CANDIDATE, Output.CERTAIN)

    def best(self, run: Run, query: Queries, squared_norm: float) -> int | None:
        """See `Search`."""
        candidate, certain = run(self._OUTPUTS, {Input.FEATURES: query, Input.REFINE: SEARCH_ONLY})
        return int(candidate.item()) if certain.item() else None

    def bests(
        self, run: Run, queries: Queries, squared_norms: Norms
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """See `Search`."""
        candidates, certain = run(self._OUTPUTS, {Input.FEATURES: queries, Input.REFINE: SEARCH_ONLY})
        return candidates, certain


def search_tables(choices: str) -> dict[str, Spec]:
    """Return what the initializers must be that `search_of` reads, given the name of the number of choices."""
    return optional(
        {
            Table.CENTROIDS: Spec(FLOATS, (choices, "features")),
            Table.LEAD: MARGIN,
            Table.OFFSETS: Spec(DOUBLES, (choices,)),
        }
    )


def search_of(tables: Mapping[str, Tensor]) -> Search | None:
    """Return the search of an artifact with such initializers; None where it has none."""
    if Table.LEAD in tables:
        centroids = Centroids(tables[Table.CENTROIDS]) if Table.CENTROIDS in tables else None
        kind = np.float32 if ESTIMATES.is_single(tables) else np.float64
        return Estimated(Lead(tables[Table.LEAD], tables.get(Table.OFFSETS)), centroids, kind)
    return Settled() if Table.REFINE in tables else None
