"""KNN regression of outcomes: the k nearest queries predict quality, cost and seconds of every model.

The ``queries`` semantics from their second version on; by the third, no predicted cost or time is below 0. Rows of one
embedding are one query; neighbours are ranked by the distance between directions. See
`modelpick.runtime.decision.shrinkage` for the prediction.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt
from msgspec import UNSET, Meta, UnsetType

from modelpick.runtime.decision.guard import t_statistics
from modelpick.runtime.decision.objective import COST, OUTCOMES, QUALITY, SECONDS, Objective, choose, floored, utilities
from modelpick.runtime.decision.shrinkage import deviations, model_means, neighbour_means
from modelpick.runtime.schema import Entry, Metric, Table

from ...formats.decoding import Name, check_length, refuse
from ...formats.distinct import Names, indexed, row_groups, taken
from ...formats.document import Source
from ...formats.operating_points import OperatingPoints, checked_points
from ...formats.outcomes import NANOSECONDS, Settings, Training
from ...formats.reader import Reader
from ...graphs import neighbours as graph_of
from ...graphs.builder import Graph
from ...graphs.rows import Rows
from ..base import Matrix
from ..row import TOLERANCE, Answer, Expected, Explanation, Held, Probes, Row, Trial, WholeGraph, via_document
from .neighbours import SHRINKAGE, ExactNeighbors, K, distances_between, found_neighbours, hold_neighbours
from .vote import KNNDocument, KNNForm, check_rows, train_rows

Mask = npt.NDArray[np.bool_]
# Rules -> what no predicted cost or time is below.
_LEAST_PRICES = {"queries/2": -np.inf, "queries/3": 0.0}
# Values of k, and of evidence, that tuning tries.
NEIGHBOURS, EVIDENCES = (5, 10, 20, 30, 50, 75, 100, 150, 200, 300), (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
# How many neighbours without a deviation the means of neighbours count beside, unless the user says otherwise.
DEFAULT_SHRINKAGE = 3.0


class KNNOutcomesForm(KNNForm):
    """The original's columns, and ours beside them, which it ignores."""

    costs: list[float | None] | UnsetType | None = UNSET
    seconds: list[float | None] | UnsetType | None = UNSET
    evidence: Annotated[float, Meta(ge=0)] | UnsetType | None = UNSET
    default: Name | UnsetType | None = UNSET
    operating_points: OperatingPoints | UnsetType | None = UNSET


class KNNOutcomesDocument(KNNDocument, frozen=True, eq=False):
    """A checked KNN model with costs."""

    costs: Matrix
    """Of each row, float64, shape (n,); NaN where it is not known."""
    seconds: Matrix
    """Likewise."""
    evidence: float
    """Standard errors by which the default model must be led, unless a caller says otherwise."""
    default: str | None
    """Model that is best on average, if the file says so."""
    operating_points: dict[str, Any] | None


def _check(form: KNNOutcomesForm, source: Source, reader: Reader) -> KNNOutcomesDocument:
    rows = check_rows(form, source, reader)
    n, names = len(rows.labels), tuple(dict.fromkeys(rows.labels))
    recorded = rows.latencies / NANOSECONDS if rows.latencies.size else np.full(n, np.nan)
    columns = {}
    for field, values in (("costs", form.costs), ("seconds", form.seconds)):
        if values:
            check_length(values, n, f"$.{field}", "row of $.embeddings")
        columns[field] = np.array([np.nan if value is None else value for value in values or []], dtype=np.float64)
    if form.default and form.default not in names:
        refuse("$.default", f"expected one of {', '.join(names)}, got '{form.default}'")
    return KNNOutcomesDocument(
        source=source,
        k=rows.k,
        embeddings=rows.embeddings,
        labels=rows.labels,
        qualities=rows.qualities,
        latencies=rows.latencies,
        costs=columns["costs"] if form.costs else np.full(n, np.nan),
        seconds=columns["seconds"] if form.seconds else recorded,
        evidence=form.evidence or 0.0,
        default=form.default or None,
        operating_points=checked_points(form.operating_points or None, names, "$.operating_points"),
    )


