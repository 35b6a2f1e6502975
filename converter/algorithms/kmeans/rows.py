"""KMeans: the model of the nearest centroid (``native/1``), or the highest-scoring model there (``native/2``)."""

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

import msgspec
import numpy as np

from modelpick.runtime import DocumentError
from modelpick.runtime.schema import Entry, Metric

from ...formats.decoding import Refusal, decode
from ...formats.digests import digest
from ...formats.outcomes import Benchmark, Settings, Training, filled
from ...graphs.centroids import OUTPUTS
from ...statistics.landmarks import stabilised
from ..base import Matrix
from ..centroids import distances_between, fit_clusters, hold_clusters, near_clusters
from ..choices import choices, describe_choices
from ..row import Answer, Expected, Explanation, Probes, Row, explained_scores
from .estimators import ClusterScoreSelector, KMeansModelSelector
from .forms import (
    CONSTANTS,
    KMeansForm,
    KMeansScoresForm,
    Objective,
    check_weights,
    first_generation,
    load_nearest,
    load_scores,
)
from .graph import add_graph, add_scores

MILLISECONDS = 1e3
# Numbers of clusters that tuning tries.
CLUSTERS = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64)


def _describe_nearest(estimator: KMeansModelSelector) -> dict[str, Any]:
    centers = estimator.cluster_centers_
    return {
        **describe_choices(estimator, len(centers), "distance, then cluster", centers.size),
        Entry.METRIC: Metric.EUCLIDEAN,
    }


def _probes_nearest(estimator: KMeansModelSelector) -> Probes:
    return Probes(estimator.cluster_centers_, estimator.choice_models_)


def _expect_nearest(
    estimator: KMeansModelSelector, queries: Matrix, explained: Sequence[Explanation]
) -> Iterator[Expected]:
    chosen = choices(estimator, queries, [why["cluster"] for why in explained])
    for why, choice in zip(explained, chosen, strict=True):
        answer = Answer(explained_scores(why, estimator.classes_), np.array([why["distance"]]))
        yield Expected(answer, Answer(choice.scores, np.array([-choice.best])), choice.models, choice.tied)


def _fit_nearest(training: Training) -> KMeansModelSelector:
    """Assign each cluster to the model of the highest mean weight on its queries."""
    fitted = fit_clusters(training, training.settings.clusters)
    known = np.isfinite(training.weights)
    models = []
    for cluster in range(len(fitted.cluster_centers_)):
        inside = fitted.labels_ == cluster
        sums = np.where(known[inside], training.weights[inside], 0.0).sum(axis=0)
        counts = known[inside].sum(axis=0)
        models.append(training.benchmark.model_names[int((sums / np.maximum(counts, 1)).argmax())])
    return KMeansModelSelector(len(models)).fit(fitted.cluster_centers_, models, sorted(training.benchmark.model_names))


def _write_nearest(estimator: KMeansModelSelector, training: Training) -> dict[str, Any]:
    quality_weight = training.settings.quality_weight
    clusters = len(estimator.cluster_centers_)
    return {
        "num_clusters": clusters,
        "centroids": estimator.cluster_centers_.tolist(),
        "cluster_models": list(estimator.choice_models_),
        "n_clusters": clusters,
        "efficiency_weight": 0.1 if quality_weight is None else 1.0 - quality_weight,
        "model_names": list(estimator.classes_),
    }


def _describe_scores(estimator: ClusterScoreSelector) -> dict[str, Any]:
    centers = estimator.cluster_centers_
    return {
        Entry.CHOICES: list(estimator.classes_),
        Entry.ROWS: len(centers),
        Entry.K: 0,
        Entry.METRIC: Metric.EUCLIDEAN,
        Entry.TIE_RULE: "distance, then cluster; score, then model",
        Entry.VALUES_PER_QUERY: centers.size,
    }


def _probes_scores(estimator: ClusterScoreSelector) -> Probes:
    return Probes(estimator.cluster_centers_, estimator.scores_.argmax(axis=1))


def _expect_scores(
    estimator: ClusterScoreSelector, queries: Matrix, explained: Sequence[Explanation]
) -> Iterator[Expected]:
    names = estimator.classes_
    for why, distances in zip(explained, estimator.transform(queries), strict=True):
        close, cluster = near_clusters(distances, why["cluster"])
        models = set(names[estimator.scores_[close].argmax(axis=1)])
        answer = Answer(explained_scores(why, names), np.array([why["distance"]]))
        expected = Answer(estimator.scores_[cluster], distances[[cluster]])
        yield Expected(answer, expected, models, len(close) > 1)


