"""KMeans in JSON: centroids with a model each, or in the files of version 2 with a table of scores."""

from operator import attrgetter
from typing import Annotated, Any

import numpy as np
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from ...files.io import Contents
from ...formats.decoding import INT64, Count, IgnoredSize, Name, Size, check_length, check_size, decode, refuse
from ...formats.digests import digest
from ...formats.reader import Reader
from ...formats.source import Source
from .estimators import ClusterScoreSelector, KMeansModelSelector

# JSON path -> the only known value.
CONSTANTS = {
    "format_version": 2,
    "target_contract": "selector.model-choice/v1",
    "objective.version": 1,
    "feature.normalization": "none",
    "distance": "squared_l2",
    "tie_break": "lowest_index",
}
Weight = Annotated[float, Meta(ge=0)]
Scale = Annotated[float, Meta(gt=0)]
Support = Annotated[int, Meta(ge=0, le=INT64[1])]


class KMeansForm(Struct):
    """Centroids; ``cluster_models`` is an object with the cluster's number as key in an old spelling.

    A trainer of the original wrote the requested number of clusters, and this number of models, even where fewer
    centroids were fitted.
    """

    num_clusters: Count
    centroids: list[Raw]
    cluster_models: list[Name] | dict[str, Name]
    model_names: list[Name] | UnsetType | None = UNSET
    n_clusters: IgnoredSize = UNSET
    feature_dim: IgnoredSize = UNSET


def load_nearest(form: KMeansForm, source: Source, reader: Reader) -> KMeansModelSelector:
    """Check a form, and return the estimator."""
    centroids = reader.matrix(form.centroids, "$.centroids")
    if len(centroids) > form.num_clusters:
        refuse("$.centroids", f"expected {form.num_clusters} rows or fewer, $.num_clusters, got {len(centroids)}")
    models, path = form.cluster_models, "$.cluster_models"
    if isinstance(models, list):
        models = {str(cluster): model for cluster, model in enumerate(models)}
    clusters = [str(cluster) for cluster in range(len(centroids))]
    missing = next((cluster for cluster in clusters if cluster not in models), None)
    if missing is not None:
        refuse(path, f'expected a model for each of {len(clusters)} centroids, got none for "{missing}"')
    if form.num_clusters > len(clusters):
        reader.warn("$.num_clusters", f"{form.num_clusters} clusters, {len(clusters)} centroids: the rest is ignored")
    elif len(models) > len(clusters):
        reader.warn(path, f"{len(models)} models for {len(clusters)} centroids: the rest is ignored")
    reader.ignored_size(form.n_clusters, form.num_clusters, "$.n_clusters", "$.num_clusters")
    reader.ignored_size(form.feature_dim, centroids.shape[1], "$.feature_dim", "columns of $.centroids")
    cluster_models = [models[cluster] for cluster in clusters]
    return KMeansModelSelector(len(clusters)).fit(centroids, cluster_models, form.model_names or ())


class Weights(Struct):
    """The weights of quality, latency and cost."""

    quality: Weight
    latency: Weight
    cost: Weight


class Objective(Struct):
    """The objective whose means are the scores."""

    id: str
    version: int
    weights: Weights
    latency_scale_ms: Scale
    cost_scale: Scale

    def digest(self) -> str:
        """Return the ``id`` that matches the content."""
        weights = self.weights
        numbers = {"q": weights.quality, "l": weights.latency, "c": weights.cost}
        numbers |= {"ls": self.latency_scale_ms, "cs": self.cost_scale}
        return digest([f"v{self.version}", *(f"{name}{number!r}" for name, number in numbers.items())])


class CandidateSet(Struct):
    """The models that are scored."""

    id: str
    models: Annotated[list[Name], Meta(min_length=1)]


class Feature(Struct):
    """The layout of feature vectors."""

    dim: int
    normalization: str
    snapshot_id: Name | UnsetType = UNSET


class Clustering(Struct):
    """How the centroids were found. Only the numbers of clusters are checked; the rest is kept as it is."""

    requested_k: int
    effective_k: int
    init: Name | UnsetType = UNSET
    algorithm: Name | UnsetType = UNSET
    dtype: Name | UnsetType = UNSET
    seed: int | UnsetType | None = UNSET
    n_init: Count | Name | UnsetType = UNSET
    max_iter: Count | UnsetType = UNSET
    tol: Weight | UnsetType = UNSET
    library_versions: dict[str, Name] | UnsetType = UNSET
    train_queries: int | UnsetType = UNSET


