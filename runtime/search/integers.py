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
from .moving import SHORTEST, Moving

SUBGRAPH = Subgraph((Output.INTEGER_SCORE, Output.INTEGER_CANDIDATE), Table.INTEGERS, Input.INTEGERS)
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
        self._run, self._wanted, self._kept = run, wanted, int(tables[Table.CANDIDATES][0])
        self._slope, constant = tables[Table.INTEGER_ERROR].tolist()
        self._moved = Moving(tables, unit, constant)
        self._rows = StoredRows(tables.get(Table.SEARCH_ROWS, tables[Stored.ROWS]))
        self._norms, self._heavy = tables[Table.SEARCH_NORMS], tables.get(Table.HEAVY)

    def search(self, query: Query) -> Ranked | None:
        """Return candidates for one query.

        None where the query is too short or too long for this search, or where rows that were not scored may be wanted.
        """
        moved = self._moved(query)
        if moved is None:
            return None
        vector, squared_norm, gap = moved
        light = self._light(vector, squared_norm)
        if not light > SHORTEST:
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
        light: float = squared_norm * self._moved.slack
        if self._heavy is not None:
            heavy = vector[self._heavy]
            light -= float(np.vdot(heavy, heavy))
        return light
