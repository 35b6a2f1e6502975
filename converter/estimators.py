"""Fitted scikit-learn estimators, rebuilt from a checked document.

Each answers in float64 exactly as the original library's selector does; ``predict`` returns model names.
"""

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.cluster import KMeans
from sklearn.neighbors import NearestNeighbors
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVR, LinearSVC
from sklearn.utils.validation import check_array, check_is_fitted

from modelpick.runtime.voting import Vote, best_per_model, vote, vote_weights

from .documents import (
    Document,
    KMeansDocument,
    KNNDocument,
    LinearClassifier,
    MLPDocument,
    RBFClassifier,
    SVMDocument,
)

Matrix = npt.NDArray[np.float64]
Names = npt.NDArray[np.object_]
MIN_NORM = 1e-10
# Distances from one chunk of queries to every row: 64 MiB of float64.
CHUNK_VALUES = 8 * 2**20


def _name_array(names: Sequence[str]) -> Names:
    array = np.empty(len(names), dtype=object)
    array[:] = names
    return array


def _features(estimator: BaseEstimator, X: npt.ArrayLike) -> Matrix:
    check_is_fitted(estimator)
    features: Matrix = check_array(X, dtype=np.float64)
    if features.shape[1] != estimator.n_features_in_:
        raise ValueError(f"expected {estimator.n_features_in_} features, got {features.shape[1]}")
    return features


