"""The nearest rows of a query: by a search alone, else by float64 distances, else by a search for more rows.

The search runs in onnxruntime; for one query among few rows, in numpy. Distances of the few candidates that it leaves
open are computed here, from the rows in the artifact's bytes, which takes less time than another run.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from functools import partial
from itertools import accumulate
from math import inf, sqrt
from sys import maxsize
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from ..artifact.metadata import Metadata
from ..artifact.onnx_reader import Tensor
from ..artifact.protobuf import MalformedError
from ..artifact.tables import DOUBLES, FLOATS, INTEGERS, SINGLES, Spec, Specs, optional
from ..errors import ArtifactError
from ..queries import Queries, Query, Vectors, squared_norms
from ..schema import Input, Metric, Output, Stored, Table
from ..session import Run, Subgraph
from . import integers
from .distances import StoredRows, squared_distances
from .early_exit import Found, Ranked, apart_many, apart_one
from .few import FewRows
from .integers import IntegerSearch

OUTPUTS = (Output.SCORE, Output.CANDIDATE)
SUBGRAPHS = (Subgraph(OUTPUTS, unpacked_with=Table.MANY), integers.SUBGRAPH)
# Shorter queries have no direction.
TINY = 1e-150
# A repeated search looks at `GROWTH` times as many candidates. At most `BLOCK` rows are measured at once.
GROWTH, BLOCK = 8, 512
_Value = TypeVar("_Value", float, npt.NDArray[np.float64])


def nearest_tables(rows: str) -> Specs:
    """Return the specifications of the initializers that `Nearest` reads, given the name of the number of rows."""
    count, bound = Spec(INTEGERS, (1,), 1), Spec(DOUBLES, (), 0)
    return {
        Stored.ROWS: Spec(FLOATS, ("distinct", "features")),
        Table.MEMBERS: Spec(INTEGERS, ("distinct", "group"), 0, check=partial(_check_members, rows)),
        Table.K: count,
        Table.CANDIDATES: count,
        Table.ERROR_SLOPE: bound,
        Table.ERROR_CONSTANT: bound,
        **optional(
            {
                Table.SEARCH_ROWS: Spec(SINGLES, ("distinct", "features")),
                Table.SEARCH_NORMS: Spec(SINGLES, ("distinct",)),
                Table.INTEGER_ERROR: Spec(DOUBLES, (2,), 0),
                Table.HEAVY: Spec(INTEGERS, ("heavy",), 0, "features"),
                Table.CENTER: Spec(DOUBLES, ("features",)),
                Table.FACTOR: bound,
                Table.TOGETHER: count,
                **dict.fromkeys((Table.SINGLES, Table.MANY), count._replace(least=0)),
            }
        ),
    }


def _check_members(length: str, members: Tensor, lengths: Mapping[str, int]) -> None:
    """Check that each entry of the members is a non-empty ascending list of rows, padded, and no row occurs twice."""
    rows, k = lengths[length], lengths["k"]
    filled = members == rows
    ascends = (members[:, 1:] > members[:, :-1]) | filled[:, 1:]
    counts = np.bincount(members[~filled]) if members.max() <= rows else np.zeros(1)
    if filled[:, 0].any() or not ascends.all() or counts.max() != 1 or not 0 < k <= counts.sum():
        raise MalformedError(f"its tensor {Table.MEMBERS}: expected {k} rows or more, each once and in ascending order")


class Neighbours(NamedTuple):
    """Rows of the artifact, nearest first, (k,) each."""

    rows: npt.NDArray[np.int64]
    distances: npt.NDArray[np.float64]


class Nearest:
    """Finds the k nearest rows, exactly, by running a KNN graph; see `modelpick.converter.graphs.neighbours`.

    Parameters
    ----------
    run, tables
        What runs the artifact's session, and its initializers.
    metadata
        Metadata of the artifact: ``k``, the number of wanted rows, ``n_features_in``, and ``metric``. For all metrics
        except the Euclidean one, the graph scales queries to unit length.
    """

    def __init__(self, run: Run, tables: Mapping[str, Tensor], metadata: Metadata) -> None:
        k, width, metric = metadata.k, metadata.n_features_in, metadata.metric
        if tables[Table.K].tolist() != [k]:
            raise ArtifactError(f"expected {k} neighbours, got {tables[Table.K].tolist()}")
        self._run, self._k, self._unit, self._is_cosine = run, k, metric != Metric.EUCLIDEAN, metric == Metric.COSINE
        self._scale = float(tables[Table.FACTOR]) ** 2 if Table.FACTOR in tables else 1.0
        self._members = tables[Table.MEMBERS]
        self._distinct = len(self._members)
        self._n_rows = len(tables[Table.ROW_MODEL]) if Table.ROW_MODEL in tables else self._distinct
        self._sizes = (self._members < self._n_rows).sum(axis=1)
        self._size_list: list[int] = self._sizes.tolist()
        self._rows = StoredRows(tables[Stored.ROWS])
        self._count = int(tables[Table.CANDIDATES][0])
        # All distinct rows are candidates: no row is outside.
        self.complete = self._count >= self._distinct
        self._slope, self._constant = 2.0 * float(tables[Table.ERROR_SLOPE]), 2.0 * float(tables[Table.ERROR_CONSTANT])
        self._center = tables.get(Table.CENTER)
        if self._center is not None:
            self._center2 = float(self._center @ self._center)
            # More than the rounding errors of the three sums that expand the square.
            self._slack = width * 2.0**-50
        self._singles, self._together, self._many = (
            int(tables[name][0]) if name in tables else default
            for name, default in ((Table.SINGLES, 0), (Table.TOGETHER, maxsize), (Table.MANY, maxsize))
        )
        self._of_one: IntegerSearch | FewRows | None = None
        if Table.INTEGERS in tables:
            self._of_one = IntegerSearch(run, tables, -(-k // min(k, int(self._sizes.min()))), self._unit)
        elif FewRows.suits(tables):
            self._of_one = FewRows(tables, self._unit)
        # The greatest length of a query of unit length after it is moved.
        self._most = (1.0 + (0.0 if self._center is None else sqrt(self._center2))) ** 2 * (1.0 + width * 2.0**-50)

    def search_many(self, queries: Queries) -> Found:
        """Find candidates of many queries without exact distances; a few queries one by one, where this is faster."""
        count = len(queries.vectors)
        if self._together < count <= self._many:
            blocks = [slice(first, first + self._together) for first in range(0, count, self._together)]
            found = [self.search_many(queries.some(block)) for block in blocks]
            return Found(*map(np.concatenate, zip(*found, strict=True)))
        if count > self._singles:
            return Found(*self._run(OUTPUTS, {Input.FEATURES: queries.vectors}))
        each = [self.search_one(queries.one(place)) for place in range(count)]
        return Found(
            np.array([ranked.scores[: self._count] for ranked in each], dtype=np.float32),
            np.array([ranked.candidates[: self._count] for ranked in each]),
        )

    def search_one(self, query: Query) -> Ranked:
        """Find candidates of one query without their exact distances."""
        ranked = None if self._of_one is None else self._of_one.search(query)
        return self._search(query, {}) if ranked is None else ranked

    def _search(self, query: Query, counts: dict[str, npt.NDArray[np.int64]]) -> Ranked:
        scores, candidates = self._run(OUTPUTS, {Input.FEATURES: query.vector, **counts})
        return Ranked(scores.tolist()[0], candidates.tolist()[0], self.gap_one(query))

    def distance(self, query: Query, ranked: Ranked | None = None) -> float:
        """Return the distance of one query to the nearest row, as exactly as float32 scores allow.

        Where its candidates are known, this takes no search.
        """
        score, (vector, q2) = (ranked or self.search_one(query)).scores[0], query
        if self._unit:
            vector, q2 = vector / max(sqrt(q2), TINY), min(q2 / TINY, 1.0)
        if self._center is not None:
            vector = vector - self._center
            q2 = float(np.vdot(vector, vector))
        squared = max(score / self._scale + q2, 0.0)
        return squared / 2.0 if self._is_cosine else sqrt(squared)

    def nearest_squares(self, queries: Queries, found: Found) -> npt.NDArray[np.float64]:
        """Return the squared distances of many queries to their nearest rows, given their candidates: (b,).

        They differ from the squares of `distance` by less than `gap_many`.
        """
        vectors, squares = queries
        if self._unit:
            vectors, squares = vectors / np.maximum(np.sqrt(squares), TINY)[:, None], np.minimum(squares / TINY, 1.0)
        if self._center is not None:
            squares = squared_norms(vectors - self._center)
        nearest: npt.NDArray[np.float64] = np.maximum(found.scores[:, 0] / self._scale + squares, 0.0)
        return nearest

    def gap_one(self, query: Query) -> float:
        """Return how far apart the scores of two rows must be, for one query, to prove which row is nearer."""
        q2 = query.squared_norm
        if self._unit:
            q2 = self._most
        elif self._center is not None:
            q2 = self._moved(q2, float(np.vdot(query.vector, self._center)))
        return self._slope * q2 + self._constant

    def gap_many(self, queries: Queries) -> npt.NDArray[np.float64]:
        """Return the gaps of many queries, (b,)."""
        vectors, squared_norms = queries
        if self._unit:
            return np.full(len(vectors), self._slope * self._most + self._constant)
        if self._center is not None:
            squared_norms = self._moved(squared_norms, np.einsum("ij,j->i", vectors, self._center))
        gaps: npt.NDArray[np.float64] = self._slope * squared_norms + self._constant
        return gaps

    def _moved(self, q2: _Value, product: _Value) -> _Value:
        """Return an upper bound on ``|q - center|^2``, given ``|q|^2`` and ``q.center``."""
        return (q2 + self._center2) * (1.0 + self._slack) - 2.0 * product

    def neighbours(self, query: Query) -> Neighbours:
        """Find the k nearest rows of one query, and their distances."""
        return self._neighbours(query, self.search_one(query), self._k)

    def nearest_of(self, query: Query, wanted: npt.NDArray[np.bool_]) -> Neighbours:
        """Find the nearest of the rows of a mask, shape (n,), which includes at least one row."""
        return self._neighbours(query, self._search_more(query), 1, np.append(wanted, False))

    def rows_one(self, query: Query, ranked: Ranked) -> npt.NDArray[np.int64]:
        """Find the k nearest rows of one query, nearest first, (k,), given its candidates."""
        return self._neighbours(query, ranked, self._k).rows

    def rows_many(self, queries: Queries, found: Found) -> npt.NDArray[np.int64]:
        """Find the k nearest rows of many queries, (b, k); the result for a query is the same in any batch."""
        each = found.each(self.gap_many(queries))
        return np.stack([self.rows_one(queries.one(place), ranked) for place, ranked in enumerate(each)])

    def measured(self, query: Query, ranked: Ranked) -> Ranked | None:
        """Rank candidates by squared distances where scores leave open which of them are among the k nearest.

        Candidates that are certainly among the k nearest come first, at distance minus infinity; candidates that are
        certainly not come last, at infinity. None where nothing is open, or where rows that are no candidates may be
        among the k nearest.
        """
        scores, candidates, gap = ranked
        within = self._within(ranked, map(self._size_list.__getitem__, candidates), self._k)
        if within is None or within[1] - within[0] < 2:
            return None
        first, behind = within
        while first and scores[first] - scores[first - 1] <= gap:
            first -= 1
        open_ones = candidates[first:behind]
        squared = self._squared_distances(query.vector, np.array(open_ones)).tolist()
        ordered = sorted(zip(squared, open_ones, strict=True))
        return Ranked(
            [-inf] * first + [distance for distance, _ in ordered] + [inf] * (len(scores) - behind),
            candidates[:first] + [candidate for _, candidate in ordered] + candidates[behind:],
            0.0,
        )

    def _neighbours(
        self, query: Query, ranked: Ranked, k: int, wanted: npt.NDArray[np.bool_] | None = None
    ) -> Neighbours:
        """Find the k nearest rows among the candidates, else among more candidates, else among all rows."""
        near = self._near(ranked, k, wanted)
        if near is None:
            near = self._near(self._search_more(query), k, wanted)
        if near is None:
            near = np.arange(self._distinct)
        squared = self._squared_distances(query.vector, near)
        members = self._members[near]
        kept = members < self._n_rows if wanted is None else wanted[members]
        rows, squared = members[kept], squared.repeat(kept.sum(axis=1))
        nearest = np.lexsort((rows, squared))[:k]
        return Neighbours(rows[nearest], squared[nearest] / 2.0 if self._is_cosine else np.sqrt(squared[nearest]))

    def _near(self, ranked: Ranked, k: int, wanted: npt.NDArray[np.bool_] | None) -> npt.NDArray[np.int64] | None:
        """Select the candidates that may be among the k nearest, ascending by score; None where other rows may be."""
        near = np.array(ranked.candidates)
        sizes = self._sizes[near] if wanted is None else wanted[self._members[near]].sum(axis=1)
        within = self._within(ranked, sizes.tolist(), k)
        if within is None:
            return None
        _, count = within
        return near[:count] if wanted is None else near[:count][sizes[:count] > 0]

    def _within(self, ranked: Ranked, sizes: Iterable[int], k: int) -> tuple[int, int] | None:
        """Find the candidate that completes k rows, and how many candidates may be among the k nearest.

        None where rows that are no candidates may be. All candidates up to the completing one score at most as high as
        it does. Therefore the k-th distance is at most that of its score plus the error, and candidates that score more
        than two errors above it are farther.

        Parameters
        ----------
        sizes
            Number of rows that each candidate stands for.
        """
        scores = ranked.scores
        place = next((place for place, rows in enumerate(accumulate(sizes)) if rows >= k), len(scores))
        count = bisect_right(scores, scores[place] + ranked.gap) if place < len(scores) else len(scores)
        return None if count == len(scores) and not self.complete else (place, count)

    def _squared_distances(self, vector: Vectors, near: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        if len(near) > BLOCK:
            blocks = (near[first : first + BLOCK] for first in range(0, len(near), BLOCK))
            return np.concatenate([self._squared_distances(vector, block) for block in blocks])
        return squared_distances(self._rows.take(near), vector, self._unit)

    def _search_more(self, query: Query) -> Ranked:
        return self._search(query, {Input.CANDIDATES: np.array([min(GROWTH * self._count, self._distinct)])})

    def set_one(self, query: Query, ranked: Ranked) -> npt.NDArray[np.int64]:
        """Find the k nearest rows of one query, (1, k), ascending, given its candidates.

        All rows of the artifact must be distinct.
        """
        return np.sort(self._set_one(query, ranked)[None])

    def set_many(self, queries: Queries, found: Found) -> npt.NDArray[np.int64]:
        """Find the k nearest rows of many queries: (b, k); see `set_one`."""
        gaps = self.gap_many(queries)
        rows = found.candidates[:, : self._k].copy()
        left = np.flatnonzero(~apart_many(found.scores, gaps, self.complete)[:, self._k - 1])
        for place, ranked in zip(left, found.some(left).each(gaps[left]), strict=True):
            rows[place] = self._set_one(queries.one(place), ranked)
        return np.sort(rows)

    def _set_one(self, query: Query, ranked: Ranked) -> npt.NDArray[np.int64]:
        """Find the k nearest rows of one query, (k,), in any order, given its candidates."""
        known: Ranked | None = ranked
        if not self._is_proven(ranked):
            known = self.measured(query, ranked)
        if known is None or not self._is_proven(known):
            return self.rows_one(query, ranked)
        return np.array(known.candidates[: self._k])

    def _is_proven(self, ranked: Ranked) -> bool:
        return apart_one(ranked.scores, self._k - 1, ranked.gap, self.complete)
