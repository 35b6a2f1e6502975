"""KMeans with scores: the model that scores highest in the nearest cluster. The original's files of version 2."""

from collections.abc import Iterator, Sequence
from functools import partial
from importlib.metadata import version
from operator import attrgetter
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from sklearn.cluster import KMeans

from modelpick.runtime import DocumentError
from modelpick.runtime.schema import Entry, Metric, Table

from ...files.io import Contents
from ...formats.decoding import INT64, Count, Name, Refusal, Size, check_length, check_size, decode, refuse
from ...formats.digests import digest
from ...formats.distinct import Names, name_array
from ...formats.document import Document, Source
from ...formats.outcomes import Benchmark, Settings, Training, filled
from ...formats.reader import Reader
from ...graphs.builder import Graph
from ...graphs.centroids import OUTPUTS
from ..base import Estimator, Matrix, checked_features
from ..centroids import distances_between, distances_to, fit_clusters, hold_clusters, near_clusters
from ..row import Answer, Expected, Explanation, Probes, Row, explained_scores, via_document
from .nearest import add_graph, cluster_grid, cluster_trials

MILLISECONDS = 1e3
# JSON path -> the only value that is known.
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


class Weights(Struct):
    """What quality, latency and cost are worth."""

    quality: Weight
    latency: Weight
    cost: Weight


class Objective(Struct):
    """What the scores are means of."""

    id: str
    version: int
    weights: Weights
    latency_scale_ms: Scale
    cost_scale: Scale

    def digest(self) -> str:
        """Return the ``id`` that it should have."""
        weights = self.weights
        numbers = {"q": weights.quality, "l": weights.latency, "c": weights.cost}
        numbers |= {"ls": self.latency_scale_ms, "cs": self.cost_scale}
        return digest([f"v{self.version}", *(f"{name}{number!r}" for name, number in numbers.items())])


class CandidateSet(Struct):
    """The models that are scored."""

    id: str
    models: Annotated[list[Name], Meta(min_length=1)]


class Feature(Struct):
    """What feature vectors are."""

    dim: int
    normalization: str
    snapshot_id: Name | UnsetType = UNSET


class Clustering(Struct):
    """How the centroids were found: but for the numbers of clusters, only kept."""

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
    """Scores over all queries: they stand in the cells that few records support."""

    min_support: Count
    global_scores: list[float]
    global_support: list[Count]


class KMeansScoresForm(Struct):
    """Centroids, and a table of scores: a row for each, a column for each model of ``candidate_set``."""

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


class KMeansScoresDocument(Document, frozen=True, eq=False):
    """A checked KMeans model with scores."""

    centroids: Matrix
    """Float64, shape (c, d)."""
    model_names: tuple[str, ...]
    """Sorted."""
    scores: Matrix
    """Float64, shape (c, n_models)."""
    support: npt.NDArray[np.int64]
    """Records behind each score, shape (c, n_models)."""


def _check(form: KMeansScoresForm, source: Source, reader: Reader) -> KMeansScoresDocument:
    for path, constant in CONSTANTS.items():
        _check_equal(attrgetter(path)(form), constant, f"$.{path}")
    _check_weights(form.objective, "$.objective")
    _check_equal(form.objective.id, form.objective.digest(), "$.objective.id")
    models = form.candidate_set.models
    if models != sorted(set(models)):
        refuse("$.candidate_set.models", "expected each name once, in ascending order")
    _check_equal(form.candidate_set.id, digest(models), "$.candidate_set.id")
    if form.model_names is not UNSET and form.model_names != models:
        refuse("$.model_names", "expected those of $.candidate_set.models")
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
    return KMeansScoresDocument(source, centroids, tuple(models), scores, support)


def _check_weights(objective: Objective, path: str) -> None:
    weights = objective.weights
    if not weights.quality + weights.latency + weights.cost > 0.0:
        refuse(f"{path}.weights", "expected at least one above 0")


def _check_equal(got: object, expected: object, path: str) -> None:
    if got != expected:
        refuse(path, f"expected {expected!r}, got {got!r}")


