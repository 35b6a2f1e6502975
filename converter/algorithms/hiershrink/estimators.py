"""HierShrink in scikit-learn: mean qualities in a fine cluster, shrunk to a coarse one and to the overall mean."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_array

from ...formats.distinct import Names, indexed, row_groups
from ..base import Estimator, Matrix, checked_features
from ..centroids import distances_to

# How many records the more general mean of a model counts for: the original's lambda.
SHRINKAGE = 24.0


class HierShrinkSelector(Estimator, ClassifierMixin, BaseEstimator):
    """Picks the model of the highest shrunk mean quality, less its relative latency, among records of similar queries.

    The mean of a model's records in a cluster is drawn toward its more general mean, which counts for ``lambda``, 24,
    records:

    ``coarse = (coarse_sum + lambda * overall) / (coarse_count + lambda)``,
    ``fine = (fine_sum + lambda * coarse) / (fine_count + lambda)``,
    ``score = fine - cost_weight * latency / greatest latency``; latencies are means over all records of a model.

    Parameters
    ----------
    coarse_centroids : ndarray of float64, shape (coarse, d)
    fine_centroids : ndarray of float64, shape (fine, d)
    cost_weight : float, default=0.0

    Attributes
    ----------
    classes_ : ndarray of str, shape (n_models,)
        In order of the first record.
    coarse_means_ : ndarray of float64, shape (coarse, n_models)
        Shrunk mean qualities.
    fine_sums_, fine_counts_ : ndarray of float64, shape (fine, n_models)
    latencies_ : ndarray of float64, shape (n_models,)
        Mean nanoseconds.
    queries_ : ndarray of float64, shape (n_queries, d)
        Distinct queries of the records.
    row_groups_ : ndarray of int64, shape (n,)
        Index of each record's query among ``queries_``.
    """

    semantics = "native/1"
    classes_: Names
    n_features_in_: int

    def __init__(self, coarse_centroids: Matrix, fine_centroids: Matrix, cost_weight: float = 0.0) -> None:
        self.coarse_centroids, self.fine_centroids, self.cost_weight = coarse_centroids, fine_centroids, cost_weight

    def fit(
        self,
        X: npt.ArrayLike,
        y: Sequence[str],
        qualities: npt.NDArray[np.float64],
        latencies: npt.NDArray[np.int64],
    ) -> Self:
        """Sum up records: queries, (n, d), and models, qualities and latencies in nanoseconds, (n,) each."""
        queries: Matrix = check_array(X, dtype=np.float64)
        self.n_features_in_ = queries.shape[1]
        self.classes_, models = indexed(y)
        self.row_groups_ = row_groups(queries)
        self.queries_ = queries[np.unique(self.row_groups_, return_index=True)[1]]
        counts = np.bincount(models)
        self.latencies_ = np.bincount(models, latencies.astype(np.float64)) / counts
        means = np.bincount(models, qualities) / counts

        def summed(centroids: Matrix) -> tuple[Matrix, Matrix]:
            """Sum and count the qualities of each model in each cluster."""
            cells = distances_to(queries, centroids).argmin(axis=1), models
            sums, counts = np.zeros((2, len(centroids), len(means)))
            np.add.at(sums, cells, qualities)
            np.add.at(counts, cells, 1.0)
            return sums, counts

        self.coarse_means_ = _shrunk(*summed(self.coarse_centroids), means)
        self.fine_sums_, self.fine_counts_ = summed(self.fine_centroids)
        return self

    def nearest(self, X: npt.ArrayLike) -> tuple[Matrix, Matrix]:
        """Distances to the coarse and to the fine centroids, (b, coarse) and (b, fine)."""
        queries = checked_features(self, X)
        return distances_to(queries, self.coarse_centroids), distances_to(queries, self.fine_centroids)

    def scores(self, coarse: npt.NDArray[np.int64], fine: npt.NDArray[np.int64]) -> Matrix:
        """Score the models by clusters, (b,) each: float64, (b, n_models)."""
        scores = _shrunk(self.fine_sums_[fine], self.fine_counts_[fine], self.coarse_means_[coarse])
        greatest = self.latencies_.max()
        if greatest > 0.0:
            scores = scores - self.cost_weight * self.latencies_ / greatest
        return scores

    def decision_function(self, X: npt.ArrayLike) -> Matrix:
        """Scores per model, float64, shape (b, n_models)."""
        coarse, fine = self.nearest(X)
        return self.scores(coarse.argmin(axis=1), fine.argmin(axis=1))

    def predict(self, X: npt.ArrayLike) -> Names:
        """Names of the picked models, shape (b,); equal scores go to the first."""
        best = self.decision_function(X).argmax(axis=1)
        names: Names = self.classes_[best]
        return names


def _shrunk(sums: Matrix, counts: Matrix, means: Matrix) -> Matrix:
    return (sums + SHRINKAGE * means) / (counts + SHRINKAGE)
