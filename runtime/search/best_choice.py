"""The best choice: by a search where the search proves it, else by the whole graph.

A search either returns whether its candidate is proven, or an estimate of each choice's score, see
`modelpick.runtime.search.margins`.
"""

from collections.abc import Callable, Mapping
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from ..artifact.onnx_reader import Tensor
from ..artifact.tables import DOUBLES, FLOATS, Spec, optional
from ..queries import Queries, Query
from ..schema import Input, Output, Table
from ..session import Run, Subgraph
from .layers import Layers
from .margins import MARGIN_SPEC, Centroids, Found, Margin

_ESTIMATE = (Output.ESTIMATE,)
# A search by estimates has a session without the optional branch. It takes queries in float32, as encoders make them,
# unless offsets are multiplied by norms, whose error in float32 is too large.
ESTIMATES = Subgraph(_ESTIMATE, needs=Table.MARGIN, single_without=Table.OFFSETS)
SUBGRAPHS = (Subgraph(), ESTIMATES)
SEARCH_ONLY = np.array(False)


def search_tables(choices: str) -> dict[str, Spec]:
    """Return the specifications of a search's initializers, given the name of the number of choices."""
    return optional(
        {
            Table.CENTROIDS: Spec(FLOATS, (choices, "features")),
            Table.MARGIN: MARGIN_SPEC,
            Table.OFFSETS: Spec(DOUBLES, (choices,)),
        }
    )


class Estimated:
    """A search that returns estimates.

    Parameters
    ----------
    run, tables
        What runs the artifact's session, and its initializers.
    """

    def __init__(self, run: Run, tables: Mapping[str, Tensor]) -> None:
        self._run, self._margin = run, Margin(tables[Table.MARGIN], tables.get(Table.OFFSETS))
        self._centroids = Centroids(tables[Table.CENTROIDS]) if Table.CENTROIDS in tables else None
        self._layers = Layers.of(tables)
        # The type of queries of this subgraph's session.
        self._kind = np.dtype(np.float32 if ESTIMATES.is_single(tables) else np.float64)

    def best_one(self, query: Query) -> int | None:
        """Return the best choice of one query, if it is proven."""
        vector, squared_norm = query
        norm = sqrt(squared_norm)
        needed = self._margin.needed(norm)
        if needed is None:  # the query may be too long for float32
            return None
        given = vector if vector.dtype is self._kind else vector.astype(self._kind, copy=False)
        (estimates,) = self._run(_ESTIMATE, {Input.FEATURES: given})
        best = self._margin.best_one(estimates, norm, needed)
        if best is None and self._centroids is not None:
            return self._centroids.nearest(estimates[0], needed, vector[0], squared_norm)
        if best is None and self._layers is not None:
            return self._layers.best_one(vector[0], needed)
        return best

    def best_many(self, queries: Queries) -> Found:
        """Return the best choice of each query by the search, and whether it is proven."""
        vectors, norms = queries.vectors, np.sqrt(queries.squared_norms)
        if vectors.dtype != self._kind:
            with np.errstate(over="ignore"):  # queries that are too long
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
    """A search whose graph returns what is proven."""

    _OUTPUTS = (Output.CANDIDATE, Output.CERTAIN)

    def __init__(self, run: Run) -> None:
        self._run = run

    def best_one(self, query: Query) -> int | None:
        """See `Estimated.best_one`."""
        candidate, certain = self._run(self._OUTPUTS, {Input.FEATURES: query.vector, Input.REFINE: SEARCH_ONLY})
        return int(candidate.item()) if certain.item() else None

    def best_many(self, queries: Queries) -> Found:
        """See `Estimated.best_many`."""
        candidates, certain = self._run(self._OUTPUTS, {Input.FEATURES: queries.vectors, Input.REFINE: SEARCH_ONLY})
        return candidates, certain


class BestChoice:
    """Finds the best choice: by a search where the search proves it, else by the whole graph.

    Parameters
    ----------
    run, tables
        What runs the artifact's session, and its initializers.
    chosen, values
        Outputs of the graph: the index of the best choice, int64, (b,), and the values of the choices.
    are_close
        Whether rounding of the values could decide, (b,).
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
        self.search: Estimated | Certified = Estimated(run, tables) if Table.MARGIN in tables else Certified(run)
        # A search in float64 has no bound on its rounding errors: it decides only for single queries.
        self._search_of_many = None if Table.NO_ERROR in tables else self.search

    def one(self, query: Query) -> int:
        """Find the best choice of one query."""
        best = self.search.best_one(query)
        if best is None:
            best = self._run(self._chosen, {Input.FEATURES: query.vector})[0].item()
        return best

    def many(self, queries: Queries) -> npt.NDArray[np.int64]:
        """Find the best choices of many queries, (b,). Queries that are not proven are computed one by one."""
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
    """Run the session for each query of a mask, bool, (b,), alone, and put the outputs into the answers, (b,) each."""
    for place in np.flatnonzero(which):
        alone = slice(place, place + 1)
        for answer, found in zip(answers, run(outputs, {Input.FEATURES: queries.vectors[alone]}), strict=True):
            answer[alone] = found
