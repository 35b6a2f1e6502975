"""Fitted scikit-learn estimators, rebuilt from a checked document.

Each answers in float64 exactly as the original library's selector does; ``predict`` returns model names.
"""

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from msgspec import structs
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.cluster import KMeans
from sklearn.neighbors import NearestNeighbors
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.utils.validation import check_array, check_is_fitted

from modelpick.runtime import DocumentError
from modelpick.runtime.decision.voting import (
    Vote,
    Weights,
    best_per_model,
    first_best,
    shrunk_means,
    vote,
    vote_weights,
)

from .documents import (
    Document,
    KMeansDocument,
    KNNDocument,
    LinearClassifier,
    MLPDocument,
    RBFClassifier,
    Semantics,
    SVCDocument,
    SVMDocument,
)

Matrix = npt.NDArray[np.float64]
Names = npt.NDArray[np.object_]
NATIVE_1 = Weights(0.9, 0.1, 0.01)
MIN_QUALITY = 0.01
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


class _ExactNeighbors(NearestNeighbors):
    """Finds the nearest rows by (distance, row); each distance is computed from the difference of two vectors."""

    def kneighbors(self, X: npt.ArrayLike, n_neighbors: int | None = None, return_distance: bool = True) -> Any:
        """Find the nearest rows; equal distances go to the lower row.

        Returns
        -------
        (distances, rows), each of shape (b, k); rows alone with ``return_distance=False``
        """
        features = _features(self, X)
        k = min(n_neighbors or self.n_neighbors, self.n_samples_fit_)
        chunk = max(1, CHUNK_VALUES // self.n_samples_fit_)
        parts = [
            _nearest(self.distances(features[start : start + chunk]), k) for start in range(0, len(features), chunk)
        ]
        distances, rows = (np.concatenate(part) for part in zip(*parts, strict=True))
        return (distances, rows) if return_distance else rows

    def distances(self, features: Matrix) -> Matrix:
        """Euclidean distances to every row, shape (b, n)."""
        distances: Matrix = cdist(features, self._fit_X)
        return distances


class KNNModelSelector(_ExactNeighbors):
    """Picks a model by a quality-weighted vote of the k nearest rows.

    Parameters
    ----------
    n_neighbors : int, default=5
        Neighbours that vote; more than there are rows means all rows.
    semantics : {"native", "trainer"}, default="native"
        Euclidean distance and `relative_speeds`, or cosine distance and `decaying_speeds`.

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

    def __init__(self, n_neighbors: int = 5, semantics: str = "native") -> None:
        super().__init__(n_neighbors=n_neighbors, algorithm="brute")
        self.semantics = semantics

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
        self.model_names_, self.model_indices_ = _indexed(y)
        self.qualities_ = np.full(len(X), 0.5) if qualities is None else qualities
        speeds = decaying_speeds if self.semantics == Semantics.trainer else relative_speeds
        self.speeds_ = np.ones(len(X)) if latencies is None else speeds(latencies)
        self.row_groups_ = row_groups(X)
        return self

    def distances(self, features: Matrix) -> Matrix:
        """Distances to every row, Euclidean or cosine, shape (b, n)."""
        if self.semantics != Semantics.trainer:
            return super().distances(features)
        # Half the squared distance of unit vectors, |a - b|^2 = 2 - 2 a.b, which keeps its digits where they are close.
        cosines: Matrix = cdist(directions(features), directions(self._fit_X)) ** 2 / 2
        return cosines

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
        weights = vote_weights(self.qualities_[rows], self.speeds_[rows], NATIVE_1)
        return vote(self.model_indices_[rows], weights, len(self.model_names_))


class QueryModelSelector(_ExactNeighbors):
    """Picks the model that did best on the k nearest queries, each with the outcomes of all its models.

    Rows of one embedding are one query. See `modelpick.runtime.voting.shrunk_means` for the scores; equal ones go to
    the model whose first row comes first.

    Parameters
    ----------
    n_neighbors : int, default=5
        Queries that count; more than there are means all.
    shrinkage : float, default=1.0
        How many queries the overall mean of a model counts for.

    Attributes
    ----------
    model_names_ : ndarray of str, shape (n_models,)
        Language models, in order of their first row.
    outcomes_ : ndarray of float64, shape (n_queries, 3, n_models)
        Quality, speed and 1 for each model that is known of a query, else zeros; means of its rows.
    row_groups_ : ndarray of int64, shape (n,)
        Query of each row; queries count in order of their first row.
    first_row_ : ndarray of int64, shape (n_queries,)
    """

    semantics = Semantics.queries

    def __init__(self, n_neighbors: int = 5, shrinkage: float = 1.0) -> None:
        super().__init__(n_neighbors=n_neighbors, algorithm="brute")
        self.shrinkage = shrinkage

    def fit(
        self,
        X: Matrix,
        y: Sequence[str],
        qualities: npt.NDArray[np.float64] | None = None,
        latencies: npt.NDArray[np.int64] | None = None,
    ) -> Self:
        """Keep the queries; takes what `KNNModelSelector.fit` does."""
        self.row_groups_ = row_groups(X)
        self.first_row_ = np.unique(self.row_groups_, return_index=True)[1].astype(np.int64)
        super().fit(X[self.first_row_])
        self.model_names_, models = _indexed(y)
        known = (
            np.full(len(X), 0.5) if qualities is None else qualities,
            np.ones(len(X)) if latencies is None else relative_speeds(latencies),
            np.ones(len(X)),
        )
        sums = np.zeros((len(self.first_row_), 3, len(self.model_names_)))
        for column, values in enumerate((np.maximum(known[0], MIN_QUALITY), *known[1:])):
            np.add.at(sums[:, column], (self.row_groups_, models), values)
        self.outcomes_ = sums / np.maximum(sums[:, 2:], 1.0)
        return self

    def scores(self, rows: npt.NDArray[np.int64]) -> Matrix:
        """Score the models by neighbours, int64, shape (b, k): float64, (b, n_models)."""
        outcomes = self.outcomes_[rows].sum(axis=1)
        return shrunk_means(outcomes, self.outcomes_.sum(axis=0), NATIVE_1, self.shrinkage)

    def decision_function(self, X: npt.ArrayLike) -> Matrix:
        """Scores per model, float64, shape (b, n_models)."""
        return self.scores(self.kneighbors(X, return_distance=False))

    def predict(self, X: npt.ArrayLike) -> Names:
        """Names of the picked models, shape (b,)."""
        names: Names = self.model_names_[first_best(self.decision_function(X))]
        return names


def _indexed(labels: Sequence[str]) -> tuple[Names, npt.NDArray[np.int64]]:
    """Give the distinct labels in order of their first row, and the index of each row's."""
    names = list(dict.fromkeys(labels))
    index = {name: i for i, name in enumerate(names)}
    return _name_array(names), np.array([index[name] for name in labels], dtype=np.int64)


def row_groups(rows: Matrix) -> npt.NDArray[np.int64]:
    """Give each row's number among the distinct rows, counted by first appearance: int64, shape (n,)."""
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


def decaying_speeds(latencies: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Map latencies in nanoseconds to speeds, ``1 / (1 + milliseconds / 10000)``, float64; negative ones count as 0."""
    return 1.0 / (1.0 + np.maximum(latencies, 0) / 1e10)


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
        return self.best_per_model(self.choice_scores(X))

    def best_per_model(self, scores: Matrix) -> Matrix:
        """Take the highest score among the choices of each model: (b, n_choices) -> (b, n_models)."""
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


class SVCModelSelector(_ChoiceSelector, SVC):
    """Picks the model that wins most of the comparisons of two; each model is a choice.

    Attributes
    ----------
    pair_coef_ : ndarray of float64, shape (n_pairs, s)
        Coefficients of each pair's machine for all support vectors.
    """

    semantics = Semantics.trainer

    def choice_scores(self, X: npt.ArrayLike) -> Matrix:
        """Comparisons won, shape (b, n_models)."""
        return self.wins(self.pair_scores(X))

    def pair_scores(self, X: npt.ArrayLike) -> Matrix:
        """Scores of the comparisons, positive where the first of two models wins, shape (b, n_pairs)."""
        scores: Matrix = self._decision_function(_features(self, X))
        return -scores[:, None] if len(self.classes_) == 2 else scores

    def wins(self, pair_scores: Matrix) -> Matrix:
        """Count the comparisons that each model wins: (b, n_pairs) -> (b, n_models)."""
        first, second = np.triu_indices(len(self.classes_), 1)
        won = pair_scores > 0
        return np.stack(
            [won[:, first == c].sum(axis=1) + (~won[:, second == c]).sum(axis=1) for c in range(len(self.classes_))],
            axis=1,
        ).astype(np.float64)


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


def directions(features: Matrix) -> Matrix:
    """Scale rows to unit length, but zeros."""
    largest = np.abs(features).max(axis=1, keepdims=True)
    shrunk = features / np.where(largest > 0, largest, 1.0)  # so that long rows can be squared
    return shrunk / np.where(largest > 0, np.linalg.norm(shrunk, axis=1, keepdims=True), 1.0)


Estimator = (
    KNNModelSelector | QueryModelSelector | KMeansModelSelector | SVMModelSelector | SVCModelSelector | MLPModelSelector
)


def build_estimator(document: Document, *, k: int | None = None, shrinkage: float | None = None) -> Estimator:
    """Rebuild the fitted estimator that a document describes.

    Parameters
    ----------
    document
        As `load_document` gives it.
    k
        Number of neighbours of a KNN model, instead of the document's.
    shrinkage
        See `QueryModelSelector`, for the semantics ``queries``; 1 by default.

    Raises
    ------
    DocumentError
        When a row of a KNN model has no direction, for the semantics ``trainer``; when ``k`` or ``shrinkage`` is out of
        range, or not for this document.
    """
    if k is not None:
        if not isinstance(document, KNNDocument) or k < 1:
            raise DocumentError(f"k: expected 1 or more, for a KNN model, got {k}")
        document = structs.replace(document, k=k)
    if shrinkage is None:
        return _BUILDERS[type(document)](document)
    if document.source.semantics != Semantics.queries or not 0.0 <= shrinkage < np.inf:
        raise DocumentError(f"shrinkage: expected a number, 0 or more, for the semantics queries, got {shrinkage}")
    estimator = _BUILDERS[type(document)](document)
    estimator.set_params(shrinkage=float(shrinkage))
    return estimator


def _build_knn(document: KNNDocument) -> KNNModelSelector | QueryModelSelector:
    latencies = document.latencies if document.latencies.size else None
    semantics = document.source.semantics
    if semantics == Semantics.queries:
        return QueryModelSelector(document.k).fit(document.embeddings, document.labels, document.qualities, latencies)
    if semantics == Semantics.trainer and not document.embeddings.any(axis=1).all():
        row = int(document.embeddings.any(axis=1).argmin())
        raise DocumentError(f"$.embeddings[{row}]: expected a vector that has a direction, got zeros")
    estimator = KNNModelSelector(document.k, semantics)
    return estimator.fit(document.embeddings, document.labels, document.qualities, latencies)


def _build_kmeans(document: KMeansDocument) -> KMeansModelSelector:
    clusters, width = document.centroids.shape
    estimator = KMeansModelSelector(n_clusters=clusters)
    estimator.cluster_centers_ = document.centroids
    estimator._set_choices(document.cluster_models)
    estimator.n_features_in_ = width
    return estimator


def _build_svm(document: SVMDocument) -> SVMModelSelector:
    return SVMModelSelector().fit(document.linear_classifiers, document.rbf_classifiers)


def _build_svc(document: SVCDocument) -> SVCModelSelector:
    n, (count, width) = len(document.n_support), document.support_vectors.shape
    estimator = SVCModelSelector(kernel=document.kernel, gamma=document.gamma, decision_function_shape="ovo")
    estimator.classes_ = np.arange(n)
    estimator.support_ = np.arange(count, dtype=np.int32)
    estimator.support_vectors_ = document.support_vectors
    estimator._n_support = np.array(document.n_support, dtype=np.int32)
    # Of two classes scikit-learn publishes the coefficients with the other sign.
    sign = -1.0 if n == 2 else 1.0
    raw = sign * document.dual_coef
    estimator.dual_coef_, estimator._dual_coef_ = document.dual_coef, raw
    estimator.intercept_, estimator._intercept_ = document.intercept, sign * document.intercept
    estimator._probA = estimator._probB = np.empty(0)
    estimator._gamma, estimator._sparse = document.gamma, False
    estimator.shape_fit_, estimator.n_features_in_, estimator.fit_status_ = (count, width), width, 0
    owner = np.repeat(np.arange(n), document.n_support)
    estimator.pair_coef_ = np.array(
        [
            np.where(owner == i, raw[j - 1], 0.0) + np.where(owner == j, raw[i], 0.0)
            for i, j in zip(*np.triu_indices(n, 1), strict=True)
        ]
    )
    estimator._set_choices(document.model_names)
    return estimator


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
    SVCDocument: _build_svc,
    MLPDocument: _build_mlp,
}
