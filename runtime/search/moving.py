"""One query, moved and scaled as the rows that it is searched among, see `modelpick.converter.graphs.rows`."""

from collections.abc import Mapping
from math import sqrt
from typing import NamedTuple

import numpy as np

from ..artifact.onnx_reader import Tensor
from ..queries import Query
from ..schema import Stored, Table

# Squared norms of queries: shorter queries lose digits in float32; products of longer queries with rows may overflow
# it.
SHORTEST, LONGEST = 1e-30, 1e30


class Moved(NamedTuple):
    """A query, moved and scaled."""

    vector: Tensor
    """Float64, shape (d,)."""
    squared_norm: float
    gap: float
    """How far apart the scores of two rows must be to prove which row is nearer."""


class Moving:
    """Moves and scales queries.

    Parameters
    ----------
    tables
        The artifact's initializers.
    unit
        Whether queries are scaled to unit length.
    constant
        Constant of the error of a score, see `Table.ERROR_CONSTANT`.
    """

    def __init__(self, tables: Mapping[str, Tensor], unit: bool, constant: float) -> None:
        self._unit, self._center = unit, tables.get(Table.CENTER)
        self._factor = float(tables[Table.FACTOR]) if Table.FACTOR in tables else 1.0
        self._gap_slope, self._gap_constant = 2.0 * float(tables[Table.ERROR_SLOPE]), 2.0 * constant
        # More than the rounding errors of a squared norm.
        self.slack = 1.0 + tables[Stored.ROWS].shape[1] * 2.0**-50

    def __call__(self, query: Query) -> Moved | None:
        """Move and scale a query; None where its direction, or its products with rows, may be lost."""
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
        return Moved(vector, squared_norm, gap) if squared_norm * self.slack < LONGEST else None