class KNNModelSelector(NearestNeighbors):
    """Picks a model by a quality-weighted vote of the k nearest rows.

    Parameters
    ----------
    n_neighbors : int, default=5
        Neighbours that vote; more than there are rows means all rows.

    Attributes
    ----------
    model_names_ : ndarray of str, shape (n_models,)
        Language models, in order of their first row.
    model_indices_ : ndarray of int64, shape (n,)
        Index into ``model_names_`` of each row.
    qualities_, speeds_ : ndarray of float64, shape (n,)
        What each row's vote weighs, see `modelpick.runtime.voting.vote_weights`.
    row_groups_ : ndarray of int64, shape (n,)
        Number of each row among the distinct rows, which count in order of their first appearance.
    """

    def __init__(self, n_neighbors: int = 5) -> None:
        super().__init__(n_neighbors=n_neighbors, algorithm="brute")

    def fit(
        self,
        X: Matrix,
        y: Sequence[str],
        qualities: npt.NDArray[np.float64] | None = None,
        latencies: npt.NDArray[np.int64] | None = None,
    ) -> Self:
        """Keep the rows.

        Parameters
        ----------
        X
            Feature vectors, shape (n, d).
        y
            Language model of each row, length n.
        qualities
            Quality of each row, shape (n,); 0.5 by default.
        latencies
            Latency of each row in nanoseconds, int64, shape (n,); without them every speed is 1.
        """
        super().fit(X)
        names = list(dict.fromkeys(y))
        index = {name: i for i, name in enumerate(names)}
        self.model_names_ = _name_array(names)
        self.model_indices_ = np.array([index[name] for name in y], dtype=np.int64)
        self.qualities_ = np.full(len(X), 0.5) if qualities is None else qualities
        self.speeds_ = np.ones(len(X)) if latencies is None else relative_speeds(latencies)
        self.row_groups_ = _numbered(X)
        return self

    def kneighbors(self, X: npt.ArrayLike, n_neighbors: int | None = None, return_distance: bool = True) -> Any:
        """Find the nearest rows by (Euclidean distance, row).

        Unlike the base class this computes each distance from the difference of the vectors, and
        gives equal distances to the lower row.

        Returns
        -------
        (distances, rows), each of shape (b, k); rows alone with ``return_distance=False``
        """
        features = _features(self, X)
        k = min(n_neighbors or self.n_neighbors, self.n_samples_fit_)
        chunk = max(1, CHUNK_VALUES // self.n_samples_fit_)
        parts = [
            _nearest(cdist(features[start : start + chunk], self._fit_X), k) for start in range(0, len(features), chunk)
        ]
        distances, rows = (np.concatenate(part) for part in zip(*parts, strict=True))
        return (distances, rows) if return_distance else rows

    def decision_function(self, X: npt.ArrayLike) -> Matrix:
        """Vote sums per model, float64, shape (b, n_models)."""
        return self.vote(self.kneighbors(X, return_distance=False)).scores

    def predict(self, X: npt.ArrayLike) -> Names:
        """Names of the picked models, shape (b,)."""
        winners = self.vote(self.kneighbors(X, return_distance=False)).winners
        names: Names = self.model_names_[winners]
        return names

    def vote(self, rows: npt.NDArray[np.int64]) -> Vote:
        """Let rows vote, nearest first, int64, shape (b, k)."""
        weights = vote_weights(self.qualities_[rows], self.speeds_[rows])
        return vote(self.model_indices_[rows], weights, len(self.model_names_))


def _numbered(rows: Matrix) -> npt.NDArray[np.int64]:
    first: dict[bytes, int] = {}
    # Adding 0.0 makes -0.0 and 0.0, which are equal, the same bytes.
    groups = [first.setdefault((row + 0.0).tobytes(), len(first)) for row in np.asarray(rows)]
    return np.array(groups, dtype=np.int64)


def _nearest(distances: Matrix, k: int) -> tuple[Matrix, npt.NDArray[np.int64]]:
    reach = np.partition(distances, k - 1, axis=1)[:, k - 1 : k]
    rows = np.empty((len(distances), k), dtype=np.int64)
    for query, within in enumerate(distances <= reach):
        candidates = np.flatnonzero(within)
        order = np.argsort(distances[query, candidates], kind="stable")
        rows[query] = candidates[order[:k]]
    return np.take_along_axis(distances, rows, axis=1), rows


def relative_speeds(latencies: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Map latencies to speeds, ``1 - (latency - min) / max(max - min, 1)``, float64.

    The differences are taken modulo 2**64 so that they are exact for every pair of int64.
    """
    unsigned = latencies.view(np.uint64)
    above = (unsigned - unsigned[latencies.argmin()]).astype(np.float64)
    speeds: npt.NDArray[np.float64] = 1.0 - above / max(above.max(), 1.0)
    return speeds


class _ChoiceSelector:
    """Picks the model of the highest-scoring choice: of a cluster, or of a classifier.

    Attributes
    ----------
    choice_models_ : ndarray of str, shape (n_choices,)
        Model of each choice, in file order.
    model_names_ : ndarray of str, shape (n_models,)
        Language models, in order of their first choice.
    """

    choice_models_: Names
    model_names_: Names

    def choice_scores(self, X: npt.ArrayLike) -> Matrix:
        """Scores of the choices, float64, shape (b, n_choices)."""
        raise NotImplementedError

    def decision_function(self, X: npt.ArrayLike) -> Matrix:
        """Highest score among the choices of each model, float64, shape (b, n_models)."""
        scores = self.choice_scores(X)
        index = {name: i for i, name in enumerate(self.model_names_)}
        return best_per_model(scores, [index[name] for name in self.choice_models_], len(index))

    def predict(self, X: npt.ArrayLike) -> Names:
        """Names of the picked models, shape (b,); equal scores go to the first choice."""
        best = self.choice_scores(X).argmax(axis=1)
        names: Names = self.choice_models_[best]
        return names

    def _set_choices(self, models: Sequence[str]) -> None:
        self.choice_models_ = _name_array(models)
        self.model_names_ = _name_array(list(dict.fromkeys(models)))


class KMeansModelSelector(_ChoiceSelector, KMeans):
    """Picks the model of the nearest centroid; each centroid is a choice.

    Attributes
    ----------
    cluster_centers_ : ndarray of float64, shape (c, d)
    """

    def choice_scores(self, X: npt.ArrayLike) -> Matrix:
        """Minus the Euclidean distances to the centroids, shape (b, c)."""
        return -self.transform(X)

    def transform(self, X: npt.ArrayLike) -> Matrix:
        """Euclidean distances to the centroids, from the difference of the vectors, shape (b, c)."""
        distances: Matrix = cdist(_features(self, X), self.cluster_centers_)
        return distances


class SVMModelSelector(_ChoiceSelector, ClassifierMixin, BaseEstimator):
    """Picks the model whose classifier scores highest on the query scaled to unit length.

    Each classifier is a choice, linear ones first.

    Attributes
    ----------
    linear_ : LinearSVC or None
        One-vs-rest linear classifiers, one row of ``coef_`` each.
    machines_ : list of SVR
        One kernel machine per RBF classifier.
    """

    def fit(self, linear_classifiers: Sequence[LinearClassifier], rbf_classifiers: Sequence[RBFClassifier]) -> Self:
        """Take over classifiers trained elsewhere."""
        self.linear_ = _linear_model(linear_classifiers) if linear_classifiers else None
        self.machines_ = [_kernel_machine(c.alpha, c.support_vectors, c.rho, c.gamma) for c in rbf_classifiers]
        self._set_choices([c.model_name for c in linear_classifiers] + [c.model_name for c in rbf_classifiers])
        self.n_features_in_ = (self.linear_ or self.machines_[0]).n_features_in_
        return self

    def choice_scores(self, X: npt.ArrayLike) -> Matrix:
        """Scores of the classifiers, float64, shape (b, n_classifiers)."""
        features = unit_length(_features(self, X))
        columns = [machine.predict(features)[:, None] for machine in self.machines_]
        if self.linear_ is not None:
            columns.insert(0, features @ self.linear_.coef_.T + self.linear_.intercept_)
        return np.hstack(columns)


class MLPModelSelector(_ChoiceSelector, MLPClassifier):
    """Picks the model of the most probable class; each class is a choice.

    Attributes
    ----------
    coefs_, intercepts_ : list of ndarray of float64
        Dense layers, with batch normalisation folded into them.
    """

    def choice_scores(self, X: npt.ArrayLike) -> Matrix:
        """Softmax probabilities, shape (b, n_models)."""
        probabilities: Matrix = self._forward_pass_fast(_features(self, X), check_input=False)
        return probabilities


def unit_length(features: Matrix) -> Matrix:
    """Scale rows to unit length, but those whose norm is at most 1e-10."""
    largest = np.maximum(np.abs(features).max(axis=1, keepdims=True), MIN_NORM)
    shrunk = features / largest  # so that long rows can be squared
    norms = np.linalg.norm(shrunk, axis=1, keepdims=True)
    long = norms > MIN_NORM / largest
    return np.where(long, shrunk / np.where(long, norms, 1.0), features)


Estimator = KNNModelSelector | KMeansModelSelector | SVMModelSelector | MLPModelSelector


def build_estimator(document: Document) -> Estimator:
    """Rebuild the fitted estimator that a document describes."""
    return _BUILDERS[type(document)](document)


def _build_knn(document: KNNDocument) -> KNNModelSelector:
    latencies = document.latencies if document.latencies.size else None
    return KNNModelSelector(document.k).fit(document.embeddings, document.labels, document.qualities, latencies)


def _build_kmeans(document: KMeansDocument) -> KMeansModelSelector:
    clusters, width = document.centroids.shape
    estimator = KMeansModelSelector(n_clusters=clusters)
    estimator.cluster_centers_ = document.centroids
    estimator._set_choices(document.cluster_models)
    estimator.n_features_in_ = width
    return estimator


def _build_svm(document: SVMDocument) -> SVMModelSelector:
    return SVMModelSelector().fit(document.linear_classifiers, document.rbf_classifiers)


def _build_mlp(document: MLPDocument) -> MLPModelSelector:
    layers = document.layers
    estimator = MLPModelSelector(hidden_layer_sizes=tuple(len(layer.bias) for layer in layers[:-1]))
    estimator.coefs_ = [layer.weights.T for layer in layers]
    estimator.intercepts_ = [layer.bias for layer in layers]
    estimator.n_layers_, estimator.n_outputs_ = len(layers) + 1, len(document.model_names)
    estimator.out_activation_ = "softmax"
    estimator.classes_ = _name_array(document.model_names)
    estimator.n_features_in_ = layers[0].weights.shape[1]
    estimator._set_choices(document.model_names)
    return estimator


def _linear_model(classifiers: Sequence[LinearClassifier]) -> LinearSVC:
    """Rebuild a one-vs-rest LinearSVC, which scores ``coef_ . x + intercept_``."""
    model = LinearSVC()
    model.coef_ = np.array([classifier.weights for classifier in classifiers])
    model.intercept_ = np.array([-classifier.rho for classifier in classifiers])
    model.classes_ = np.arange(len(classifiers))
    model.n_features_in_ = model.coef_.shape[1]
    return model


def _kernel_machine(alpha: Matrix, support_vectors: Matrix, rho: float, gamma: float) -> SVR:
    """Rebuild an SVR, which scores ``sum(dual_coef * exp(-gamma * |x - sv|^2)) + intercept``."""
    count, width = support_vectors.shape
    machine = SVR(kernel="rbf", gamma=gamma)
    machine.support_ = np.arange(count, dtype=np.int32)
    machine.support_vectors_ = np.ascontiguousarray(support_vectors)
    machine._n_support = np.array([count, count], dtype=np.int32)
    machine.dual_coef_ = machine._dual_coef_ = alpha[None, :].copy()
    machine.intercept_ = machine._intercept_ = np.array([-rho])
    machine._probA = machine._probB = np.empty(0)
    machine._gamma, machine._sparse = gamma, False
    machine.shape_fit_, machine.n_features_in_, machine.fit_status_ = (count, width), width, 0
    return machine


_BUILDERS: dict[type, Callable[[Any], Estimator]] = {
    KNNDocument: _build_knn,
    KMeansDocument: _build_kmeans,
    SVMDocument: _build_svm,
    MLPDocument: _build_mlp,
}
