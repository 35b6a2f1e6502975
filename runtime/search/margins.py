"""The best of some choices, where a search in float32 proves it, else by the whole graph.

A search either says itself whether its candidate is proven, or returns an estimate of each choice's score. Estimates
are off by at most an error that grows with the query's length: the best is proven where it exceeds all others by a
margin, see `modelpick.converter.graphs.margins`. To compute that here spares the graph a dozen nodes, each of which
takes longer to start than to run.

`Margin.best_one` answers for one query, `Margin.best_many` for many; why there are two of each is said in
`modelpick.runtime.algorithms.base`.
"""

from collections.abc import Callable, Mapping
from math import inf, sqrt
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..artifact.onnx_reader import Tensor
from ..artifact.tables import DOUBLES, FLOATS, Spec, optional
from ..queries import Norms, Queries, Query
from ..schema import Input, Output, Table
from ..session import Run, Subgraph

Estimates = npt.NDArray[np.float32]
# The best choice of each query, int64, and whether it is proven, bool: (b,) each.
Found = tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]
_ESTIMATE = (Output.ESTIMATE,)
# A search by estimates has a session without the choice of whether to refine. It takes queries in float32, as encoders
# make them; but not where offsets are multiplied by norms, which float32 is off by too much.
ESTIMATES = Subgraph(_ESTIMATE, needs=Table.LEAD, single_without=Table.OFFSETS)
SUBGRAPHS = (Subgraph(), ESTIMATES)
SEARCH_ONLY = np.array(False)
MARGIN = Spec(DOUBLES, (4,))
# So many choices of one query are compared in Python, more in numpy.
FEW = 40
# So many centroids are measured one by one; where more are left, the graph measures all.
MOST_LEFT = 8
# Squares that differ by less may have lost digits to underflow.
TINY = 1e-290


class Margin:
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

    def needed(self, norm: float) -> float | None:
        """Return the margin that proves the best for a query of that norm; None where nothing does."""
        return self._slope * norm + self._constant if self._shortest < norm < self._longest else None

    def best_one(self, estimates: Estimates, norm: float, needed: float) -> int | None:
        """Return the best choice of one query by its estimates, (1, n), if its margin is more than what is needed."""
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
        """Return the best choice of each of some queries by their estimates, (b, n), and whether it is proven.

        The norms, (b,), are those of the queries.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # of queries that are too long
            values = estimates if self._offsets is None else estimates + norms[:, None] * self._offsets
            is_clear = _margins(values) > self._slope * norms + self._constant
        return values.argmax(axis=1), is_clear & (self._shortest < norms) & (norms < self._longest)


def _margins(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
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
        self, estimates: Estimates, needed: float, vector: npt.NDArray[np.floating], squared_norm: float
    ) -> int | None:
        """Return the nearest centroid to a query, if these say which; None else.

        Parameters
        ----------
        estimates
            Shape (n,).
        needed
            The margin that proves the best estimate: no centroid farther behind can be the nearest.
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


def search_tables(choices: str) -> dict[str, Spec]:
    """Return what the initializers must be that a search reads, given the name of the number of choices."""
    return optional(
        {
            Table.CENTROIDS: Spec(FLOATS, (choices, "features")),
            Table.LEAD: MARGIN,
            Table.OFFSETS: Spec(DOUBLES, (choices,)),
        }
    )


class Search(Protocol):
    """Searches for the best choice."""

    def best_one(self, query: Query) -> int | None:
        """Return the best choice of one query, if it is proven."""

    def best_many(self, queries: Queries) -> Found:
        """Return the best choice of each query, as the search has it, and whether it is proven."""


