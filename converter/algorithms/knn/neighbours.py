"""What the rows of KNN share: exact distances, and how they are held to their graph."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from modelpick.runtime.schema import Metric, Output

from ...graphs.unit_length import directions
from ..base import Estimator, Matrix, checked_features
from ..row import TOLERANCE, Answer, Explanation, Held, Option, WholeGraph, difference, explained_scores

Rows = npt.NDArray[np.int64]
# Quality of a row that has none.
DEFAULT_QUALITY = 0.5
# Distances from one chunk of queries to every row: 8 MiB of float64.
CHUNK_VALUES = 2**20
# Rows of a model whose distances to the others are recorded.
MOST_ROWS = 128
K = Option("k", "1 or more, for a KNN model", lambda k: k >= 1)
SHRINKAGE = Option(
    "shrinkage", "a number, 0 or more, for the semantics queries", lambda shrinkage: 0.0 <= shrinkage < np.inf
)


class ExactNeighbors(Estimator, NearestNeighbors):
    """Finds the nearest rows by (distance, row); each distance is computed from the difference of two vectors."""

    row_groups_: Rows
    """Number of each row among the distinct rows, shape (n,)."""
    n_neighbors: int
    n_samples_fit_: int

    @property
    def ranking(self) -> str:
        """One of `Metric`."""
        return Metric.EUCLIDEAN

    def kneighbors(self, X: npt.ArrayLike, n_neighbors: int | None = None, return_distance: bool = True) -> Any:
        """Find the nearest rows; equal distances go to the lower row.

        Returns
        -------
        (distances, rows), each of shape (b, k); rows alone with ``return_distance=False``
        """
        features = checked_features(self, X)
        k = min(n_neighbors or self.n_neighbors, self.n_samples_fit_)
        ranked, chunk = self._ranked_rows(), max(1, CHUNK_VALUES // self.n_samples_fit_)
        parts = [
            _nearest(self._distances(features[start : start + chunk], ranked), k)
            for start in range(0, len(features), chunk)
        ]
        distances, rows = (np.concatenate(part) for part in zip(*parts, strict=True))
        return (distances, rows) if return_distance else rows

    def distances(self, features: Matrix) -> Matrix:
        """Return the distances to every row, by the metric of `ranking`, shape (b, n)."""
        return self._distances(features, self._ranked_rows())

    def _ranked_rows(self) -> Matrix:
        rows: Matrix = self._fit_X
        return rows if self.ranking == Metric.EUCLIDEAN else directions(rows)

    def _distances(self, features: Matrix, ranked: Matrix) -> Matrix:
        if self.ranking == Metric.EUCLIDEAN:
            distances: Matrix = cdist(features, ranked)
            return distances
        chords: Matrix = cdist(directions(features), ranked)
        # Queries of zeros have no direction: unit vectors are equally far, whatever their last digits.
        chords[~features.any(axis=1)] = ranked.any(axis=1)
        # Half the squared distance of unit vectors, 2 - 2 a.b: it keeps its digits where they are close.
        return chords**2 / 2 if self.ranking == Metric.COSINE else chords


def _nearest(distances: Matrix, k: int) -> tuple[Matrix, Rows]:
    reach = np.partition(distances, k - 1, axis=1)[:, k - 1 : k]
    rows = np.empty((len(distances), k), dtype=np.int64)
    for query, within in enumerate(distances <= reach):
        candidates = np.flatnonzero(within)
        order = np.argsort(distances[query, candidates], kind="stable")
        rows[query] = candidates[order[:k]]
    return np.take_along_axis(distances, rows, axis=1), rows


def distances_between(estimator: Any, groups: Rows) -> Matrix:
    """Return the distances from some of an estimator's rows to all; infinite within a group: (s, n)."""
    first = np.unique(groups, return_index=True)[1]
    sample = first[np.linspace(0, len(first) - 1, min(MOST_ROWS, len(first))).astype(np.int64)]
    rows = estimator._ranked_rows()
    norms = np.einsum("ij,ij->i", rows, rows)
    # The expanded square loses digits that a rank does not need, and is many times faster than the difference.
    squares: Matrix = np.maximum(norms[sample][:, None] + norms - 2.0 * rows[sample] @ rows.T, 0.0)
    squares[groups[sample][:, None] == groups] = np.inf
    return squares / 2.0 if estimator.ranking == Metric.COSINE else np.sqrt(squares)


