"""The nearest rows of one query by scores of all rows in numpy: for few rows, faster than the start of a run.

A run of onnxruntime also takes what is around it out of the processor's caches: from a prompt to a name, tokenizing
and looking up vectors take less time where no run follows them.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from ..artifact.onnx_reader import Tensor
from ..queries import Query
from ..schema import Stored, Table
from .early_exit import Ranked
from .moving import Moving

# Rows of more numbers take less time in onnxruntime, if it is called over and over.
MOST_NUMBERS: Final = 2**18


class FewRows:
    """Searches for one query; scores have the errors of `modelpick.converter.graphs.exact_search`, *plain*.

    Parameters
    ----------
    tables
        The artifact's initializers.
    unit
        Whether queries are scaled to unit length.
    """

    def __init__(self, tables: Mapping[str, Tensor], unit: bool) -> None:
        self._moved = Moving(tables, unit, float(tables[Table.ERROR_CONSTANT]))
        # Copied: numbers within a file's bytes need not be aligned. Minus two times a number is exact.
        self._rows = tables.get(Table.SEARCH_ROWS, tables[Stored.ROWS]).astype(np.float32) * np.float32(-2.0)
        self._norms = tables[Table.SEARCH_NORMS].astype(np.float32)
        self._kept = min(int(tables[Table.CANDIDATES][0]), len(self._rows))

    @staticmethod
    def suits(tables: Mapping[str, Tensor]) -> bool:
        """Whether an artifact has what this search needs, and few rows."""
        return Table.SEARCH_NORMS in tables and tables[Stored.ROWS].size <= MOST_NUMBERS

    def search(self, query: Query) -> Ranked | None:
        """Return candidates for one query; None where the query is too short or too long for this search."""
        moved = self._moved(query)
        if moved is None:
            return None
        scores = self._rows.dot(moved.vector.astype(np.float32))
        scores += self._norms
        near = scores.argpartition(self._kept - 1)[: self._kept]
        found = scores.take(near)
        order = found.argsort()
        return Ranked(found.take(order).tolist(), near.take(order).tolist(), moved.gap)