class OutcomeModelSelector(ExactNeighbors):
    """Picks the model of the highest quality that the k nearest queries predict.

    Parameters
    ----------
    n_neighbors : int, default=50
        Queries that count; more than there are means all.
    shrinkage : float, default=3.0
        How many neighbours without a deviation from a model's mean count beside them.
    evidence : float, default=0.0
        Standard errors over the neighbours by which another model must lead the one that is best on average.
    semantics : {"queries/2", "queries/3"}, default="queries/3"

    Attributes
    ----------
    model_names_ : ndarray of str, shape (n_models,)
        Language models, in order of their first row.
    outcomes_ : ndarray of float64, shape (n_queries, 3, n_models)
        Quality, cost and seconds of each model on each query, means of its rows; NaN where they are not known.
    row_groups_ : ndarray of int64, shape (n,)
        Query of each row; queries count in order of their first row.
    first_row_ : ndarray of int64, shape (n_queries,)
    default_ : str
    operating_points_ : dict or None
    """

    model_names_: Names
    row_groups_: npt.NDArray[np.int64]

    def __init__(
        self,
        n_neighbors: int = 50,
        shrinkage: float = DEFAULT_SHRINKAGE,
        evidence: float = 0.0,
        semantics: str = "queries/3",
    ) -> None:
        super().__init__(n_neighbors=n_neighbors, algorithm="brute")
        self.shrinkage, self.evidence, self.semantics = shrinkage, evidence, semantics

    @property
    def least_price(self) -> float:
        """What no predicted cost or time is below."""
        return _LEAST_PRICES[self.semantics]

    @property
    def ranking(self) -> str:
        """One of `Metric`."""
        return Metric.CHORD

    def fit(self, X: Matrix, y: Sequence[str], outcomes: Matrix) -> Self:
        """Keep the queries.

        Parameters
        ----------
        X
            Feature vectors, shape (n, d).
        y
            Language model of each row, length n.
        outcomes
            Quality, cost and seconds of each row, float64, shape (n, 3); NaN where they are not known.
        """
        self.row_groups_ = row_groups(X)
        self.first_row_ = np.unique(self.row_groups_, return_index=True)[1].astype(np.int64)
        super().fit(taken(X, self.first_row_))
        self.model_names_, models = indexed(y)
        shape = (len(self.first_row_), len(OUTCOMES), len(self.model_names_))
        sums, counts = np.zeros(shape), np.zeros(shape)
        for kind in range(len(OUTCOMES)):
            known = ~np.isnan(outcomes[:, kind])
            place = (self.row_groups_[known], models[known])
            np.add.at(sums[:, kind], place, outcomes[known, kind])
            np.add.at(counts[:, kind], place, 1.0)
        with np.errstate(invalid="ignore"):
            self.outcomes_ = sums / counts
        self._split = [deviations(self.outcomes_[:, kind]) for kind in range(len(OUTCOMES))]
        return self

    def outcomes(self, rows: npt.NDArray[np.int64]) -> Matrix:
        """Predict by neighbours, int64, (b, k): quality, cost and seconds of each model, (b, 3, n_models)."""
        means = [neighbour_means(split, rows, self.shrinkage) for split in self._split]
        return floored(np.stack(means, axis=1), self.least_price)

    def leads(self, rows: npt.NDArray[np.int64], objective: Objective) -> Matrix:
        """Return by how many standard errors each model leads the default one on neighbours, int64, (b, k).

        Returns
        -------
        ndarray of float64, shape (b, n_models)
            See `modelpick.runtime.decision.guard.t_statistics`. The default is the best on average by the objective.
        """
        base = np.array([split.base for split in self._split])[None]
        default = choose(utilities(base, objective), base[:, COST])
        neighbours = self.outcomes_[rows]
        observed = utilities(neighbours.reshape(-1, *neighbours.shape[2:]), objective)
        return t_statistics(observed.reshape(*neighbours.shape[:2], -1), np.repeat(default, len(rows)))

    def decision_function(self, X: npt.ArrayLike) -> Matrix:
        """Predicted quality, float64, shape (b, n_models)."""
        return utilities(self.outcomes(self.kneighbors(X, return_distance=False)), Objective())

    def predict(self, X: npt.ArrayLike) -> Names:
        """Names of the picked models, shape (b,): the highest quality among those with the evidence."""
        rows = self.kneighbors(X, return_distance=False)
        outcomes = self.outcomes(rows)
        allowed = self.leads(rows, Objective()) > self.evidence if self.evidence else None
        names: Names = self.model_names_[choose(utilities(outcomes, Objective()), outcomes[:, COST], allowed)]
        return names