class Found(NamedTuple):
    """The neighbours of a query: those that the artifact explains, and those that the estimator finds."""

    explained: Answer
    distances: Matrix
    """By the estimator, ascending, shape (k,)."""
    rows: Rows
    """By the estimator; or those of the artifact where roundings decide; shape (k,)."""
    rounded: bool
    """Whether they do."""


def found_neighbours(
    estimator: ExactNeighbors,
    queries: Matrix,
    explained: Sequence[Explanation],
    groups: Rows,
    numbers: Mapping[int, int],
) -> Iterator[Found]:
    """Yield the neighbours of each query on both sides.

    Parameters
    ----------
    groups
        Number of each of the estimator's rows among the distinct ones, shape (n,).
    numbers
        Row in the JSON model -> the estimator's.
    """
    chosen = np.array([[numbers.get(one["row"], -1) for one in why["neighbours"]] for why in explained])
    for why, nearest, rows, rounded in zip(explained, *followed(estimator, queries, chosen, groups), strict=True):
        distances = np.array([neighbour["distance"] for neighbour in why["neighbours"]])
        answer = Answer(explained_scores(why, estimator.model_names_), distances)
        yield Found(answer, nearest, rows, bool(rounded))


class Followed(NamedTuple):
    """See `Found`, whose columns these are."""

    distances: Matrix
    rows: Rows
    rounded: npt.NDArray[np.bool_]


def followed(estimator: ExactNeighbors, queries: Matrix, chosen: Rows, groups: Rows) -> Followed:
    """Find the neighbours of queries, (b, d), and follow those that were chosen, (b, k), where roundings decide."""
    distances, rows = estimator.kneighbors(queries)
    rounded = np.full(len(queries), False)
    if chosen.shape != rows.shape:
        return Followed(distances, rows, rounded)
    for place in np.flatnonzero((chosen != rows).any(axis=1)):
        rounded[place] = _are_as_near(estimator, queries[place], chosen[place], distances[place], groups)
    return Followed(distances, np.where(rounded[:, None], chosen, rows), rounded)


def _are_as_near(estimator: ExactNeighbors, query: Matrix, chosen: Rows, nearest: Matrix, groups: Rows) -> bool:
    """Return whether rows, each once, are as near but for roundings as the nearest, of identical rows the lowest."""
    if len(np.unique(chosen)) != len(nearest) or chosen.min() < 0 or chosen.max() >= estimator.n_samples_fit_:
        return False
    for group in np.unique(groups[chosen]):
        among = chosen[groups[chosen] == group]
        if not np.array_equal(among, np.flatnonzero(groups == group)[: len(among)]):
            return False
    return difference(estimator.distances(query[None])[0, chosen], nearest) <= TOLERANCE


def hold_neighbours(
    estimator: ExactNeighbors, queries: Matrix, ask: WholeGraph, groups: Rows, columns: Mapping[str, npt.NDArray[Any]]
) -> Iterator[Held]:
    """Hold the outputs of the whole graph to the estimator, see `Row.hold`, as a client asks for them.

    Where neighbours are not certified, a client asks again with all distinct rows as candidates. With one candidate for
    one neighbour, another row may always be as near: a graph that certifies it certifies anything.

    Parameters
    ----------
    groups
        See `found_neighbours`.
    columns
        Output -> the values of all rows, of which it gives those of the neighbours.
    """
    names = (Output.ROW, Output.DISTANCE, *columns)
    certified, *found = ask((Output.CERTIFIED, *names), queries)
    for place in np.flatnonzero(~certified.ravel()):
        again = ask(names, queries[place : place + 1], candidates=int(groups.max()) + 1)
        for values, of_one in zip(found, again, strict=True):
            values[place] = of_one[0]
    distances, rows, _ = followed(estimator, queries, found[0], groups)
    expected = (rows, distances, *(values[rows] for values in columns.values()))
    yield from map(Held, names, found, expected)
    (bare,) = ask((Output.CERTIFIED,), queries, k=1, candidates=1)
    yield Held(Output.CERTIFIED, bare, np.full_like(bare, False))