class ClusterScoreSelector(Estimator, KMeans):
    """Picks the model that scores highest in the cluster of the nearest centroid.

    Attributes
    ----------
    cluster_centers_ : ndarray of float64, shape (c, d)
    scores_ : ndarray of float64, shape (c, n_models)
        Of each model in each cluster.
    support_ : ndarray of int64, shape (c, n_models)
        Records behind each of them.
    model_names_ : ndarray of str, shape (n_models,)
    """

    semantics = "native/2"
    model_names_: Names
    scores_: Matrix
    support_: npt.NDArray[np.int64]

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
        names: Names = self.model_names_[best]
        return names


def _build(document: KMeansScoresDocument) -> ClusterScoreSelector:
    clusters, width = document.centroids.shape
    estimator = ClusterScoreSelector(n_clusters=clusters)
    estimator.cluster_centers_, estimator.n_features_in_ = document.centroids, width
    estimator.scores_, estimator.support_ = document.scores, document.support
    estimator.model_names_ = name_array(document.model_names)
    return estimator


def _add_graph(graph: Graph, estimator: ClusterScoreSelector, features: str, outputs: dict[str, str]) -> None:
    """Write the search of `modelpick.converter.graphs.centroids`; the scores stand beside it."""
    add_graph(graph, estimator, features, outputs)
    graph.constant(Table.SCORES, estimator.scores_)
    graph.constant(Table.SUPPORT, estimator.support_)


def _describe(estimator: ClusterScoreSelector) -> dict[str, Any]:
    centers = estimator.cluster_centers_
    return {
        Entry.CHOICES: list(estimator.model_names_),
        Entry.ROWS: len(centers),
        Entry.K: 0,
        Entry.METRIC: Metric.EUCLIDEAN,
        Entry.TIE_RULE: "distance, then cluster; score, then model",
        Entry.VALUES_PER_QUERY: centers.size,
    }


def _probes(estimator: ClusterScoreSelector) -> Probes:
    return Probes(estimator.cluster_centers_, estimator.scores_.argmax(axis=1))


def _expect(estimator: ClusterScoreSelector, queries: Matrix, explained: Sequence[Explanation]) -> Iterator[Expected]:
    names = estimator.model_names_
    for why, distances in zip(explained, estimator.transform(queries), strict=True):
        close, cluster = near_clusters(distances, why["cluster"])
        models = set(names[estimator.scores_[close].argmax(axis=1)])
        answer = Answer(explained_scores(why, names), np.array([why["distance"]]))
        expected = Answer(estimator.scores_[cluster], distances[[cluster]])
        yield Expected(answer, expected, models, len(close) > 1)


