"""KMeans: the model of the nearest centroid."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import UNSET, Raw, Struct, UnsetType
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans

from modelpick.runtime.schema import Entry, Metric, Output, Stored, Table

from ..formats.decoding import Count, IgnoredSize, Name, refuse
from ..formats.document import Document, Source
from ..formats.outcomes import Settings, Training
from ..formats.reader import Reader
from ..graphs.builder import DOUBLE, FLOAT, Graph
from ..graphs.leads import Lead, lead
from .choices import ChoiceSelector, choices, describe_choices
from .estimator import Matrix, checked_features
from .neighbours import row_groups
from .rules import TOLERANCE, Answer, Expected, Explanation, Probes, Rules, Trial, explained_scores, fixed

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


def distances_to(queries: Matrix, centroids: Matrix) -> Matrix:
    """Measure queries, (b, d), to centroids, (c, d), from the difference of the vectors: (b, c)."""
    distances: Matrix = cdist(queries, centroids)
    return distances


def near_clusters(distances: Matrix, chosen: int) -> tuple[npt.NDArray[np.int64], int]:
    """Return the nearest clusters by distances, (c,), but for float64's roundings; and the one that counts.

    That is the one which an artifact chose where roundings decide, or else the nearest.
    """
    least = distances.min()
    close = np.flatnonzero((distances == least) | (distances - least <= TOLERANCE * max(1.0, least)))
    return close, chosen if chosen in close else int(distances.argmin())


def distances_between(centroids: Matrix) -> Matrix:
    """Measure centroids, (c, d), to each other, infinite to themselves: (c, c)."""
    distances = distances_to(centroids, centroids)
    np.fill_diagonal(distances, np.inf)
    return distances


def _build(document: KMeansDocument) -> KMeansModelSelector:
    clusters, width = document.centroids.shape
    estimator = KMeansModelSelector(n_clusters=clusters)
    estimator.cluster_centers_ = document.centroids
    estimator.set_choices(document.cluster_models, document.model_names)
    estimator.n_features_in_ = width
    return estimator


OUTPUTS = {Output.DISTANCE: "double", Output.CLUSTER: "index", Output.ESTIMATE: "float"}
# Queries that are so many times longer than the longest centroid are not searched for: float64 rounds distances too.
FARTHEST = 2.0**10
# Centroids are moved where that makes the longest so many times shorter.
FAR = 1.5


class Nearest(NamedTuple):
    """Names of what `add_nearest` computes in the refined branch."""

    distances: str
    """Float64, (b, c)."""
    cluster: str
    """The nearest centroid by them, int64, (b,)."""


def add_nearest(
    graph: Graph, refined: Graph, features: str, centroids: Matrix, stored_as: str, estimate: str, lead_as: str
) -> Nearest:
    """Write a float32 search that mostly proves the nearest centroid, and distances to all centroids in float64.

    ::

        features ─┬─ Cast f32 ─ Gemm ─ estimate (b, c)
        (b, d)    │
                  └─ If refine: Sub centroids (c, d) ─ sum of squares ─ Sqrt ─┬─ distance (b, c)
                                                                              └─ ArgMin ─ cluster (b,)

    ``distance_j = sqrt(sum_i (q_i - c_ji)^2)``; the difference gives equidistant centroids equal distances. ArgMin
    takes the first. The estimate is the expanded square but for what all centroids share, and of the other sign:
    ``2 q.(c_j - m) - (|c_j|^2 - |m|^2)``, where m is zero, or the mean of centroids that lie far from zero for their
    spread. What its lead does not prove is for the caller to refine.

    Parameters
    ----------
    graph, refined
        The graph of the search, and the branch of it that refines.
    features
        Name of the float64 queries, (b, d).
    centroids, stored_as
        Shape (c, d), and the initializer that shall hold them.
    estimate, lead_as
        Full name of the output of estimates, and the initializer of the lead that they need.
    """
    values = np.asarray(centroids, dtype=np.float64)
    stored = graph.stored_exactly(stored_as, values)
    # Sums of the same squares may differ in their last bits: identical centroids are measured once.
    groups = row_groups(values)
    first = np.unique(groups, return_index=True)[1]
    distinct = refined.node("Gather", stored, refined.constant("distinct", first), axis=0)
    query = refined.node("Unsqueeze", features, refined.constant("cluster_axis", np.array([1])))
    differences = refined.node("Sub", query, refined.node("Cast", distinct, to=DOUBLE))
    distances = refined.node("Sqrt", refined.squared_norm(differences, keepdims=0))
    distances = refined.node("Gather", distances, refined.constant("groups", groups), axis=1)

    searched, bias = _searched(values)
    rows = graph.node("Cast", stored, to=FLOAT) if searched is values else graph.in_float32("search_rows", searched)
    query = graph.node("Cast", features, to=FLOAT)
    graph.output(estimate, "Gemm", query, rows, graph.in_float32("search_bias", bias), alpha=2.0, transB=1)
    graph.constant(lead_as, np.array(_lead(values, searched, bias)))
    return Nearest(distances, refined.node("ArgMin", distances, axis=1, keepdims=0))


def _searched(centroids: Matrix) -> tuple[Matrix, Matrix]:
    """Move centroids that lie far from zero: what products are taken with, (c, d), and what is added to these, (c,)."""
    mean = centroids.mean(axis=0)
    moved = centroids - mean
    with np.errstate(over="ignore"):
        is_far = FAR * _longest(moved) < _longest(centroids) < np.inf
        if not is_far:
            return centroids, -np.einsum("ij,ij->i", centroids, centroids)
        return moved, -np.einsum("ij,ij->i", moved, moved + 2.0 * mean)


def _longest(vectors: Matrix) -> float:
    return float(np.linalg.norm(vectors, axis=1).max())


def _lead(centroids: Matrix, searched: Matrix, bias: Matrix) -> Lead:
    """Bound the lead, to which the error of squares in float64 is added: a share of ``(|q| + longest)^2``."""
    with np.errstate(over="ignore", invalid="ignore"):
        needed, longest = lead([(2.0 * searched, bias)]), _longest(centroids)
        share = (centroids.shape[1] + 16) * 2.0**-50
        return Lead(
            slope=needed.slope + share * (FARTHEST + 2.0) * longest,
            constant=needed.constant + share * longest**2,
            shortest=needed.shortest,
            longest=min(needed.longest, FARTHEST * longest),
        )


def add_graph(graph: Graph, estimator: KMeans, features: str, outputs: dict[str, str]) -> None:
    """Write the search of `add_nearest`, and its outputs."""
    refined = graph.branch()
    centers, estimate = estimator.cluster_centers_, outputs[Output.ESTIMATE]
    nearest = add_nearest(graph, refined, features, centers, Stored.CENTROIDS, estimate, Table.LEAD)
    results = {Output.DISTANCE: nearest.distances, Output.CLUSTER: nearest.cluster}
    graph.refine(outputs, OUTPUTS, refined, results, features)


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


def fit_clusters(training: Training, clusters: int) -> KMeans:
    """Cluster the distinct queries of the training data; fewer than there are clusters are one cluster each."""
    clusters = min(clusters, len(np.unique(training.features, axis=0)))
    return KMeans(clusters, n_init=10, random_state=training.settings.seed).fit(training.features)


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


RULES = (
    Rules(
        algorithm="kmeans",
        semantics="native/1",
        form=KMeansForm,
        check=_check,
        build=_build,
        estimator=KMeansModelSelector,
        outputs=OUTPUTS,
        graph=add_graph,
        describe=_describe,
        stored=(Stored.CENTROIDS,),
        stored_rows=lambda estimator: list(range(len(estimator.cluster_centers_))),
        probes=_probes,
        expect=_expect,
        train=_train,
        grid=cluster_grid,
        trials=partial(cluster_trials, _train),
        settings=frozenset({"clusters", "quality_weight"}),
        distances=lambda estimator: distances_between(estimator.cluster_centers_),
    ),
)