def _build(
    document: KNNOutcomesDocument, k: int | None = None, shrinkage: float = DEFAULT_SHRINKAGE
) -> OutcomeModelSelector:
    k = document.k if k is None else k
    estimator = OutcomeModelSelector(k, float(shrinkage), document.evidence, document.source.semantics)
    outcomes = np.stack([document.qualities, document.costs, document.seconds], axis=1)
    estimator.fit(document.embeddings, document.labels, outcomes)
    means = model_means(estimator.outcomes_[:, QUALITY])
    estimator.default_ = document.default or str(estimator.model_names_[int(means.argmax())])
    estimator.operating_points_ = document.operating_points
    return estimator


def _add_graph(graph: Graph, estimator: OutcomeModelSelector, features: str, outputs: dict[str, str]) -> None:
    """Write the graph of `modelpick.converter.graphs.neighbours`; the queries' outcomes stand beside it."""
    count = estimator.n_samples_fit_
    k = min(estimator.n_neighbors, count)
    graph_of.check_size(estimator._fit_X, estimator.ranking)
    members, rows = np.arange(count)[:, None], Rows(estimator._fit_X, estimator.ranking)
    graph_of.add_neighbours(graph, features, outputs, rows, members, count, k, {})
    graph.constant(Table.OUTCOMES, estimator.outcomes_)
    graph.constant(Table.FIRST_ROW, estimator.first_row_)


def _describe(estimator: OutcomeModelSelector) -> dict[str, Any]:
    known = [kind for i, kind in enumerate(OUTCOMES) if not np.isnan(estimator.outcomes_[:, i]).all()]
    distinct = estimator.n_samples_fit_
    k = min(estimator.n_neighbors, distinct)
    entries: dict[str, Any] = {
        Entry.CHOICES: list(estimator.model_names_),
        Entry.ROWS: len(estimator.row_groups_),
        Entry.K: k,
        Entry.METRIC: estimator.ranking,
        Entry.SHRINKAGE: estimator.shrinkage,
        Entry.TIE_RULE: "distance, then row; utility, then cost, then model",
        Entry.DISTINCT: distinct,
        Entry.VALUES_PER_QUERY: distinct + estimator.n_features_in_ + k * estimator.outcomes_[0].size,
        Entry.OUTCOMES: known,
        Entry.DEFAULT: estimator.default_,
        Entry.EVIDENCE: estimator.evidence,
    }
    if np.isfinite(estimator.least_price):
        entries[Entry.LEAST_PRICE] = estimator.least_price
    if estimator.operating_points_ is not None:
        entries[Entry.OPERATING_POINTS] = estimator.operating_points_
    return entries


def _expect(estimator: OutcomeModelSelector, queries: Matrix, explained: Sequence[Explanation]) -> Iterator[Expected]:
    names, numbers = estimator.model_names_, {int(row): query for query, row in enumerate(estimator.first_row_)}
    pairs = found_neighbours(estimator, queries, explained, np.arange(estimator.n_samples_fit_), numbers)
    for found, why in zip(pairs, explained, strict=True):
        outcomes = estimator.outcomes(found.rows[None])[0]
        known = [kind for kind, values in enumerate(outcomes) if not np.isnan(values).all()]
        told = np.array([[why["outcomes"][name].get(OUTCOMES[kind], np.nan) for name in names] for kind in known])
        sure, possible = _with_evidence(estimator, found.rows)
        close = possible & (outcomes[QUALITY] >= outcomes[QUALITY][sure].max() - TOLERANCE)
        answer = Answer(told.ravel(), found.explained.distances)
        expected = Answer(outcomes[known].ravel(), found.distances)
        yield Expected(answer, expected, set(names[close]), bool(found.rounded or close.sum() > 1))


