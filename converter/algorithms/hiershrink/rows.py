"""HierShrink: mean qualities of models in a fine cluster, shrunk to a coarse one, and these to the overall mean."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from modelpick.runtime.schema import Entry, Metric, Output

from ...formats.outcomes import NANOSECONDS, Indices, Training
from ..base import Matrix
from ..centroids import distances_between, fit_clusters, near_clusters
from ..choices import followed
from ..row import TOLERANCE, Answer, Expected, Explanation, Held, Probes, Row, WholeGraph, explained_scores
from .estimators import SHRINKAGE, HierShrinkSelector
from .forms import HierShrinkForm, load
from .graph import OUTPUTS, add_graph

# Clusters that the original's training makes on each level.
COARSE, FINE = 20, 100


def _describe(estimator: HierShrinkSelector) -> dict[str, Any]:
    return {
        Entry.CHOICES: list(estimator.classes_),
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
    names = estimator.classes_
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
    yield Held(Output.COARSE_CLUSTER, coarse, followed(-coarse_distances, coarse))
    yield Held(Output.CLUSTER, fine, followed(-distances, fine))


def _records(training: Training) -> tuple[Indices, Indices, Indices]:
    """Return the query, the model, and the nanoseconds of each record, (n,) each."""
    benchmark = training.benchmark
    queries, models = np.nonzero(~np.isnan(benchmark.quality))
    return queries, models, np.rint(benchmark.filled_seconds()[queries, models] * NANOSECONDS).astype(np.int64)


def _fit(training: Training) -> HierShrinkSelector:
    """Cluster the questions on two levels by k-means, as the original does; the means are taken from all records."""
    benchmark, (queries, models, latencies) = training.benchmark, _records(training)
    coarse, fine = (fit_clusters(training, clusters).cluster_centers_ for clusters in (COARSE, FINE))
    names = [benchmark.model_names[model] for model in models]
    return HierShrinkSelector(coarse, fine, training.settings.latency_weight).fit(
        training.features[queries], names, benchmark.quality[queries, models], latencies
    )


def _write(estimator: HierShrinkSelector, training: Training) -> dict[str, Any]:
    benchmark = training.benchmark
    columns = zip(*(column.tolist() for column in _records(training)), strict=True)
    return {
        "coarse_centroids": estimator.coarse_centroids.tolist(),
        "fine_centroids": estimator.fine_centroids.tolist(),
        "cost_weight": estimator.cost_weight,
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


ROWS = (
    Row(
        algorithm="hiershrink",
        semantics="native/1",
        form=HierShrinkForm,
        load=load,
        estimator=HierShrinkSelector,
        outputs=OUTPUTS,
        graph=add_graph,
        describe=_describe,
        stored_rows=_stored_rows,
        probes=_probes,
        expect=_expect,
        hold=_hold,
        distances=lambda estimator: distances_between(estimator.fine_centroids),
        reads_trained=False,
        averages=True,
        fit=_fit,
        write=_write,
        grid=lambda settings: [settings],  # the original's recipe has nothing to tune
        settings=frozenset({"latency_weight"}),
    ),
)
