"""The nearest rows of one query by a search in 8-bit integers, the best of which are scored in float32.

`modelpick.converter.graphs.integer_search` explains how the integers are made, and gives the bound on their error.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from math import inf, sqrt

import numpy as np

from ..artifact.onnx_reader import Tensor
from ..queries import Query
from ..schema import Input, Output, Stored, Table
from ..session import Run, Subgraph
from .distances import StoredRows
from .early_exit import Ranked

SUBGRAPH = Subgraph((Output.INTEGER_SCORE, Output.INTEGER_CANDIDATE), Table.INTEGERS, Input.INTEGERS)
# Squared norms of queries: shorter queries lose digits in float32; products of longer queries with rows may overflow
# it.
SHORTEST, LONGEST = 1e-30, 1e30
# Rows are scored if, by their integers, they may be nearer than the last wanted row. The error of integers is taken
# `SPARE` times, since integers do not tell exactly which row is the last wanted one.
SPARE = 1.15


class IntegerSearch:
    """Searches for one query.

    Parameters
    ----------
    run, tables
        What runs the artifact's session, and its initializers.
    wanted
        Number of distinct rows that may be wanted.
    unit
        Whether queries are scaled to unit length.
    """

    def __init__(self, run: Run, tables: Mapping[str, Tensor], wanted: int, unit: bool) -> None:
        self._run, self._wanted, self._kept, self._unit = run, wanted, int(tables[Table.CANDIDATES][0]), unit
        rows = tables.get(Table.SEARCH_ROWS, tables[Stored.ROWS])
        self._rows, self._norms = StoredRows(rows), tables[Table.SEARCH_NORMS]
        self._center, self._heavy = tables.get(Table.CENTER), tables.get(Table.HEAVY)
        self._factor = float(tables[Table.FACTOR]) if Table.FACTOR in tables else 1.0
        self._slope, constant = tables[Table.INTEGER_ERROR].tolist()
        self._gap_slope, self._gap_constant = 2.0 * float(tables[Table.ERROR_SLOPE]), 2.0 * constant
        # More than the rounding errors of a squared norm.
        self._slack = 1.0 + rows.shape[1] * 2.0**-50

    def search(self, query: Query) -> Ranked | None:
        """Return candidates for one query.

        None where the query is too short or too long for this search, or where rows that were not scored may be wanted.
        """
        vector, squared_norm = query.vector[0], query.squared_norm
        if self._unit:
            if squared_norm < SHORTEST:
                return None
            vector = vector / sqrt(squared_norm)
        if self._center is not None:
            vector = vector - self._center
        if self._unit or self._center is not None:
            squared_norm = float(np.vdot(vector, vector))
        gap = self._gap_slope * squared_norm + self._gap_constant
        if self._factor != 1.0:
            vector, squared_norm = vector * self._factor, squared_norm * self._factor**2
        light = self._light(vector, squared_norm)
        if not SHORTEST < light <= squared_norm * self._slack < LONGEST:
            return None
        lowest, found = self._run(SUBGRAPH.outputs, {Input.FEATURES: query.vector})
        error, estimates = self._slope * sqrt(light), lowest.tolist()[0]
        count = max(bisect_right(estimates, estimates[self._wanted - 1] + SPARE * error), self._kept)
        near = found[0, :count]
        products = self._rows.take(near).dot(vector.astype(self._rows.dtype, copy=False))
        scores = self._norms.take(near)
        scores -= products + products
        order = scores.argsort()
        # All rows that were not scored would score at least this.
        outside = inf if count == len(self._norms) else estimates[min(count, len(estimates) - 1)] - error
        ranked = scores.take(order).tolist()
        below = bisect_left(ranked, outside)
        if below < self._wanted:
            return None
        ranked[below:] = [outside] * (count - below)
        return Ranked(ranked, near.take(order).tolist(), gap)

    def _light(self, vector: Tensor, squared_norm: float) -> float:
        """Return a bound on the squared norm of the columns that integers stand for."""
        light: float = squared_norm * self._slack
        if self._heavy is not None:
            heavy = vector[self._heavy]
            light -= float(np.vdot(heavy, heavy))
        return light