def _hold(estimator: OutcomeModelSelector, queries: Matrix, ask: WholeGraph) -> Iterator[Held]:
    return hold_neighbours(estimator, queries, ask, np.arange(estimator.n_samples_fit_), {})


def _with_evidence(estimator: OutcomeModelSelector, rows: npt.NDArray[np.int64]) -> tuple[Mask, Mask]:
    """Return which models have the evidence on neighbours, (k,).

    The first mask holds the models that have it whatever the roundings, the second adds those that roundings decide.
    """
    if not estimator.evidence:
        everything = np.full(len(estimator.model_names_), True)
        return everything, everything
    lead, margin = estimator.leads(rows[None], Objective())[0], TOLERANCE * max(1.0, estimator.evidence)
    return lead > estimator.evidence + margin, lead > estimator.evidence - margin


def _train(training: Training) -> dict[str, Any]:
    benchmark, settings = training.benchmark, training.settings
    queries, models = np.nonzero(~np.isnan(benchmark.quality))
    weighed = benchmark.outcomes()
    columns = {"costs": weighed[:, COST], "seconds": weighed[:, SECONDS]}
    recorded = {
        name: [None if np.isnan(value) else value for value in values[queries, models].tolist()]
        for name, values in columns.items()
        if not np.isnan(values).all()
    }
    means = model_means(benchmark.quality)
    default = benchmark.model_names[int(means.argmax())]
    return {"format_version": 2, **train_rows(training), **recorded, "evidence": settings.evidence, "default": default}


def _grid(settings: Settings) -> list[Settings]:
    return [settings._replace(k=k, evidence=evidence) for k in NEIGHBOURS for evidence in EVIDENCES]


def _trials(training: Training, held_out: Matrix, grid: Sequence[Settings]) -> Iterator[Trial]:
    benchmark = training.benchmark
    queries, models = np.nonzero(~np.isnan(benchmark.quality))
    ks = dict.fromkeys(settings.k for settings in grid)
    names = [benchmark.model_names[model] for model in models]
    outcomes = benchmark.outcomes()[queries, :, models]
    estimator = OutcomeModelSelector(max(ks)).fit(training.features[queries], names, outcomes)
    rows = estimator.kneighbors(held_out, return_distance=False)
    index = {name: model for model, name in enumerate(benchmark.model_names)}
    of_benchmark = np.array([index[name] for name in estimator.model_names_])
    for k in ks:
        neighbours = rows[:, :k]
        predicted, leading = estimator.outcomes(neighbours), cache(partial(estimator.leads, neighbours))

        def pick(
            objective: Objective, evidence: float, predicted: Matrix = predicted, leading: Any = leading
        ) -> npt.NDArray[np.int64]:
            allowed = leading(objective) > evidence if evidence else None
            return of_benchmark[choose(utilities(predicted, objective), predicted[:, COST], allowed)]

        for settings in grid:
            if settings.k == k:
                yield Trial(settings, partial(pick, evidence=settings.evidence))


_NEWEST = Row(
    algorithm="knn",
    semantics="queries/3",
    form=KNNOutcomesForm,
    load=via_document(_check, _build),
    estimator=OutcomeModelSelector,
    outputs=graph_of.OUTPUTS,
    graph=_add_graph,
    describe=_describe,
    stored_rows=lambda estimator: estimator.row_groups_.tolist(),
    probes=lambda estimator: Probes(estimator._fit_X, np.arange(estimator.n_samples_fit_)),
    expect=_expect,
    hold=_hold,
    distances=lambda estimator: distances_between(estimator, np.arange(estimator.n_samples_fit_)),
    train=_train,
    grid=_grid,
    shared_trials=_trials,
    settings=frozenset({"k", "evidence"}),
    predicts=True,
    by_direction=True,
    options=(K, SHRINKAGE),
    graph_options=graph_of.OPTIONS,
)
# The rules of earlier versions answer as they did; nothing is trained by them any more.
ROWS = (replace(_NEWEST, semantics="queries/2", train=None, grid=None, shared_trials=None), _NEWEST)
