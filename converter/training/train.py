"""Trains the four selectors on benchmark records, and writes them in the original library's JSON."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from modelpick.runtime.decision.voting import vote_weights
from modelpick.runtime.features import CATEGORIES, FeatureBuilder

from ..algorithms.knn import NATIVE_1
from ..algorithms.neighbours import decaying_speeds
from ..graphs.unit_length import directions
from .records import Benchmark, Matrix, required_embeddings

NANOSECONDS = 1e9
# Chosen by cross-validation over queries; a validation split inside the fit would share queries with the rest.
HIDDEN_LAYERS = (64,)
STEPS, BATCH, DECAY = 150, 200, 1.0
GAMMA, C = 1.0, 1.0
Labels = npt.NDArray[np.int64]


class Training(NamedTuple):
    """What the models are trained on."""

    benchmark: Benchmark
    features: Matrix
    """Embedding and one-hot of the category, float64, shape (n_queries, d)."""
    weights: Matrix
    """``0.9 * quality + 0.1 * speed`` of each model on each query, shape (n_queries, n_models); -inf if unknown."""
    k: int
    """Neighbours of the KNN model."""
    clusters: int
    """Clusters of the KMeans model."""
    seed: int

    @property
    def advantages(self) -> Matrix:
        """By how much each model exceeds the mean of the models known on each query, shape (n_queries, n_models)."""
        known = np.isfinite(self.weights)
        weights = np.where(known, self.weights, 0.0)
        means = weights.sum(axis=1, keepdims=True) / known.sum(axis=1, keepdims=True)
        return np.where(known, weights - means, 0.0)

    def examples(self) -> "Examples":
        """Label each query with every model that exceeds the mean, weighted by how much: what it costs to miss it."""
        advantages = self.advantages
        if not (advantages > 0).any():
            return Examples(np.zeros(1, np.int64), np.zeros(1, np.int64), np.ones(1))
        queries, models = np.nonzero(advantages > 0)
        weights = advantages[queries, models]
        return Examples(queries, models, weights / weights.mean())


class Examples(NamedTuple):
    """What a classifier learns, (m,) each: queries, the models that they are labelled with, and the weights of that."""

    queries: Labels
    models: Labels
    weights: npt.NDArray[np.float64]


def training_data(benchmark: Benchmark, *, k: int = 5, clusters: int = 8, seed: int = 0) -> Training:
    """Prepare benchmark records for training.

    Raises
    ------
    DocumentError
        When a query has no embedding.
    """
    embeddings = required_embeddings(benchmark)
    width = embeddings.shape[1] + len(CATEGORIES)
    features = FeatureBuilder(width).build_batch(embeddings, benchmark.categories)
    known = ~np.isnan(benchmark.quality)
    nanoseconds = filled_seconds(benchmark) * NANOSECONDS
    speeds = decaying_speeds(nanoseconds.astype(np.int64))
    weights = vote_weights(np.where(known, benchmark.quality, 0.0), speeds, NATIVE_1)
    return Training(benchmark, features, np.where(known, weights, -np.inf), k, clusters, seed)


def filled_seconds(benchmark: Benchmark) -> Matrix:
    """Put the model's mean in the place of unknown response times, of a model without any the mean of all, or 0.

    The original's files have no word for what is unknown.
    """
    known = ~np.isnan(benchmark.seconds)
    seconds = np.where(known, benchmark.seconds, 0.0)
    overall = seconds.sum() / max(1, known.sum())
    means = np.where(known.any(axis=0), seconds.sum(axis=0) / np.maximum(1, known.sum(axis=0)), overall)
    return np.where(known, seconds, means)


def train(training: Training, algorithm: str) -> dict[str, Any]:
    """Train a selector: the JSON model, as the original library writes it.

    Deterministic: the same records and seed give the same model.

    Parameters
    ----------
    algorithm
        "knn", "kmeans", "svm" or "mlp".
    """
    with threadpool_limits(1):
        fields = TRAINERS[algorithm](training)
    width = training.features.shape[1]
    return {"algorithm": algorithm, "trained": True, **fields, "feature_dim": width}


def knn_fields(training: Training) -> dict[str, Any]:
    """Make the KNN model's fields: a row for each outcome."""
    benchmark = training.benchmark
    queries, models = np.nonzero(~np.isnan(benchmark.quality))
    latencies = np.rint(filled_seconds(benchmark)[queries, models] * NANOSECONDS).astype(np.int64)
    return {
        "k": training.k,
        "embeddings": training.features[queries].tolist(),
        "labels": [benchmark.model_names[model] for model in models],
        "qualities": benchmark.quality[queries, models].tolist(),
        "latencies": latencies.tolist(),
        "model_names": sorted(benchmark.model_names),
        "num_samples": len(queries),
    }


