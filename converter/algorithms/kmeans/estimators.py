"""KMeans in scikit-learn: the model of the nearest centroid, or the model that scores highest in its cluster."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans

from ...formats.distinct import Names, name_array
from ..base import Estimator, Matrix, checked_features
from ..centroids import distances_to
from ..choices import ChoiceSelector

Counts = npt.NDArray[np.int64]


class KMeansModelSelector(ChoiceSelector, KMeans):
    """Picks the model of the nearest centroid; each centroid is a choice.

    Attributes
    ----------
    cluster_centers_ : ndarray of float64, shape (c, d)
    """

    def fit(self, X: Matrix, y: Sequence[str], model_names: Sequence[str] = ()) -> Self:
        """Take centroids, (c, d), the model of each, and the known models, some of which may have no centroid."""
        self.cluster_centers_, self.n_features_in_ = X, X.shape[1]
        self.set_choices(y, model_names)
        return self

    def choice_scores(self, X: npt.ArrayLike) -> Matrix:
        """Minus the Euclidean distances to the centroids, shape (b, c)."""
        return -self.transform(X)

    def transform(self, X: npt.ArrayLike) -> Matrix:
        """Euclidean distances to the centroids, from the difference of the vectors, shape (b, c)."""
        return distances_to(checked_features(self, X), self.cluster_centers_)


class ClusterScoreSelector(Estimator, KMeans):
    """Picks the model that scores highest in the cluster of the nearest centroid.

    Attributes
    ----------
    cluster_centers_ : ndarray of float64, shape (c, d)
    cluster_sizes_ : ndarray of int64, shape (c,)
        Number of training queries in each cluster.
    scores_ : ndarray of float64, shape (c, n_models)
        Score of each model in each cluster.
    support_ : ndarray of int64, shape (c, n_models)
        Number of records behind each score.
    global_scores_ : ndarray of float64, shape (n_models,)
        Scores over all queries.
    global_support_ : ndarray of int64, shape (n_models,)
        Number of records behind each global score.
    classes_ : ndarray of str, shape (n_models,)
    """

    semantics = "native/2"

    def fit(
        self,
        X: Matrix,
        y: Sequence[str],
        scores: Matrix,
        support: Counts,
        cluster_sizes: Counts,
        global_scores: Matrix,
        global_support: Counts,
    ) -> Self:
        """Take centroids, (c, d), the names of the models, and the tables of the attributes."""
        self.cluster_centers_, self.n_features_in_ = X, X.shape[1]
        self.classes_: Names = name_array(y)
        self.scores_, self.support_, self.cluster_sizes_ = scores, support, cluster_sizes
        self.global_scores_, self.global_support_ = global_scores, global_support
        return self

    def transform(self, X: npt.ArrayLike) -> Matrix:
        """Euclidean distances to the centroids, from the difference of the vectors, shape (b, c)."""
        return distances_to(checked_features(self, X), self.cluster_centers_)

    def decision_function(self, X: npt.ArrayLike) -> Matrix:
        """Scores in the cluster of the nearest centroid, the first of equally near ones: float64, (b, n_models)."""
        nearest = self.transform(X).argmin(axis=1)
        scores: Matrix = self.scores_[nearest]
        return scores

    def predict(self, X: npt.ArrayLike) -> Names:
        """Names of the picked models, shape (b,); equal scores go to the first."""
        best = self.decision_function(X).argmax(axis=1)
        names: Names = self.classes_[best]
        return names
