"""KNN: the nearest rows vote (``native``, ``trainer``), or the nearest questions predict outcomes (``queries``)."""

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import replace
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from modelpick.runtime import DocumentError, Objective
from modelpick.runtime.decision.outcomes import PLACES, PRICES, QUALITY, SECONDS
from modelpick.runtime.decision.shrinkage import model_means
from modelpick.runtime.schema import Entry, Output

from ...formats.distinct import row_groups
from ...formats.outcomes import NANOSECONDS, Indices, Settings, Training
from ...graphs import neighbours as graph_of
from ...statistics.equals import first_highest
from ..base import Matrix
from ..outcomes import describe_outcomes, known_outcomes
from ..row import TOLERANCE, Answer, Expected, Explanation, Held, Option, Probes, Row, Trial, WholeGraph, fixed
from .estimators import DEFAULT_QUALITY, VOTINGS, KNNModelSelector, OutcomeModelSelector
from .expectations import found_neighbours, hold_neighbours
from .filling import expected_outcomes
from .forms import KNNForm, KNNForm2, KNNOutcomesForm, load_outcomes, load_rows, load_rows_2
from .graph import OUTPUTS, add_queries, add_rows
from .neighbours import ExactNeighbors, distances_between

Mask = npt.NDArray[np.bool_]
K = Option("k", "1 or more, for a KNN model", lambda k: k >= 1)
SHRINKAGE = Option(
    "shrinkage", "a number, 0 or more, for the semantics queries", lambda shrinkage: 0.0 <= shrinkage < np.inf
)
# Values that tuning tries: k for rows, k for queries, and evidence.
ROW_NEIGHBOURS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500)
QUERY_NEIGHBOURS, EVIDENCES = (5, 10, 20, 30, 50, 75, 100, 150, 200, 300), (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)


def _describe_rows(estimator: KNNModelSelector) -> dict[str, Any]:
    tied = "name" if VOTINGS[estimator.semantics].ties_by_name else "best-ranked neighbour"
    distinct = int(estimator.row_groups_.max()) + 1
    return {
        Entry.CHOICES: list(estimator.classes_),
        Entry.ROWS: len(estimator.row_groups_),
        Entry.K: min(estimator.n_neighbors, estimator.n_samples_fit_),
        Entry.METRIC: estimator.ranking,
        Entry.QUALITY_WEIGHT: estimator.weights.quality,
        Entry.SPEED_WEIGHT: estimator.weights.speed,
        Entry.MIN_QUALITY: estimator.weights.min_quality,
        Entry.TIE_RULE: f"distance, then row; vote, then {tied}",
        Entry.DISTINCT: distinct,
        Entry.VALUES_PER_QUERY: distinct + estimator.n_features_in_,
    }


def _probes_rows(estimator: KNNModelSelector) -> Probes:
    return Probes(estimator.embeddings_, estimator.model_indices_)


def _expect_rows(estimator: KNNModelSelector, queries: Matrix, explained: Sequence[Explanation]) -> Iterator[Expected]:
    rows = {row: row for row in range(estimator.n_samples_fit_)}
    for found in found_neighbours(estimator, queries, explained, estimator.row_groups_, rows):
        outcome = estimator.vote(found.rows[None])
        models = {estimator.classes_[outcome.picks[0]]}
        yield Expected(found.explained, Answer(outcome.scores[0], found.distances), models, found.rounded)


def _hold_rows(estimator: KNNModelSelector, queries: Matrix, ask: WholeGraph) -> Iterator[Held]:
    columns = {
        Output.MODEL: estimator.model_indices_,
        Output.QUALITY: estimator.qualities_,
        Output.SPEED: estimator.speeds_,
    }
    return hold_neighbours(estimator, queries, ask, estimator.row_groups_, columns)


def _describe_queries(estimator: OutcomeModelSelector) -> dict[str, Any]:
    distinct = estimator.n_samples_fit_
    k = min(estimator.n_neighbors, distinct)
    return {
        Entry.CHOICES: list(estimator.classes_),
        Entry.ROWS: len(estimator.row_groups_),
        Entry.K: k,
        Entry.METRIC: estimator.ranking,
        Entry.SHRINKAGE: estimator.shrinkage,
        Entry.TIE_RULE: "distance, then row; utility, then cost, then model",
        Entry.DISTINCT: distinct,
        Entry.VALUES_PER_QUERY: distinct + estimator.n_features_in_ + k * estimator.outcomes_[0].size,
        Entry.EVIDENCE: estimator.evidence,
        **describe_outcomes(estimator, estimator.outcomes_),
    }


