"""The nearest rows of a query: by a search alone, else by exact distances, else by a look at more rows."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from math import sqrt
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from ..artifact.onnx_reader import Tensor
from ..query import Queries
from ..schema import Input, Metric, Output, Table
from ..session import Run
from .early_exit import are_known, lead, leads

OUTPUTS = (Output.ROW, Output.DISTANCE)
_PROVEN_OUTPUTS = (Output.CERTIFIED, *OUTPUTS)
_SEARCH_OUTPUTS = (Output.SCORE, Output.CANDIDATE)
_SEARCH_ONLY = np.array(False)
# Float64 values that one run may compute distances from.
DISTANCE_VALUES = 2**16
# Shorter queries have no direction.
TINY = 1e-150
# A search that is repeated looks at so many times more candidates, and then at blocks of so many.
GROWTH, BLOCK = 8, 4096
Neighbours = dict[str, npt.NDArray[Any]]
_Value = TypeVar("_Value", float, npt.NDArray[np.float64])


class Found(NamedTuple):
    """What a search alone found for queries, (b, c) each, in ascending order of score."""

    scores: npt.NDArray[np.float32]
    candidates: npt.NDArray[np.int64]

    def of(self, queries: npt.NDArray[np.int64]) -> "Found":
        """Take what was found for some of the queries."""
        return Found(self.scores[queries], self.candidates[queries])


class Nearest:
    """Finds the k nearest rows, exactly, by running a KNN graph; see `modelpick.converter.graphs.knn`.

    Parameters
    ----------
    tables
        Initializers of the artifact, see `modelpick.runtime.schema.Table`.
    k
        Number of rows that are wanted.
    width
        Width of a query.
    metric
        See `modelpick.runtime.schema.Metric`; but for the Euclidean one, the graph scales queries to unit length.
    """

    def __init__(self, tables: Mapping[str, Tensor], k: int, width: int, metric: str) -> None:
        self._k, self._unit, self._is_cosine = k, metric != Metric.EUCLIDEAN, metric == Metric.COSINE
        self._scale = float(tables[Table.FACTOR]) ** 2 if Table.FACTOR in tables else 1.0
        self._members = tables[Table.MEMBERS]
        self._distinct, self._most_members = self._members.shape
        n_rows = len(tables[Table.ROW_MODEL]) if Table.ROW_MODEL in tables else self._distinct
        self._sizes = (self._members < n_rows).sum(axis=1)
        self._candidates, kept = int(tables[Table.CANDIDATES][0]), tables.get(Table.KEPT)
        self._kept = None if kept is None else int(kept[0])
        # All distinct rows are candidates: none is outside.
        self.complete = (self._kept or self._candidates) >= self._distinct
        found = self._kept or self._candidates
        self._chunk = max(1, DISTANCE_VALUES // (width * found))
        # One more, if there is one: whether it is clearly farther than those that are wanted.
        self._k_and_next = min(k + 1, found * self._most_members)
        # By more than all roundings of a distance, and of scaling to unit length, two distances differ clearly.
        self._rounding = width * 2.0**-50
        self._slope, self._constant = 2.0 * float(tables[Table.ERROR_SLOPE]), 2.0 * float(tables[Table.ERROR_CONSTANT])
        self._center = tables.get(Table.CENTER)
        if self._center is not None:
            self._center2 = float(self._center @ self._center)
            # More than all roundings of the three sums that expand the square.
            self._slack = width * 2.0**-50
        # No query of unit length is longer, once it is moved.
        self._most = (1.0 + (0.0 if self._center is None else sqrt(self._center2))) ** 2 * (1.0 + width * 2.0**-50)

    def search(self, run: Run, queries: Queries) -> Found:
        """Find candidates without their exact distances."""
        return Found(*run(_SEARCH_OUTPUTS, {Input.FEATURES: queries, Input.REFINE: _SEARCH_ONLY}))

    def distance(self, run: Run, query: Queries, q2: float) -> float:
        """Measure one query to the nearest row, as closely as float32 scores allow."""
        score = float(self.search(run, query).scores[0, 0])
        if self._unit:
            query, q2 = query / max(sqrt(q2), TINY), min(q2 / TINY, 1.0)
        if self._center is not None:
            query = query - self._center
            q2 = float(np.vdot(query, query))
        squared = max(score / self._scale + q2, 0.0)
        return squared / 2.0 if self._is_cosine else sqrt(squared)

    def gap(self, query: Queries, q2: float) -> float:
        """Return how far apart the scores of two rows must be, for one query, to prove which is the nearer one."""
        if self._unit:
            q2 = self._most
        elif self._center is not None:
            q2 = self._moved(q2, float(np.vdot(query, self._center)))
        return self._slope * q2 + self._constant

    def gaps(self, queries: Queries) -> npt.NDArray[np.float64]:
        """Return the same for each of many queries, (b,)."""
        if self._unit:
            return np.full(len(queries), self._slope * self._most + self._constant)
        q2 = np.einsum("ij,ij->i", queries, queries)
        if self._center is not None:
            q2 = self._moved(q2, np.einsum("ij,j->i", queries, self._center))
        gaps: npt.NDArray[np.float64] = self._slope * q2 + self._constant
        return gaps

    def _moved(self, q2: _Value, product: _Value) -> _Value:
        """Bound ``|q - center|^2`` from above, given ``|q|^2`` and ``q.center``."""
        return (q2 + self._center2) * (1.0 + self._slack) - 2.0 * product

    def rows(self, run: Run, query: Queries, found: Found | None = None) -> Neighbours:
        """Find the k nearest rows of one query, nearest first: `OUTPUTS`, (1, k) each.

        Parameters
        ----------
        found
            What `search` found for the query, if it was called.
        """
        certified, *values = run(_PROVEN_OUTPUTS, {Input.FEATURES: query, **self._known(found)})
        if not (self.complete or certified.item()):
            return {name: value[None] for name, value in self._search_again(run, query).items()}
        return dict(zip(OUTPUTS, values, strict=True))

    def row_lists(self, run: Run, queries: Queries, found: Found) -> npt.NDArray[np.int64]:
        """Find the k nearest rows of many queries, nearest first, (b, k); ``found`` is what `search` found for them.

        A sum of squares depends in its last digits on where in memory the numbers stand, and so on the queries beside.
        Where these digits could decide, the rows are found as for the query alone.
        """
        shape = len(queries), self._k_and_next
        rows, distances, clear = np.empty(shape, np.int64), np.empty(shape), np.empty((len(queries), 1), np.bool_)
        for start in range(0, len(queries), self._chunk):
            chunk = slice(start, start + self._chunk)
            feeds = {Input.FEATURES: queries[chunk], Input.K: np.array([self._k_and_next])}
            known = self._known(Found(found.scores[chunk], found.candidates[chunk]))
            clear[chunk], rows[chunk], distances[chunk] = run(_PROVEN_OUTPUTS, {**feeds, **known})
        with np.errstate(invalid="ignore"):
            apart = np.diff(distances, axis=1) > self._rounding * (distances[:, :-1] + self._unit)
        equal = np.diff(self._group_of[rows], axis=1) == 0
        # Equal rows that are cut off may hide others that are as near: only scores prove that there are none.
        taken = self._sizes[found.candidates].cumsum(axis=1)
        proven = are_known(leads(found.scores, self.gaps(queries), self.complete), taken, self._k)
        equal[:, self._k - 1 :] = proven[:, None]
        rows = rows[:, : self._k]
        for place in np.flatnonzero(~((clear[:, 0] | self.complete) & (apart | equal).all(axis=1))):
            rows[place] = self.rows(run, queries[place : place + 1])[Output.ROW]
        return rows

    @cached_property
    def _group_of(self) -> npt.NDArray[np.int64]:
        """Number of the distinct row of each row that may count; of padding it has no meaning."""
        groups = np.empty(int(self._members.max()) + 1, dtype=np.int64)
        groups[self._members] = np.arange(self._distinct)[:, None]
        return groups

    def row_set(self, run: Run, query: Queries, squared_norm: float) -> npt.NDArray[np.int64]:
        """Find the k nearest rows of one query, (1, k), ascending, where all rows of the artifact are distinct."""
        found = self.search(run, query)
        if lead(found.scores[0].tolist(), self._k - 1, self.gap(query, squared_norm), self.complete):
            return np.sort(found.candidates[:, : self._k])
        return np.sort(self.rows(run, query, found)[Output.ROW])

    def row_sets(self, run: Run, queries: Queries) -> npt.NDArray[np.int64]:
        """Find the same for many queries: (b, k)."""
        found = self.search(run, queries)
        left = np.flatnonzero(~leads(found.scores, self.gaps(queries), self.complete)[:, self._k - 1])
        rows = found.candidates[:, : self._k].copy()
        if left.size:
            rows[left] = self.row_lists(run, queries[left], found.of(left))
        return np.sort(rows)

    def _known(self, found: Found | None) -> Neighbours:
        """Feed a graph that takes it what it found before; the others' search costs less than a branch."""
        if found is None or self._kept is None:
            return {}
        return {Input.KNOWN_SCORE: found.scores, Input.KNOWN_CANDIDATE: found.candidates}

    def _search_again(self, run: Run, query: Queries) -> Neighbours:
        """Look at more candidates, and then at block after block of all rows, until the answer is proven."""
        found: Neighbours = {}
        for first, candidates, kept in self._rounds():
            block, certified = self._block(run, query, first, candidates, kept)
            if first:
                block = {name: np.append(found[name], value) for name, value in block.items()}
            nearest = np.lexsort((block[Output.ROW], block[Output.DISTANCE]))[: self._k]
            found = {name: value[nearest] for name, value in block.items()}
            if certified:
                break
        return found

    def nearest_of(self, run: Run, query: Queries, wanted: npt.NDArray[np.bool_]) -> Neighbours:
        """Find the nearest of the wanted rows, shape (n,): outputs, (1, 1) each."""
        found: Neighbours = {}
        wanted = np.append(wanted, False)  # padding
        for number, (first, candidates, kept) in enumerate(self._rounds()):
            # Half of the candidates at first, so that there are others to prove them by; then all rows of each block.
            k = kept * self._most_members if number else max(1, kept // 2)
            block, certified = self._block(run, query, first, candidates, kept, k)
            mine = np.flatnonzero(wanted[block[Output.ROW]])
            if mine.size:
                near = mine[np.lexsort((block[Output.ROW][mine], block[Output.DISTANCE][mine]))[0]]
                row = {name: value[near : near + 1] for name, value in block.items()}
                if not found or _rank(row) < _rank(found):
                    found = row
                if certified:
                    break
        return {name: value[None] for name, value in found.items()}

    def _block(
        self, run: Run, query: Queries, first: int, candidates: int, kept: int, k: int | None = None
    ) -> tuple[Neighbours, bool]:
        feeds = {
            Input.FEATURES: query,
            Input.FIRST: np.array([first]),
            Input.CANDIDATES: np.array([candidates]),
        }
        if self._kept is not None:
            feeds[Input.KEPT] = np.array([kept])
        if k is not None:
            feeds[Input.K] = np.array([k])
        certified, *values = run((Output.CERTIFIED, *OUTPUTS), feeds)
        return {name: value[0] for name, value in zip(OUTPUTS, values, strict=True)}, bool(certified.all())

    def _rounds(self) -> Iterator[tuple[int, int, int]]:
        """Yield the first candidate, the end of the candidates, and how many of them are kept."""
        end = min(GROWTH * self._candidates, self._distinct)
        yield 0, end, min(GROWTH * (self._kept or self._candidates), end)
        end = 0
        while end < self._distinct:
            first, end = end, end + BLOCK
            if self._distinct - end < self._candidates:  # a block holds k rows at least
                end = self._distinct
            yield first, end, end - first


def _rank(row: Neighbours) -> tuple[float, int]:
    return float(row[Output.DISTANCE][0]), int(row[Output.ROW][0])
