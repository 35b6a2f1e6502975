"""HierShrink: mean qualities of models in a fine cluster, shrunk to a coarse one, and these to the overall mean."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt
from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_array

from modelpick.runtime.schema import Entry, Metric, Output, Stored, Table

from ...formats.decoding import INT64, IgnoredSize, Name, refuse
from ...formats.distinct import Names, indexed, row_groups
from ...formats.document import Document, Source
from ...formats.outcomes import NANOSECONDS, Settings, Training
from ...formats.reader import Reader
from ...graphs.builder import Graph
from ...graphs.centroids import OUTPUTS as CENTROID_OUTPUTS
from ...graphs.centroids import add_nearest
from ..base import Estimator, Matrix, checked_features
from ..centroids import distances_between, distances_to, fit_clusters, near_clusters, nearest_clusters
from ..row import (
    TOLERANCE,
    Answer,
    Expected,
    Explanation,
    Held,
    Probes,
    Row,
    Trial,
    WholeGraph,
    explained_scores,
    fixed,
    via_document,
)

# How many records a model's mean one level up counts for: the original's lambda.
SHRINKAGE = 24.0
# Clusters that the original's training makes on each level.
COARSE, FINE = 20, 100


class RecordForm(Struct):
    """An answer of a model; whether it was a success is not read."""

    query_embedding: Raw
    selected_model: Name
    response_quality: float
    response_latency_ns: Annotated[int, Meta(ge=0, le=INT64[1])]


class HierShrinkForm(Struct):
    """Centroids on two levels, and the records of which clusters hold the means."""

    coarse_centroids: list[Raw]
    fine_centroids: list[Raw]
    training: Annotated[list[RecordForm], Meta(min_length=1)]
    cost_weight: Annotated[float, Meta(ge=0)] | UnsetType | None = UNSET
    feature_dim: IgnoredSize = UNSET


class HierShrinkDocument(Document, frozen=True, eq=False):
    """A checked HierShrink model."""

    coarse_centroids: Matrix
    """Float64, shape (coarse, d)."""
    fine_centroids: Matrix
    """Float64, shape (fine, d)."""
    cost_weight: float
    queries: Matrix
    """Of the records, float64, shape (n, d)."""
    models: tuple[str, ...]
    """Length n."""
    qualities: npt.NDArray[np.float64]
    """Shape (n,)."""
    latencies: npt.NDArray[np.int64]
    """Nanoseconds, shape (n,)."""


def _check(form: HierShrinkForm, source: Source, reader: Reader) -> HierShrinkDocument:
    coarse = reader.matrix(form.coarse_centroids, "$.coarse_centroids")
    fine = reader.matrix(form.fine_centroids, "$.fine_centroids")
    queries = reader.matrix([record.query_embedding for record in form.training], "$.training", ".query_embedding")
    for vectors, path in ((fine, "$.fine_centroids"), (queries, "$.training[0].query_embedding")):
        if vectors.shape[1] != coarse.shape[1]:
            refuse(path, f"expected {coarse.shape[1]} columns as in $.coarse_centroids, got {vectors.shape[1]}")
    reader.ignored_size(form.feature_dim, coarse.shape[1], "$.feature_dim", "columns of $.coarse_centroids")
    qualities = np.array([record.response_quality for record in form.training])
    with np.errstate(over="ignore"):
        if not np.isfinite(np.abs(qualities).sum()):
            refuse("$.training", "expected qualities whose sum is a finite number")
    return HierShrinkDocument(
        source=source,
        coarse_centroids=coarse,
        fine_centroids=fine,
        cost_weight=form.cost_weight or 0.0,
        queries=queries,
        models=tuple(record.selected_model for record in form.training),
        qualities=qualities,
        latencies=np.array([record.response_latency_ns for record in form.training], dtype=np.int64),
    )


class HierShrinkSelector(Estimator, ClassifierMixin, BaseEstimator):
    """Picks the model of the highest shrunk mean quality, less its relative latency, among records of similar queries.

    With ``lambda`` of 24, a model's records in a cluster count beside so many of its mean one level up:

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
    model_names_ : ndarray of str, shape (n_models,)
        In order of the first record.
    coarse_means_ : ndarray of float64, shape (coarse, n_models)
        Shrunk mean qualities.
    fine_sums_, fine_counts_ : ndarray of float64, shape (fine, n_models)
    latencies_ : ndarray of float64, shape (n_models,)
        Mean nanoseconds.
    queries_ : ndarray of float64, shape (n_queries, d)
        Distinct queries of the records.
    row_groups_ : ndarray of int64, shape (n,)
        Number of each record's query among them.
    """

    semantics = "native/1"
    model_names_: Names
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
        self.model_names_, models = indexed(y)
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
        names: Names = self.model_names_[best]
        return names


def _shrunk(sums: Matrix, counts: Matrix, means: Matrix) -> Matrix:
    return (sums + SHRINKAGE * means) / (counts + SHRINKAGE)


def _build(document: HierShrinkDocument) -> HierShrinkSelector:
    estimator = HierShrinkSelector(document.coarse_centroids, document.fine_centroids, document.cost_weight)
    return estimator.fit(document.queries, document.models, document.qualities, document.latencies)


OUTPUTS = {Output.COARSE_ESTIMATE: "float", Output.COARSE_CLUSTER: "index", **CENTROID_OUTPUTS}


def _add_graph(graph: Graph, estimator: HierShrinkSelector, features: str, outputs: dict[str, str]) -> None:
    """Write the search of `modelpick.converter.graphs.centroids` for each level; the tables stand beside it."""
    refined = graph.branch()
    fine, coarse = (
        add_nearest(graph, refined, features, centroids, stored_as, outputs[estimate], margin_as)
        for centroids, stored_as, estimate, margin_as in (
            (estimator.fine_centroids, Stored.CENTROIDS, Output.ESTIMATE, Table.LEAD),
            (estimator.coarse_centroids, Stored.COARSE_CENTROIDS, Output.COARSE_ESTIMATE, Table.COARSE_LEAD),
        )
    )
    results = {
        Output.DISTANCE: fine.distances,
        Output.CLUSTER: fine.cluster,
        Output.COARSE_CLUSTER: coarse.cluster,
    }
    graph.in_float64(outputs, OUTPUTS, refined, results)
    graph.constant(Table.COARSE_MEANS, estimator.coarse_means_)
    graph.constant(Table.FINE_SUMS, estimator.fine_sums_)
    graph.constant(Table.FINE_COUNTS, estimator.fine_counts_)
    graph.constant(Table.LATENCIES, estimator.latencies_)
    graph.stored_exactly(Stored.QUERIES, estimator.queries_)


def _describe(estimator: HierShrinkSelector) -> dict[str, Any]:
    return {
        Entry.CHOICES: list(estimator.model_names_),
        Entry.ROWS: len(estimator.row_groups_),
        Entry.K: 0,
        Entry.METRIC: Metric.EUCLIDEAN,
        Entry.SHRINKAGE: SHRINKAGE,
        Entry.COST_WEIGHT: estimator.cost_weight,
        Entry.TIE_RULE: "distance, then cluster; score, then candidate",
        Entry.VALUES_PER_QUERY: estimator.coarse_centroids.size + estimator.fine_centroids.size,
    }


def _stored_rows(estimator: HierShrinkSelector) -> list[int]:
    centroids = len(estimator.coarse_centroids) + len(estimator.fine_centroids)
    return [*range(centroids), *(centroids + estimator.row_groups_).tolist()]


def _probes(estimator: HierShrinkSelector) -> Probes:
    vectors = np.vstack([estimator.fine_centroids, estimator.coarse_centroids])
    return Probes(vectors, np.arange(len(vectors)))


def _expect(estimator: HierShrinkSelector, queries: Matrix, explained: Sequence[Explanation]) -> Iterator[Expected]:
    names = estimator.model_names_
    for why, coarse_distances, distances in zip(explained, *estimator.nearest(queries), strict=True):
        coarse_close, coarse = near_clusters(coarse_distances, why["coarse_cluster"])
        close, fine = near_clusters(distances, why["cluster"])
        possible = estimator.scores(*(pairs.ravel() for pairs in np.meshgrid(coarse_close, close)))
        best = possible >= possible.max(axis=1, keepdims=True) - TOLERANCE
        answer = Answer(explained_scores(why, names), np.array([why["distance"]]))
        expected = Answer(estimator.scores(np.array([coarse]), np.array([fine]))[0], distances[[fine]])
        yield Expected(answer, expected, set(names[best.any(axis=0)]), bool(best.sum() > 1))


def _hold(estimator: HierShrinkSelector, queries: Matrix, ask: WholeGraph) -> Iterator[Held]:
    found, coarse, fine = ask((Output.DISTANCE, Output.COARSE_CLUSTER, Output.CLUSTER), queries)
    coarse_distances, distances = estimator.nearest(queries)
    yield Held(Output.DISTANCE, found, distances)
    yield Held(Output.COARSE_CLUSTER, coarse, nearest_clusters(coarse_distances, coarse))
    yield Held(Output.CLUSTER, fine, nearest_clusters(distances, fine))


def _train(training: Training) -> dict[str, Any]:
    """Cluster the questions on two levels by k-means, as the original does; the means are taken from all records."""
    benchmark = training.benchmark
    queries, models = np.nonzero(~np.isnan(benchmark.quality))
    latencies = np.rint(benchmark.told_seconds()[queries, models] * NANOSECONDS).astype(np.int64)
    columns = zip(queries.tolist(), models.tolist(), latencies.tolist(), strict=True)
    return {
        "coarse_centroids": fit_clusters(training, COARSE).cluster_centers_.tolist(),
        "fine_centroids": fit_clusters(training, FINE).cluster_centers_.tolist(),
        "cost_weight": training.settings.latency_weight,
        "training": [
            {
                "query_embedding": training.features[query].tolist(),
                "selected_model": benchmark.model_names[model],
                "response_quality": float(benchmark.quality[query, model]),
                "response_latency_ns": latency,
                "success": not benchmark.failures[query, model] > 0.5,
                "timestamp": 0,
            }
            for query, model, latency in columns
        ],
    }


def _trials(training: Training, held_out: Matrix, grid: Sequence[Settings]) -> Iterator[Trial]:
    index = {name: model for model, name in enumerate(training.benchmark.model_names)}
    for settings in grid:
        fields = _train(training._replace(settings=settings))
        records = fields["training"]
        estimator = HierShrinkSelector(
            np.array(fields["coarse_centroids"]), np.array(fields["fine_centroids"]), fields["cost_weight"]
        ).fit(
            [record["query_embedding"] for record in records],
            [record["selected_model"] for record in records],
            np.array([record["response_quality"] for record in records]),
            np.array([record["response_latency_ns"] for record in records]),
        )
        yield fixed(settings, np.array([index[name] for name in estimator.predict(held_out)]))


ROWS = (
    Row(
        algorithm="hiershrink",
        semantics="native/1",
        form=HierShrinkForm,
        load=via_document(_check, _build),
        estimator=HierShrinkSelector,
        outputs=OUTPUTS,
        graph=_add_graph,
        describe=_describe,
        stored_rows=_stored_rows,
        probes=_probes,
        expect=_expect,
        hold=_hold,
        distances=lambda estimator: distances_between(estimator.fine_centroids),
        reads_trained=False,
        train=_train,
        grid=lambda settings: [settings],  # the original's recipe has nothing to tune
        shared_trials=_trials,
        settings=frozenset({"latency_weight"}),
    ),
)