def _expect_queries(
    estimator: OutcomeModelSelector, queries: Matrix, explained: Sequence[Explanation]
) -> Iterator[Expected]:
    names, numbers = estimator.classes_, {int(row): query for query, row in enumerate(estimator.first_row_)}
    pairs = found_neighbours(estimator, queries, explained, np.arange(estimator.n_samples_fit_), numbers)
    for found, why in zip(pairs, explained, strict=True):
        outcomes = estimator.outcomes(found.rows[None])[0]
        shown, expected = known_outcomes(why, names, outcomes)
        sure, possible = _with_evidence(estimator, found.rows)
        close = possible & (outcomes[QUALITY] >= outcomes[QUALITY][sure].max() - TOLERANCE)
        answer = Answer(shown, found.explained.distances)
        tied = bool(found.rounded or close.sum() > 1)
        yield Expected(answer, Answer(expected, found.distances), set(names[close]), tied)


def _hold_queries(estimator: OutcomeModelSelector, queries: Matrix, ask: WholeGraph) -> Iterator[Held]:
    return hold_neighbours(estimator, queries, ask, np.arange(estimator.n_samples_fit_), {})


def _with_evidence(estimator: OutcomeModelSelector, rows: npt.NDArray[np.int64]) -> tuple[Mask, Mask]:
    """Return which models have the evidence on neighbours, (k,).

    The first mask holds the models that have it independent of rounding; the second adds models where rounding decides.
    """
    if not estimator.evidence:
        everything = np.full(len(estimator.classes_), True)
        return everything, everything
    statistics, margin = estimator.t_statistics(rows[None], Objective())[0], TOLERANCE * max(1.0, estimator.evidence)
    return statistics > estimator.evidence + margin, statistics > estimator.evidence - margin


class _Records(NamedTuple):
    """Recorded answers, each a row of a file."""

    queries: Indices
    """Indices of the benchmark's queries, shape (n,)."""
    models: Indices
    latencies: Indices
    """Nanoseconds."""

    @classmethod
    def of(cls, training: Training) -> "_Records":
        """Take the answers with a known quality."""
        benchmark = training.benchmark
        queries, models = np.nonzero(~np.isnan(benchmark.quality))
        latencies = np.rint(benchmark.filled_seconds()[queries, models] * NANOSECONDS).astype(np.int64)
        return cls(queries, models, latencies)

    def labels(self, training: Training) -> list[str]:
        """Return the name of each answer's model."""
        return [training.benchmark.model_names[model] for model in self.models]


def _fit_rows(semantics: str, training: Training) -> KNNModelSelector:
    records = _Records.of(training)
    qualities = training.benchmark.quality[records.queries, records.models]
    estimator = KNNModelSelector(training.settings.k, semantics)
    return estimator.fit(training.features[records.queries], records.labels(training), qualities, records.latencies)


def _write_rows(estimator: ExactNeighbors, training: Training) -> dict[str, Any]:
    """Return a row for each recorded answer."""
    benchmark, records = training.benchmark, _Records.of(training)
    return {
        **({} if estimator.semantics == "native/1" else {"format_version": 2}),
        "k": estimator.n_neighbors,
        "embeddings": training.features[records.queries].tolist(),
        "labels": records.labels(training),
        "qualities": benchmark.quality[records.queries, records.models].tolist(),
        "latencies": records.latencies.tolist(),
        "model_names": sorted(benchmark.model_names),
        "num_samples": len(records.queries),
    }


def _fit_queries(training: Training) -> OutcomeModelSelector:
    benchmark, settings, records = training.benchmark, training.settings, _Records.of(training)
    outcomes = benchmark.outcomes()[records.queries, :, records.models]
    default = benchmark.model_names[first_highest(model_means(benchmark.quality))]
    estimator = OutcomeModelSelector(settings.k, evidence=settings.evidence)
    return estimator.fit(training.features[records.queries], records.labels(training), outcomes, default)