def _train(training: Training) -> dict[str, Any]:
    """Score models in each cluster by the original's recipe: the mean utility of their records, see `_utility`.

    Raises
    ------
    DocumentError
        When the objective is none, or weighs costs that no record has.
    """
    benchmark, names = training.benchmark, sorted(training.benchmark.model_names)
    order = [benchmark.model_names.index(name) for name in names]
    objective = _objective(training.settings)
    if objective.weights.cost and np.isnan(benchmark.cost).all():
        raise DocumentError("objective_cost: expected records with costs, got none")
    utility = _utility(benchmark, objective)[:, order]
    fitted, min_support = fit_clusters(training, training.settings.clusters), training.settings.min_support
    known, summands = ~np.isnan(utility), np.nan_to_num(utility)
    sizes = np.bincount(fitted.labels_, minlength=len(fitted.cluster_centers_))
    filled_ones = np.flatnonzero(sizes)
    inside = fitted.labels_ == filled_ones[:, None]
    global_support = known.sum(axis=0)
    global_scores = summands.sum(axis=0) / np.maximum(global_support, 1)
    support = np.array([known[members].sum(axis=0) for members in inside])
    sums = np.array([summands[members].sum(axis=0) for members in inside])
    scores = np.where(support >= min_support, sums / np.maximum(support, 1), global_scores)
    return {
        "format_version": 2,
        "target_contract": CONSTANTS["target_contract"],
        "objective": msgspec.to_builtins(msgspec.structs.replace(objective, id=objective.digest())),
        "candidate_set": {"id": digest(names), "models": names},
        "feature": {
            "snapshot_id": digest([training.features.tobytes().hex()]),
            "dim": training.features.shape[1],
            "normalization": "none",
        },
        "training_snapshot_id": digest([*benchmark.queries, benchmark.quality.tobytes().hex()]),
        "clustering": {
            "init": "k-means++",
            "algorithm": "lloyd",
            "dtype": "float64",
            "seed": training.settings.seed,
            "n_init": 10,
            "max_iter": fitted.max_iter,
            "tol": fitted.tol,
            "library_versions": {tool: version(tool) for tool in ("scikit-learn", "numpy")},
            "requested_k": training.settings.clusters,
            "effective_k": len(filled_ones),
            "train_queries": len(training.features),
        },
        "distance": CONSTANTS["distance"],
        "tie_break": CONSTANTS["tie_break"],
        "num_clusters": len(filled_ones),
        "centroids": fitted.cluster_centers_[filled_ones].tolist(),
        "cluster_sizes": sizes[filled_ones].tolist(),
        "scores": scores.tolist(),
        "support": support.tolist(),
        "fallback": {
            "min_support": min_support,
            "global_scores": global_scores.tolist(),
            "global_support": global_support.tolist(),
        },
        "cluster_models": [names[model] for model in scores.argmax(axis=1)],
        "model_names": names,
    }


def _objective(settings: Settings) -> Objective:
    """Return the user's objective, checked as one that is read."""
    fields = {
        "id": "",
        "version": CONSTANTS["objective.version"],
        "weights": {
            "quality": settings.objective_quality,
            "latency": settings.objective_latency,
            "cost": settings.objective_cost,
        },
        "latency_scale_ms": settings.latency_scale_ms,
        "cost_scale": settings.cost_scale,
    }
    try:
        objective = decode(msgspec.json.encode(fields), Objective, "objective")
        _check_weights(objective, "objective")
    except Refusal as refusal:
        raise DocumentError(str(refusal)) from None
    return objective


def _utility(benchmark: Benchmark, objective: Objective) -> Matrix:
    """Return the original's utility of each outcome, version 1, float64, (n_queries, n_models); NaN if unknown.

    ``q * quality + l / (1 + latency / latency_scale) + c / (1 + cost / cost_scale)``; an answer that failed has 0.
    """
    weights = objective.weights
    speed = 1.0 / (1.0 + benchmark.told_seconds() * MILLISECONDS / objective.latency_scale_ms)
    thrift = 1.0 / (1.0 + filled(benchmark.cost) / objective.cost_scale)
    succeeded = 1.0 - benchmark.failures
    utility: Matrix = weights.quality * benchmark.quality
    return utility + succeeded * (weights.latency * speed + weights.cost * thrift)


class _Version(Struct):
    format_version: int | None = None


def _first_generation(data: Contents) -> str | None:
    """Return the first rules for a file of the first version, which the original reads by these alone."""
    return None if decode(data, _Version).format_version == 2 else "native/1"


ROWS = (
    Row(
        algorithm="kmeans",
        semantics="native/2",
        form=KMeansScoresForm,
        load=via_document(_check, _build),
        estimator=ClusterScoreSelector,
        outputs=OUTPUTS,
        graph=_add_graph,
        describe=_describe,
        stored_rows=lambda estimator: list(range(len(estimator.cluster_centers_))),
        probes=_probes,
        expect=_expect,
        hold=hold_clusters,
        instead=_first_generation,
        train=_train,
        grid=cluster_grid,
        shared_trials=partial(cluster_trials, _train),
        settings=frozenset(
            {
                *("clusters", "min_support", "objective_quality", "objective_latency", "objective_cost"),
                *("latency_scale_ms", "cost_scale"),
            }
        ),
        distances=lambda estimator: distances_between(estimator.cluster_centers_),
    ),
)