def _train_kmeans(training: Training) -> dict[str, Any]:
    """Each cluster goes to the model of the highest mean weight on its queries."""
    clusters = min(training.clusters, len(np.unique(training.features, axis=0)))
    fitted = KMeans(clusters, n_init=10, random_state=training.seed).fit(training.features)
    known = np.isfinite(training.weights)
    models = []
    for cluster in range(clusters):
        inside = fitted.labels_ == cluster
        sums = np.where(known[inside], training.weights[inside], 0.0).sum(axis=0)
        counts = known[inside].sum(axis=0)
        models.append(training.benchmark.model_names[int((sums / np.maximum(counts, 1)).argmax())])
    return {
        "num_clusters": clusters,
        "centroids": fitted.cluster_centers_.tolist(),
        "cluster_models": models,
        "n_clusters": clusters,
        "efficiency_weight": 0.1,
        "model_names": sorted(training.benchmark.model_names),
    }


def _train_svm(training: Training) -> dict[str, Any]:
    """One kernel machine for each model, on unit vectors as they are scored; and an SVC beside them.

    A machine separates the queries on which its model exceeds the mean from the rest, each weighted by how far it is
    from the mean: the cost of a mistake (B. Zadrozny, J. Langford, N. Abe, Cost-Sensitive Learning by
    Cost-Proportionate Example Weighting, ICDM 2003).
    """
    features, names, advantages = directions(training.features), training.benchmark.model_names, training.advantages
    machines = []
    for model, name in enumerate(names):
        fields: dict[str, Any] = {"alpha": [0.0], "support_vectors": features[:1].tolist()}
        ahead, costs = advantages[:, model] > 0, np.abs(advantages[:, model])
        fields["rho"] = 1.0 - 2.0 * bool(ahead[costs > 0].any())
        if len(set(ahead[costs > 0])) > 1:
            fitted = SVC(C=C, gamma=GAMMA).fit(features[costs > 0], ahead[costs > 0], costs[costs > 0])
            fields = {
                "alpha": fitted.dual_coef_[0].tolist(),
                "support_vectors": fitted.support_vectors_.tolist(),
                "rho": -float(fitted.intercept_[0]),
            }
        machines.append({"model_name": name, **fields, "gamma": GAMMA})
    examples = training.examples()
    present, labels = np.unique(examples.models, return_inverse=True)
    document = {
        "model_names": names,
        "kernel_type": "Rbf",
        "gamma": GAMMA,
        "linear_classifiers": [],
        "rbf_classifiers": machines,
        "kernel": "rbf",
        "C": C,
        "n_classes": len(present),
    }
    if len(present) > 1:
        svc = SVC(C=C, gamma=GAMMA).fit(training.features[examples.queries], present[labels], examples.weights)
        document |= {
            "support_vectors": svc.support_vectors_.tolist(),
            "dual_coef": svc.dual_coef_.tolist(),
            "intercept": svc.intercept_.tolist(),
            "n_support": svc.n_support_.tolist(),
            "classes": svc.classes_.tolist(),
        }
    return document


def _train_mlp(training: Training) -> dict[str, Any]:
    examples = training.examples()
    present, labels = np.unique(examples.models, return_inverse=True)
    layers: list[tuple[Matrix, Matrix]] = [(np.zeros((training.features.shape[1], 1)), np.zeros(1))]
    if len(present) > 1:
        epochs = -(-STEPS * BATCH // len(labels))
        network = MLPClassifier(HIDDEN_LAYERS, alpha=DECAY, max_iter=epochs, random_state=training.seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # it stops early on purpose
            network.fit(training.features[examples.queries], labels, examples.weights)
        layers = list(zip(network.coefs_, network.intercepts_, strict=True))
        if len(present) == 2:  # one output, of the second class: the softmax of 0 and z is its logistic function
            last, bias = layers[-1]
            layers[-1] = (np.hstack([np.zeros_like(last), last]), np.append(0.0, bias))
    written: list[dict[str, Any]] = []
    for weights, bias in layers:
        if written:
            written.append({"type": "relu"})
        shape = {"in_features": weights.shape[0], "out_features": weights.shape[1]}
        written.append({"type": "linear", **shape, "weight": weights.T.tolist(), "bias": bias.tolist()})
    return {
        "model_names": [training.benchmark.model_names[model] for model in present],
        "n_classes": len(present),
        "hidden_sizes": [len(bias) for _, bias in layers[:-1]],
        "layers": written,
    }


TRAINERS: Mapping[str, Callable[[Training], dict[str, Any]]] = {
    "knn": knn_fields,
    "kmeans": _train_kmeans,
    "svm": _train_svm,
    "mlp": _train_mlp,
}
