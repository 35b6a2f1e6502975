"""The nearest rows in scikit-learn, exactly."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from modelpick.runtime.schema import Metric
from modelpick.runtime.search.distances import directions

from ..base import Estimator, Matrix, checked_features
from ..row import evenly_spaced

Rows = npt.NDArray[np.int64]
# Distances from one chunk of queries to all rows take 8 MiB of float64.
CHUNK_VALUES = 2**20


class ExactNeighbors(Estimator, NearestNeighbors):
    """Finds the nearest rows by (distance, row). Each distance is computed from the difference of two vectors."""

    embeddings_: Matrix
    """Rows to search, float64, shape (n, d)."""
    row_groups_: Rows
    """Index of each row of the JSON among the distinct rows."""
    n_neighbors: int
    n_samples_fit_: int

    @property
    def ranking(self) -> str:
        """One of `Metric`."""
        return Metric.EUCLIDEAN

    def keep(self, rows: Matrix) -> None:
        """Keep the rows to search, float64, shape (n, d)."""
        super().fit(rows)
        self.embeddings_ = rows

    def kneighbors(self, X: npt.ArrayLike, n_neighbors: int | None = None, return_distance: bool = True) -> Any:
        """Find the nearest rows; equal distances go to the lower row.

        Returns
        -------
        (distances, rows), each of shape (b, k); rows alone with ``return_distance=False``
        """
        features = checked_features(self, X)
        k = min(n_neighbors or self.n_neighbors, self.n_samples_fit_)
        ranked, chunk = self.ranked_rows(), max(1, CHUNK_VALUES // self.n_samples_fit_)
        parts = [
            _nearest(self._distances(features[start : start + chunk], ranked), k)
            for start in range(0, len(features), chunk)
        ]
        distances, rows = (np.concatenate(part) for part in zip(*parts, strict=True))
        return (distances, rows) if return_distance else rows

    def distances(self, features: Matrix) -> Matrix:
        """Return the distances to every row, by the metric of `ranking`, shape (b, n)."""
        return self._distances(features, self.ranked_rows())

    def ranked_rows(self) -> Matrix:
        """Return the vectors to measure to: the rows' directions, or the rows where distances are Euclidean."""
        return self.embeddings_ if self.ranking == Metric.EUCLIDEAN else directions(self.embeddings_)

    def _distances(self, features: Matrix, ranked: Matrix) -> Matrix:
        if self.ranking == Metric.EUCLIDEAN:
            distances: Matrix = cdist(features, ranked)
            return distances
        chords: Matrix = cdist(directions(features), ranked)
        # Queries of zeros have no direction: all unit vectors are equally far, whatever their last digits.
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


def distances_between(estimator: ExactNeighbors, groups: Rows) -> Matrix:
    """Return distances from some of an estimator's rows to all rows, infinite between equal rows: (s, n)."""
    first = np.unique(groups, return_index=True)[1]
    sample = first[evenly_spaced(len(first))]
    rows = estimator.ranked_rows()
    norms = np.einsum("ij,ij->i", rows, rows)
    # The expanded square is many times faster than the difference, and loses only digits that a rank does not need.
    squares: Matrix = np.maximum(norms[sample][:, None] + norms - 2.0 * rows[sample] @ rows.T, 0.0)
    squares[groups[sample][:, None] == groups] = np.inf
    return squares / 2.0 if estimator.ranking == Metric.COSINE else np.sqrt(squares)