class Estimated:
    """A search that returns estimates.

    Parameters
    ----------
    run, tables
        What runs the artifact's session, and its initializers.
    """

    def __init__(self, run: Run, tables: Mapping[str, Tensor]) -> None:
        self._run, self._margin = run, Margin(tables[Table.LEAD], tables.get(Table.OFFSETS))
        self._centroids = Centroids(tables[Table.CENTROIDS]) if Table.CENTROIDS in tables else None
        # What the session of this subgraph takes.
        self._kind = np.dtype(np.float32 if ESTIMATES.is_single(tables) else np.float64)

    def best_one(self, query: Query) -> int | None:
        """See `Search`."""
        vector, squared_norm = query
        norm = sqrt(squared_norm)
        needed = self._margin.needed(norm)
        if needed is None:  # it may be too long for float32
            return None
        (estimates,) = self._run(_ESTIMATE, {Input.FEATURES: vector.astype(self._kind, copy=False)})
        best = self._margin.best_one(estimates, norm, needed)
        if best is None and self._centroids is not None:
            return self._centroids.nearest(estimates[0], needed, vector[0], squared_norm)
        return best

    def best_many(self, queries: Queries) -> Found:
        """See `Search`."""
        vectors, norms = queries.vectors, np.sqrt(queries.squared_norms)
        if vectors.dtype != self._kind:
            with np.errstate(over="ignore"):  # of queries that are too long
                vectors = vectors.astype(self._kind)
        (estimates,) = self._run(_ESTIMATE, {Input.FEATURES: vectors})
        best, proven = self._margin.best_many(estimates, norms)
        if self._centroids is None:
            return best, proven
        for place in np.flatnonzero(~proven).tolist():
            needed = self._margin.needed(norms.item(place))
            if needed is None:
                continue
            vector, squared_norm = queries.vectors[place], queries.squared_norms.item(place)
            nearest = self._centroids.nearest(estimates[place], needed, vector, squared_norm)
            if nearest is not None:
                best[place], proven[place] = nearest, True
        return best, proven


class Certified:
    """A search whose graph says what is proven."""

    _OUTPUTS = (Output.CANDIDATE, Output.CERTAIN)

    def __init__(self, run: Run) -> None:
        self._run = run

    def best_one(self, query: Query) -> int | None:
        """See `Search`."""
        candidate, certain = self._run(self._OUTPUTS, {Input.FEATURES: query.vector, Input.REFINE: SEARCH_ONLY})
        return int(candidate.item()) if certain.item() else None

    def best_many(self, queries: Queries) -> Found:
        """See `Search`."""
        candidates, certain = self._run(self._OUTPUTS, {Input.FEATURES: queries.vectors, Input.REFINE: SEARCH_ONLY})
        return candidates, certain


class BestChoice:
    """Finds the best of some choices: by a search where that proves it, else by the whole graph.

    Parameters
    ----------
    run, tables
        What runs the artifact's session, and its initializers.
    chosen, values
        Outputs of the graph: the index of the best choice, int64, (b,), and what the choices are worth.
    are_close
        Whether roundings of the values could decide, (b,).
    """

    def __init__(
        self,
        run: Run,
        tables: Mapping[str, Tensor],
        chosen: str,
        values: str,
        are_close: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.bool_]],
    ) -> None:
        self._run, self._chosen, self._values, self._are_close = run, (chosen,), (chosen, values), are_close
        self.search: Search = Estimated(run, tables) if Table.LEAD in tables else Certified(run)
        # In float64 a search is off by roundings that it has no bound on: it settles single queries alone.
        self._search_of_many = None if Table.NO_ERROR in tables else self.search

    def one(self, query: Query) -> int:
        """Find the best choice of one query."""
        best = self.search.best_one(query)
        if best is None:
            best = self._run(self._chosen, {Input.FEATURES: query.vector})[0].item()
        return best

    def many(self, queries: Queries) -> npt.NDArray[np.int64]:
        """Find the best choices of many queries, (b,); of each that is not proven as if it stood alone."""
        if self._search_of_many is not None:
            best, proven = self._search_of_many.best_many(queries)
        else:
            best, values = self._run(self._values, {Input.FEATURES: queries.vectors})
            proven = ~self._are_close(values)
        rerun_each(self._run, self._chosen, queries, ~proven, [best])
        return best


def rerun_each(
    run: Run, outputs: tuple[str, ...], queries: Queries, which: npt.NDArray[np.bool_], answers: list[npt.NDArray[Any]]
) -> None:
    """Run the session for each of some queries, bool, (b,), alone, and put the outputs into the answers, (b,) each."""
    for place in np.flatnonzero(which):
        alone = slice(place, place + 1)
        for answer, found in zip(answers, run(outputs, {Input.FEATURES: queries.vectors[alone]}), strict=True):
            answer[alone] = found
