"""The best of some choices, where a search in float32 proves it.

A search either says itself whether its candidate is proven, or returns an estimate of each choice's score. Estimates
are off by at most an error that grows with the query's length: the best is proven where it leads all others by more,
see `modelpick.converter.graphs.leads`. To compute that here spares the graph a dozen nodes, each of which takes longer
to start than to run.

`Lead.best` answers for one query, `Lead.bests` for many; why there are two of each is said in
`modelpick.runtime.algorithms.base`.
"""

from collections.abc import Mapping
from math import inf, sqrt
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..artifact.onnx_reader import Tensor
from ..query import Queries, squared_norms
from ..schema import Input, Output, Table
from ..session import Run

Estimates = npt.NDArray[np.float32]
SEARCH_ONLY = np.array(False)
# So many choices of one query are compared in Python, more in numpy.
FEW = 40


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

    def best(self, estimates: Estimates, squared_norm: float) -> int | None:
        """Return the best choice of one query of that squared norm by its estimates, (1, n); None if not proven."""
        norm = sqrt(squared_norm)
        if not self._shortest < norm < self._longest:
            return None
        if estimates.shape[1] > FEW:
            row = estimates if self._offsets is None else estimates + norm * self._offsets
            best, ahead = int(row.argmax()), float(_ahead(row)[0])
        else:
            values: list[float] = estimates.tolist()[0]
            if self._offset_list is not None:
                values = [value + norm * offset for value, offset in zip(values, self._offset_list, strict=True)]
            ordered = sorted(values)
            best = values.index(ordered[-1])
            ahead = ordered[-1] - ordered[-2] if len(ordered) > 1 else inf
        return best if ahead > self._slope * norm + self._constant else None

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


class Search(Protocol):
    """Searches for the best choice."""

    def best(self, run: Run, query: Queries, squared_norm: float) -> int | None:
        """Return the best choice of one query, (1, d), if it is proven."""

    def bests(self, run: Run, queries: Queries) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Return the best choice of each query, (b, d), as the search has it, and whether it is proven: (b,) each."""


class Estimated:
    """A search that returns estimates."""

    _OUTPUTS = (Output.ESTIMATE,)

    def __init__(self, lead: Lead) -> None:
        self._lead = lead

    def best(self, run: Run, query: Queries, squared_norm: float) -> int | None:
        """See `Search`."""
        (estimates,) = run(self._OUTPUTS, {Input.FEATURES: query, Input.REFINE: SEARCH_ONLY})
        return self._lead.best(estimates, squared_norm)

    def bests(self, run: Run, queries: Queries) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """See `Search`."""
        (estimates,) = run(self._OUTPUTS, {Input.FEATURES: queries, Input.REFINE: SEARCH_ONLY})
        return self._lead.bests(estimates, np.sqrt(squared_norms(queries)))


class Settled:
    """A search that says itself what is proven."""

    _OUTPUTS = (Output.CANDIDATE, Output.CERTAIN)

    def best(self, run: Run, query: Queries, squared_norm: float) -> int | None:
        """See `Search`."""
        candidate, certain = run(self._OUTPUTS, {Input.FEATURES: query, Input.REFINE: SEARCH_ONLY})
        return int(candidate.item()) if certain.item() else None

    def bests(self, run: Run, queries: Queries) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """See `Search`."""
        candidates, certain = run(self._OUTPUTS, {Input.FEATURES: queries, Input.REFINE: SEARCH_ONLY})
        return candidates, certain


def search_of(tables: Mapping[str, Tensor]) -> Search | None:
    """Return the search of an artifact with such initializers; None where it has none."""
    if Table.LEAD in tables:
        return Estimated(Lead(tables[Table.LEAD], tables.get(Table.OFFSETS)))
    return Settled() if Table.REFINE in tables else None
