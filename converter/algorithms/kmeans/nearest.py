"""KMeans: the model of the nearest centroid."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import UNSET, Raw, Struct, UnsetType
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans

from modelpick.runtime.schema import Entry, Metric, Output, Stored, Table

from ...formats.decoding import Count, IgnoredSize, Name, refuse
from ...formats.document import Document, Source
from ...formats.outcomes import Settings, Training
from ...formats.reader import Reader
from ...graphs.builder import Graph
from ...graphs.centroids import OUTPUTS, add_nearest
from ..base import Matrix, checked_features
from ..centroids import distances_between, distances_to, fit_clusters, hold_clusters
from ..choices import ChoiceSelector, choices, describe_choices
from ..row import Answer, Expected, Explanation, Probes, Row, Trial, explained_scores, fixed, via_document

# Numbers of clusters that tuning tries.
CLUSTERS = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64)


class KMeansForm(Struct):
    """Centroids; ``cluster_models`` is an object with the cluster's number as key in an old spelling.

    A trainer of the original wrote the number of clusters that was asked for, and as many models, where fewer
    centroids were fitted.
    """

    num_clusters: Count
    centroids: list[Raw]
    cluster_models: list[Name] | dict[str, Name]
    model_names: list[Name] | UnsetType | None = UNSET
    n_clusters: IgnoredSize = UNSET
    feature_dim: IgnoredSize = UNSET


class KMeansDocument(Document, frozen=True, eq=False):
    """A checked KMeans model: one language model per centroid."""

    centroids: Matrix
    """Float64, shape (c, d)."""
    cluster_models: tuple[str, ...]
    """Language model of each cluster, length c."""
    model_names: tuple[str, ...]
    """Models that the file names: some may have no cluster."""


def _check(form: KMeansForm, source: Source, reader: Reader) -> KMeansDocument:
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
    cluster_models = tuple(models[cluster] for cluster in clusters)
    return KMeansDocument(source, centroids, cluster_models, tuple(form.model_names or ()))


class KMeansModelSelector(ChoiceSelector, KMeans):
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
        return distances_to(checked_features(self, X), self.cluster_centers_)


def _build(document: KMeansDocument) -> KMeansModelSelector:
    clusters, width = document.centroids.shape
    estimator = KMeansModelSelector(n_clusters=clusters)
    estimator.cluster_centers_ = document.centroids
    estimator.set_choices(document.cluster_models, document.model_names)
    estimator.n_features_in_ = width
    return estimator


def add_graph(graph: Graph, estimator: KMeans, features: str, outputs: dict[str, str]) -> None:
    """Write the search of `add_nearest`, and its outputs."""
    refined = graph.branch()
    centers, estimate = estimator.cluster_centers_, outputs[Output.ESTIMATE]
    nearest = add_nearest(graph, refined, features, centers, Stored.CENTROIDS, estimate, Table.LEAD)
    results = {Output.DISTANCE: nearest.distances, Output.CLUSTER: nearest.cluster}
    graph.in_float64(outputs, OUTPUTS, refined, results)


def _describe(estimator: KMeansModelSelector) -> dict[str, Any]:
    centers = estimator.cluster_centers_
    return {
        **describe_choices(estimator, len(centers), "distance, then cluster", centers.size),
        Entry.METRIC: Metric.EUCLIDEAN,
    }


def _probes(estimator: KMeansModelSelector) -> Probes:
    return Probes(estimator.cluster_centers_, estimator.choice_models_)


def _expect(estimator: KMeansModelSelector, queries: Matrix, explained: Sequence[Explanation]) -> Iterator[Expected]:
    chosen = choices(estimator, queries, [why["cluster"] for why in explained])
    for why, choice in zip(explained, chosen, strict=True):
        answer = Answer(explained_scores(why, estimator.model_names_), np.array([why["distance"]]))
        yield Expected(answer, Answer(choice.scores, np.array([-choice.best])), choice.models, choice.tied)


def _train(training: Training) -> dict[str, Any]:
    """Assign each cluster to the model of the highest mean weight on its queries."""
    fitted, quality_weight = fit_clusters(training, training.settings.clusters), training.settings.quality_weight
    known = np.isfinite(training.weights)
    models = []
    for cluster in range(len(fitted.cluster_centers_)):
        inside = fitted.labels_ == cluster
        sums = np.where(known[inside], training.weights[inside], 0.0).sum(axis=0)
        counts = known[inside].sum(axis=0)
        models.append(training.benchmark.model_names[int((sums / np.maximum(counts, 1)).argmax())])
    return {
        "num_clusters": len(models),
        "centroids": fitted.cluster_centers_.tolist(),
        "cluster_models": models,
        "n_clusters": len(models),
        "efficiency_weight": 0.1 if quality_weight is None else 1.0 - quality_weight,
        "model_names": sorted(training.benchmark.model_names),
    }


def cluster_grid(settings: Settings) -> list[Settings]:
    """Return settings with other numbers of clusters."""
    return [settings._replace(clusters=clusters) for clusters in CLUSTERS]


def cluster_trials(
    train: Callable[[Training], dict[str, Any]], training: Training, held_out: Matrix, grid: Sequence[Settings]
) -> Iterator[Trial]:
    """Pick as files of either version do, which name the model of each cluster."""
    index = {name: model for model, name in enumerate(training.benchmark.model_names)}
    for settings in grid:
        fields = train(training._replace(settings=settings))
        nearest = cdist(held_out, np.array(fields["centroids"])).argmin(axis=1)
        yield fixed(settings, np.array([index[name] for name in fields["cluster_models"]])[nearest])


ROWS = (
    Row(
        algorithm="kmeans",
        semantics="native/1",
        form=KMeansForm,
        load=via_document(_check, _build),
        estimator=KMeansModelSelector,
        outputs=OUTPUTS,
        graph=add_graph,
        describe=_describe,
        stored_rows=lambda estimator: list(range(len(estimator.cluster_centers_))),
        probes=_probes,
        expect=_expect,
        hold=hold_clusters,
        train=_train,
        grid=cluster_grid,
        shared_trials=partial(cluster_trials, _train),
        settings=frozenset({"clusters", "quality_weight"}),
        distances=lambda estimator: distances_between(estimator.cluster_centers_),
    ),
)