def _write_queries(estimator: OutcomeModelSelector, training: Training) -> dict[str, Any]:
    outcomes, records = training.benchmark.outcomes(), _Records.of(training)
    recorded = {kind.given: outcomes[records.queries, PLACES[kind.name], records.models] for kind in PRICES}
    columns = {
        field: [None if np.isnan(value) else value for value in values.tolist()]
        for field, values in recorded.items()
        if not np.isnan(values).all()
    }
    rows = _write_rows(estimator, training)
    return {**rows, **columns, "evidence": estimator.evidence, "default": estimator.default_}


def _add(estimator: ExactNeighbors, fields: dict[str, Any], training: Training) -> dict[str, Any]:
    """Return the fields of a file with the rows of one more model.

    Raises
    ------
    DocumentError
        When the rows are in the old spelling, ``samples``, or the new model has no records of a kind of outcome that
        the file predicts.
    """
    if not fields.get("embeddings"):
        raise DocumentError("expected a file with $.embeddings: train it again")
    more = _write_queries(_fit_queries(training), training)
    for kind in PRICES:
        if fields.get(kind.given) and kind.given not in more:
            (name,) = training.benchmark.model_names
            raise DocumentError(f"expected the {kind.noun} of answers of {name}, which the file predicts")
    if fields.get("latencies") and np.isnan(training.benchmark.seconds).all():
        more["latencies"] = [_usual(fields)] * len(more["labels"])
    return _extended(fields, more)


def _add_expected(estimator: OutcomeModelSelector, fields: dict[str, Any], training: Training) -> dict[str, Any]:
    """Return the fields of a file with a row of one more model for each question.

    Where the model did not answer, the row has the expected outcomes, see
    `modelpick.converter.algorithms.knn.filling`. The field ``added`` names the models of such rows. A file of one
    recorded model tells no variances, and gets the recorded answers alone.

    Raises
    ------
    DocumentError
        As `_add` does.
    """
    more, added = _add(estimator, fields, training), fields.get("added") or []
    learned = np.flatnonzero([name not in added for name in estimator.classes_])
    if len(learned) < 2:
        return more
    answers = training.benchmark.outcomes()[:, : estimator.outcomes_.shape[1], 0]
    places = row_groups(np.concatenate([estimator.embeddings_, training.features]))[estimator.n_samples_fit_ :]
    expected = expected_outcomes(estimator, learned, training.features, places, answers)
    left = np.setdiff1d(np.flatnonzero(~np.isnan(expected[:, QUALITY])), places)
    prices = {
        kind.given: [None if np.isnan(value) else value for value in expected[left, PLACES[kind.name]].tolist()]
        for kind in PRICES
        if fields.get(kind.given)
    }
    seconds = expected[left, SECONDS]
    usual = np.where(np.isnan(seconds), _usual(fields), np.rint(seconds * NANOSECONDS))
    rows = {
        "embeddings": [fields["embeddings"][row] for row in estimator.first_row_[left]],
        "labels": training.benchmark.model_names * len(left),
        "qualities": expected[left, QUALITY].tolist(),
        "latencies": usual.astype(np.int64).tolist(),
        **prices,
    }
    return _extended(more, rows) | {"added": [*added, *training.benchmark.model_names]}


def _usual(fields: dict[str, Any]) -> int:
    """Return the mean latency in nanoseconds of a file's rows; 0 where it has none."""
    return round(np.mean(fields.get("latencies") or 0))


