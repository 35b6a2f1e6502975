"""What the rows of KNN share: exact distances, and how they are held to their graph."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from modelpick.runtime.decision.voting import Weights
from modelpick.runtime.schema import Entry, Metric

from ...graphs.unit_length import directions
from ..base import Estimator, Matrix, checked_features
from ..row import TOLERANCE, Answer, Explanation, Option, difference, explained_scores

Rows = npt.NDArray[np.int64]
# Quality of a row that has none.
DEFAULT_QUALITY = 0.5
# Distances from one chunk of queries to every row: 8 MiB of float64.
CHUNK_VALUES = 2**20
# Rows of a model whose distances to the others are recorded.
MOST_ROWS = 128
K = Option("k", "1 or more, for a KNN model", lambda k: k >= 1)


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


def describe_neighbours(estimator: ExactNeighbors, weights: Weights, tie_rule: str) -> dict[str, Any]:
    """Return the metadata entries of an estimator whose neighbours weigh."""
    distinct = int(estimator.row_groups_.max()) + 1
    return {
        Entry.CHOICES: list(estimator.model_names_),
        Entry.ROWS: len(estimator.row_groups_),
        Entry.K: min(estimator.n_neighbors, estimator.n_samples_fit_),
        Entry.METRIC: estimator.ranking,
        Entry.QUALITY_WEIGHT: weights.quality,
        Entry.SPEED_WEIGHT: weights.speed,
        Entry.MIN_QUALITY: weights.min_quality,
        Entry.TIE_RULE: tie_rule,
        Entry.DISTINCT: distinct,
        Entry.VALUES_PER_QUERY: distinct + estimator.n_features_in_,
    }


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

    query: Matrix
    """Float64, shape (d,)."""
    explained: Answer
    explained_rows: Rows
    """Rows in the JSON model, shape (k,)."""
    distances: Matrix
    """By the estimator, ascending, shape (k,)."""
    rows: Rows
    """By the estimator, shape (k,)."""


def found_neighbours(estimator: ExactNeighbors, queries: Matrix, explained: Sequence[Explanation]) -> Iterator[Found]:
    """Yield the neighbours of each query on both sides."""
    for query, why, distances, rows in zip(queries, explained, *estimator.kneighbors(queries), strict=True):
        neighbours = why["neighbours"]
        answer = Answer(
            explained_scores(why, estimator.model_names_), np.array([neighbour["distance"] for neighbour in neighbours])
        )
        yield Found(query, answer, np.array([neighbour["row"] for neighbour in neighbours]), distances, rows)


def are_as_near(estimator: ExactNeighbors, query: Matrix, chosen: Rows, nearest: Matrix) -> bool:
    """Return whether rows, each once, are as near as the nearest distances, but for roundings."""
    if len(np.unique(chosen)) != len(nearest) or chosen.min() < 0 or chosen.max() >= estimator.n_samples_fit_:
        return False
    return difference(estimator.distances(query[None])[0, chosen], nearest) <= TOLERANCE