class Fallback(Struct):
    """Scores over all queries, which replace scores that few records support."""

    min_support: Count
    global_scores: list[float]
    global_support: list[Count]


class KMeansScoresForm(Struct):
    """Centroids, and a table of scores: a row for each centroid, a column for each model of ``candidate_set``."""

    format_version: int
    target_contract: str
    objective: Objective
    candidate_set: CandidateSet
    feature: Feature
    clustering: Clustering
    distance: str
    tie_break: str
    num_clusters: int
    centroids: list[Raw]
    cluster_sizes: list[Count]
    scores: list[list[float]]
    support: list[list[Support]]
    fallback: Fallback
    cluster_models: list[Name]
    model_names: list[Name] | UnsetType = UNSET
    feature_dim: Size = UNSET
    training_snapshot_id: Name | UnsetType = UNSET


def load_scores(form: KMeansScoresForm, source: Source, reader: Reader) -> ClusterScoreSelector:
    """Check a form, and return the estimator."""
    for path, constant in CONSTANTS.items():
        _check_equal(attrgetter(path)(form), constant, f"$.{path}")
    check_weights(form.objective, "$.objective")
    _check_equal(form.objective.id, form.objective.digest(), "$.objective.id")
    models = form.candidate_set.models
    if models != sorted(set(models)):
        refuse("$.candidate_set.models", "expected each name once, in ascending order")
    _check_equal(form.candidate_set.id, digest(models), "$.candidate_set.id")
    if form.model_names is not UNSET and form.model_names != models:
        refuse("$.model_names", "expected the names in $.candidate_set.models")
    centroids = reader.matrix(form.centroids, "$.centroids")
    clusters, width = centroids.shape
    _check_equal(form.num_clusters, clusters, "$.num_clusters")
    _check_equal(form.clustering.effective_k, clusters, "$.clustering.effective_k")
    if form.clustering.requested_k < clusters:
        refuse("$.clustering.requested_k", f"expected {clusters} or more, got {form.clustering.requested_k}")
    _check_equal(form.feature.dim, width, "$.feature.dim")
    check_size(form.feature_dim, width, "$.feature_dim", "the columns of $.centroids")
    check_length(form.cluster_sizes, clusters, "$.cluster_sizes", "row of $.centroids")
    fallback = form.fallback
    check_length(fallback.global_scores, len(models), "$.fallback.global_scores", "model of $.candidate_set")
    check_length(fallback.global_support, len(models), "$.fallback.global_support", "model of $.candidate_set")
    tables: dict[str, list[Any]] = {"scores": form.scores, "support": form.support}
    for name, rows in tables.items():
        check_length(rows, clusters, f"$.{name}", "row of $.centroids")
        for cluster, row in enumerate(rows):
            check_length(row, len(models), f"$.{name}[{cluster}]", "model of $.candidate_set")
    scores = np.array(form.scores, dtype=np.float64)
    support = np.array(form.support, dtype=np.int64)
    for cluster, model in np.argwhere((support < fallback.min_support) & (scores != fallback.global_scores)):
        expected = f"expected {fallback.global_scores[model]}, the global score, for a support below min_support"
        refuse(f"$.scores[{cluster}][{model}]", f"{expected}, got {scores[cluster, model]}")
    check_length(form.cluster_models, clusters, "$.cluster_models", "row of $.centroids")
    for cluster, best in enumerate(scores.argmax(axis=1)):
        _check_equal(form.cluster_models[cluster], models[best], f"$.cluster_models[{cluster}]")
    sizes = np.array(form.cluster_sizes)
    overall = np.array(fallback.global_scores, dtype=np.float64), np.array(fallback.global_support)
    return ClusterScoreSelector(clusters).fit(centroids, models, scores, support, sizes, *overall)


def check_weights(objective: Objective, path: str) -> None:
    """Refuse weights that are all 0."""
    weights = objective.weights
    if not weights.quality + weights.latency + weights.cost > 0.0:
        refuse(f"{path}.weights", "expected at least one above 0")


def _check_equal(got: object, expected: object, path: str) -> None:
    if got != expected:
        refuse(path, f"expected {expected!r}, got {got!r}")


class _Version(Struct):
    format_version: int | None = None


def first_generation(data: Contents) -> str | None:
    """Return the first rules for a file of the first version, which the original reads by these alone."""
    return None if decode(data, _Version).format_version == 2 else "native/1"