def _extended(fields: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a file with more rows, of columns of which the file may lack some."""
    held = {"embeddings": [], "labels": [], "qualities": [DEFAULT_QUALITY] * len(fields["embeddings"])}
    held |= {name: [] for name in ("latencies", *(kind.given for kind in PRICES)) if fields.get(name)}
    added = {name: (fields.get(name) or without) + more[name] for name, without in held.items()}
    names = {"model_names": sorted(dict.fromkeys(added["labels"]))} if "model_names" in fields else {}
    return fields | added | names | {"num_samples": len(added["labels"])}


def _grid_rows(settings: Settings) -> list[Settings]:
    return [settings._replace(k=k) for k in ROW_NEIGHBOURS]


def _grid_queries(settings: Settings) -> list[Settings]:
    return [settings._replace(k=k, evidence=evidence) for k in QUERY_NEIGHBOURS for evidence in EVIDENCES]


def _of_benchmark(estimator: ExactNeighbors, training: Training) -> Indices:
    """Return the index of each of the estimator's models among the benchmark's, shape (n_models,)."""
    index = {name: model for model, name in enumerate(training.benchmark.model_names)}
    return np.array([index[name] for name in estimator.classes_])


def _with_most(training: Training, grid: Sequence[Settings]) -> Training:
    """Return the training by the largest k of the settings: its neighbours include the other settings' neighbours."""
    return training._replace(settings=training.settings._replace(k=max(settings.k for settings in grid)))


def _trials_of_rows(semantics: str, training: Training, held_out: Matrix, grid: Sequence[Settings]) -> Iterator[Trial]:
    estimator = _fit_rows(semantics, _with_most(training, grid))
    rows, models = estimator.kneighbors(held_out, return_distance=False), _of_benchmark(estimator, training)
    for settings in grid:
        yield fixed(settings, models[estimator.vote(rows[:, : settings.k]).picks])


def _trials_of_queries(training: Training, held_out: Matrix, grid: Sequence[Settings]) -> Iterator[Trial]:
    estimator = _fit_queries(_with_most(training, grid))
    rows, models = estimator.kneighbors(held_out, return_distance=False), _of_benchmark(estimator, training)
    for k in dict.fromkeys(settings.k for settings in grid):
        neighbours = rows[:, :k]
        predicted, statistics = estimator.outcomes(neighbours), cache(partial(estimator.t_statistics, neighbours))
        of_all = np.full((*predicted.shape[:2], len(training.benchmark.model_names)), np.nan)
        of_all[..., models] = predicted

        def pick(
            objective: Objective, evidence: float, predicted: Matrix = predicted, statistics: Any = statistics
        ) -> Indices:
            with_evidence = copy(estimator).set_params(evidence=evidence)
            picked: Indices = models[
                with_evidence.choose(predicted, objective, statistics(objective) if evidence else None)
            ]
            return picked

        for settings in grid:
            if settings.k == k:
                yield Trial(settings, partial(pick, evidence=settings.evidence), of_all)


_ROWS: Row[Any, KNNModelSelector] = Row(
    algorithm="knn",
    semantics="native/1",
    form=KNNForm,
    load=load_rows,
    estimator=KNNModelSelector,
    outputs=OUTPUTS,
    graph=add_rows,
    describe=_describe_rows,
    stored_rows=lambda estimator: estimator.row_groups_.tolist(),
    probes=_probes_rows,
    expect=_expect_rows,
    hold=_hold_rows,
    distances=lambda estimator: distances_between(estimator, estimator.row_groups_),
    fit=partial(_fit_rows, "native/1"),
    write=_write_rows,
    add=_add,
    grid=_grid_rows,
    shared_trials=partial(_trials_of_rows, "native/1"),
    settings=frozenset({"k"}),
    options=(K,),
    graph_options=graph_of.OPTIONS,
)
_QUERIES = Row(
    algorithm="knn",
    semantics="queries/3",
    form=KNNOutcomesForm,
    load=load_outcomes,
    estimator=OutcomeModelSelector,
    outputs=graph_of.OUTPUTS,
    graph=add_queries,
    describe=_describe_queries,
    stored_rows=lambda estimator: estimator.row_groups_.tolist(),
    probes=lambda estimator: Probes(estimator.embeddings_, np.arange(estimator.n_samples_fit_)),
    expect=_expect_queries,
    hold=_hold_queries,
    distances=lambda estimator: distances_between(estimator, np.arange(estimator.n_samples_fit_)),
    fit=_fit_queries,
    write=_write_queries,
    add=_add_expected,
    grid=_grid_queries,
    shared_trials=_trials_of_queries,
    settings=frozenset({"k", "evidence"}),
    predicts=True,
    averages=True,
    by_direction=True,
    options=(K, SHRINKAGE),
    graph_options=graph_of.OPTIONS,
)
# Rows of earlier semantics answer as before, but are not trained any more.
ROWS = (
    _ROWS,
    replace(
        _ROWS,
        semantics="native/2",
        form=KNNForm2,
        load=load_rows_2,
        by_direction=True,
        fit=partial(_fit_rows, "native/2"),
        shared_trials=partial(_trials_of_rows, "native/2"),
    ),
    replace(
        _ROWS, semantics="trainer/1", by_direction=True, fit=None, write=None, add=None, grid=None, shared_trials=None
    ),
    replace(_QUERIES, semantics="queries/2", fit=None, write=None, add=None, grid=None, shared_trials=None),
    _QUERIES,
)