def _fit_scores(training: Training) -> ClusterScoreSelector:
    """Score models in each cluster by the original's recipe: the mean utility of their records, see `_utility`.

    Raises
    ------
    DocumentError
        When the objective is invalid, or weighs costs that no record has.
    """
    benchmark, names = training.benchmark, sorted(training.benchmark.model_names)
    order = [benchmark.model_names.index(name) for name in names]
    objective = _objective(training.settings)
    if objective.weights.cost and np.isnan(benchmark.cost).all():
        raise DocumentError("objective_cost: expected records with costs, got none")
    utility = _utility(benchmark, objective)[:, order]
    fitted, min_support = fit_clusters(training, training.settings.clusters), training.settings.min_support
    known = ~np.isnan(utility)
    weights = stabilised(known, benchmark.propensity[:, order])
    summands = weights * np.nan_to_num(utility)
    sizes = np.bincount(fitted.labels_, minlength=len(fitted.cluster_centers_))
    occupied = np.flatnonzero(sizes)
    inside = fitted.labels_ == occupied[:, None]
    global_support = known.sum(axis=0)
    global_scores = summands.sum(axis=0) / np.where(global_support, weights.sum(axis=0), 1.0)
    support, sums, totals = (
        np.array([of[members].sum(axis=0) for members in inside]) for of in (known, summands, weights)
    )
    scores = np.where(support >= min_support, sums / np.where(support, totals, 1.0), global_scores)
    return ClusterScoreSelector(len(occupied), n_init=10, random_state=training.settings.seed).fit(
        fitted.cluster_centers_[occupied], names, scores, support, sizes[occupied], global_scores, global_support
    )


def _write_scores(estimator: ClusterScoreSelector, training: Training) -> dict[str, Any]:
    benchmark, settings, names = training.benchmark, training.settings, list(estimator.classes_)
    objective, clusters = _objective(settings), len(estimator.cluster_centers_)
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
            "seed": settings.seed,
            "n_init": 10,
            "max_iter": estimator.max_iter,
            "tol": estimator.tol,
            "library_versions": {tool: version(tool) for tool in ("scikit-learn", "numpy")},
            "requested_k": settings.clusters,
            "effective_k": clusters,
            "train_queries": len(training.features),
        },
        "distance": CONSTANTS["distance"],
        "tie_break": CONSTANTS["tie_break"],
        "num_clusters": clusters,
        "centroids": estimator.cluster_centers_.tolist(),
        "cluster_sizes": estimator.cluster_sizes_.tolist(),
        "scores": estimator.scores_.tolist(),
        "support": estimator.support_.tolist(),
        "fallback": {
            "min_support": settings.min_support,
            "global_scores": estimator.global_scores_.tolist(),
            "global_support": estimator.global_support_.tolist(),
        },
        "cluster_models": [names[model] for model in estimator.scores_.argmax(axis=1)],
        "model_names": names,
    }


def _objective(settings: Settings) -> Objective:
    """Return the user's objective, checked like one that is read from a file."""
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
        check_weights(objective, "objective")
    except Refusal as refusal:
        raise DocumentError(str(refusal)) from None
    return objective


def _utility(benchmark: Benchmark, objective: Objective) -> Matrix:
    """Return the original's utility, version 1, of each answer, float64, (n_queries, n_models); NaN if unknown.

    ``q * quality + l / (1 + latency / latency_scale) + c / (1 + cost / cost_scale)``; it is 0 for failed answers.
    """
    weights = objective.weights
    speed = 1.0 / (1.0 + benchmark.filled_seconds() * MILLISECONDS / objective.latency_scale_ms)
    thrift = 1.0 / (1.0 + filled(benchmark.cost) / objective.cost_scale)
    succeeded = 1.0 - benchmark.failures
    utility: Matrix = weights.quality * benchmark.quality
    return utility + succeeded * (weights.latency * speed + weights.cost * thrift)


def _grid(settings: Settings) -> list[Settings]:
    return [settings._replace(clusters=clusters) for clusters in CLUSTERS]


ROWS = (
    Row(
        algorithm="kmeans",
        semantics="native/1",
        form=KMeansForm,
        load=load_nearest,
        estimator=KMeansModelSelector,
        outputs=OUTPUTS,
        graph=add_graph,
        describe=_describe_nearest,
        stored_rows=lambda estimator: list(range(len(estimator.cluster_centers_))),
        probes=_probes_nearest,
        expect=_expect_nearest,
        hold=hold_clusters,
        fit=_fit_nearest,
        write=_write_nearest,
        grid=_grid,
        settings=frozenset({"clusters", "quality_weight"}),
        distances=lambda estimator: distances_between(estimator.cluster_centers_),
    ),
    Row(
        algorithm="kmeans",
        semantics="native/2",
        form=KMeansScoresForm,
        load=load_scores,
        estimator=ClusterScoreSelector,
        outputs=OUTPUTS,
        graph=add_scores,
        describe=_describe_scores,
        stored_rows=lambda estimator: list(range(len(estimator.cluster_centers_))),
        probes=_probes_scores,
        expect=_expect_scores,
        hold=hold_clusters,
        instead=first_generation,
        fit=_fit_scores,
        write=_write_scores,
        grid=_grid,
        settings=frozenset(
            {
                *("clusters", "min_support", "objective_quality", "objective_latency", "objective_cost"),
                *("latency_scale_ms", "cost_scale"),
            }
        ),
        distances=lambda estimator: distances_between(estimator.cluster_centers_),
    ),
)
