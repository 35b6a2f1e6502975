"""KNN: the k nearest rows vote, each for its model and with a weight of its quality and speed.

Each row is a recorded answer of a language model. ``native/1`` ranks rows by Euclidean distance, ``native/2`` by that
between directions, ``trainer`` by cosine distance. See `modelpick.runtime.decision.voting.vote` for the vote.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from functools import partial
from typing import Annotated, Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from modelpick.runtime import DocumentError
from modelpick.runtime.decision.voting import Vote, Weights, vote, vote_weights
from modelpick.runtime.schema import Entry, Metric, Output, Table

from ...formats.decoding import INT64, Count, IgnoredSize, Name, Nanoseconds, check_length, refuse
from ...formats.distinct import Names, indexed, row_groups, taken
from ...formats.document import Document, Source
from ...formats.outcomes import NANOSECONDS, Settings, Training
from ...formats.reader import Reader
from ...graphs import neighbours as graph_of
from ...graphs.builder import Graph
from ...graphs.rows import Rows
from ..base import Matrix
from ..row import Answer, Expected, Explanation, Held, Probes, Row, Trial, WholeGraph, fixed, via_document
from ..speeds import decaying_speeds, relative_speeds
from .neighbours import (
    DEFAULT_QUALITY,
    ExactNeighbors,
    K,
    distances_between,
    found_neighbours,
    hold_neighbours,
)

NANOSECONDS_PER_MILLISECOND = 1_000_000
# Values of k that tuning tries.
NEIGHBOURS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500)
# Of the original library's KNN selector; distance does not weigh.
NATIVE_1 = Weights(quality=0.9, speed=0.1, min_quality=0.01)
# The second generation has no floor.
NATIVE_2 = Weights(quality=0.9, speed=0.1, min_quality=None)


class _Sample(Struct):
    feature_vector: Raw
    model_name: Name
    quality: float | UnsetType = UNSET
    latency_ms: float | UnsetType | None = UNSET


class KNNForm(Struct):
    """Columns of rows, or an old spelling: a list of samples."""

    k: Count
    embeddings: list[Raw] | UnsetType | None = UNSET
    labels: list[Name] | UnsetType | None = UNSET
    qualities: list[float] | UnsetType | None = UNSET
    latencies: list[Nanoseconds] | UnsetType | None = UNSET
    samples: list[_Sample] | UnsetType | None = UNSET
    num_samples: IgnoredSize = UNSET
    feature_dim: IgnoredSize = UNSET


class KNNForm2(Struct):
    """Columns of rows, as the second generation reads them."""

    k: Count
    embeddings: list[Raw]
    labels: list[Name]
    qualities: list[float] | UnsetType | None = UNSET
    latencies: list[Annotated[int, Meta(ge=0, le=INT64[1])]] | UnsetType | None = UNSET
    num_samples: IgnoredSize = UNSET
    feature_dim: IgnoredSize = UNSET
    format_version: int | UnsetType | None = UNSET


class KNNDocument(Document, frozen=True, eq=False):
    """A checked KNN model: one row per recorded answer of a language model."""

    k: int
    """Number of neighbours, as in the file: may exceed the number of rows."""
    embeddings: Matrix
    """Feature vectors, float64, shape (n, d)."""
    labels: tuple[str, ...]
    """Language model of each row, length n."""
    qualities: npt.NDArray[np.float64]
    """Quality of each row, float64, shape (n,)."""
    latencies: npt.NDArray[np.int64]
    """Latency of each row in nanoseconds, int64, shape (n,), or (0,) where the file has none."""


def check_rows(form: KNNForm, source: Source, reader: Reader) -> KNNDocument:
    """Check the rows of a KNN model, in either spelling."""
    if form.samples and not form.embeddings:
        embeddings = reader.matrix([s.feature_vector for s in form.samples], "$.samples", ".feature_vector")
        labels = [sample.model_name for sample in form.samples]
        qualities = [DEFAULT_QUALITY if s.quality is UNSET else s.quality for s in form.samples]
        latencies = _sample_latencies(form.samples)
    else:
        embeddings = reader.matrix(form.embeddings or [], "$.embeddings")
        labels = form.labels or []
        qualities = form.qualities or [DEFAULT_QUALITY] * len(embeddings)
        latencies = form.latencies or []
    if form.samples and form.embeddings:
        reader.warn("$.samples", "ignored beside $.embeddings")
        del source.fields["samples"]
    return _document(form, embeddings, labels, qualities, latencies, source, reader)


def check_knn(form: KNNForm, source: Source, reader: Reader) -> KNNDocument:
    """Check the rows of a KNN model whose low qualities count as more."""
    document = check_rows(form, source, reader)
    low = int((NATIVE_1.floored(document.qualities) > document.qualities).sum())
    if low:
        reader.warn("$", f"{low} qualities below {NATIVE_1.min_quality} count as {NATIVE_1.min_quality}")
    return document


def _check_2(form: KNNForm2, source: Source, reader: Reader) -> KNNDocument:
    embeddings = reader.matrix(form.embeddings, "$.embeddings")
    qualities = form.qualities or [DEFAULT_QUALITY] * len(embeddings)
    return _document(form, embeddings, form.labels, qualities, form.latencies or [], source, reader)


def _document(
    form: KNNForm | KNNForm2,
    embeddings: Matrix,
    labels: list[str],
    qualities: list[float],
    latencies: list[int],
    source: Source,
    reader: Reader,
) -> KNNDocument:
    n = len(embeddings)
    lengths: dict[str, Sized] = {"labels": labels, "qualities": qualities, "latencies": latencies or labels}
    for field, values in lengths.items():
        check_length(values, n, f"$.{field}", "row of $.embeddings")
    reader.ignored_size(form.num_samples, n, "$.num_samples", "rows of $.embeddings")
    reader.ignored_size(form.feature_dim, embeddings.shape[1], "$.feature_dim", "columns of $.embeddings")
    if form.k > n:
        reader.warn("$.k", f"{form.k} neighbours asked of {n} rows: all rows vote")
    return KNNDocument(
        source=source,
        k=form.k,
        embeddings=embeddings,
        labels=tuple(labels),
        qualities=np.array(qualities, dtype=np.float64),
        latencies=np.array(latencies, dtype=np.int64),
    )


def _sample_latencies(samples: list[_Sample]) -> list[int]:
    if all(sample.latency_ms is UNSET or sample.latency_ms is None for sample in samples):
        return []
    latencies = []
    for index, sample in enumerate(samples):
        path = f"$.samples[{index}].latency_ms"
        if sample.latency_ms is UNSET or sample.latency_ms is None:
            refuse(path, "expected a number: other samples have one")
        nanoseconds = sample.latency_ms * NANOSECONDS_PER_MILLISECOND
        if not abs(nanoseconds) <= INT64[1]:
            refuse(path, "expected milliseconds that fit 64-bit nanoseconds")
        latencies.append(round(nanoseconds))
    return latencies


class _Voting(NamedTuple):
    """How rows are read, ranked, and vote."""

    form: type[Struct]
    check: Callable[[Any, Source, Reader], KNNDocument]
    ranking: str
    """Metric of the distance to the query."""
    speeds: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float64]]
    """Of latencies in nanoseconds, shape (n,)."""
    weights: Weights
    ties_by_name: bool = False
    """Whether equal sums go to the first name, instead of the model of the best-ranked neighbour."""
    train: Callable[[Training], dict[str, Any]] | None = None


_VOTINGS: Mapping[str, _Voting] = {
    "native/1": _Voting(
        KNNForm, check_knn, Metric.EUCLIDEAN, relative_speeds, NATIVE_1, train=lambda training: train_rows(training)
    ),
    "native/2": _Voting(
        KNNForm2,
        _check_2,
        Metric.CHORD,
        decaying_speeds,
        NATIVE_2,
        ties_by_name=True,
        train=lambda training: {"format_version": 2, **train_rows(training)},
    ),
    "trainer/1": _Voting(KNNForm, check_knn, Metric.COSINE, decaying_speeds, NATIVE_1),
}


class KNNModelSelector(ExactNeighbors):
    """Picks a model by a quality-weighted vote of the k nearest rows.

    Parameters
    ----------
    n_neighbors : int, default=5
        Neighbours that vote; more than there are rows means all rows.
    semantics : {"native/1", "native/2", "trainer/1"}, default="native/1"
        Distance, speeds, weights and how ties are broken, as `_VOTINGS` lists them.

    Attributes
    ----------
    model_names_ : ndarray of str, shape (n_models,)
        Language models, in order of their first row.
    model_indices_ : ndarray of int64, shape (n,)
        Index into ``model_names_`` of each row.
    qualities_, speeds_ : ndarray of float64, shape (n,)
        What each row's vote weighs, see `modelpick.runtime.decision.voting.vote_weights`.
    row_groups_ : ndarray of int64, shape (n,)
        Number of each row among the distinct rows, which count in order of their first appearance.
    """

    model_names_: Names
    row_groups_: npt.NDArray[np.int64]

    def __init__(self, n_neighbors: int = 5, semantics: str = "native/1") -> None:
        super().__init__(n_neighbors=n_neighbors, algorithm="brute")
        self.semantics = semantics

    @property
    def ranking(self) -> str:
        """One of `Metric`."""
        return _VOTINGS[self.semantics].ranking

    @property
    def weights(self) -> Weights:
        """Shares of quality and speed in a vote."""
        return _VOTINGS[self.semantics].weights

    def fit(
        self,
        X: Matrix,
        y: Sequence[str],
        qualities: npt.NDArray[np.float64] | None = None,
        latencies: npt.NDArray[np.int64] | None = None,
    ) -> Self:
        """Keep the rows.

        Parameters
        ----------
        X
            Feature vectors, shape (n, d).
        y
            Language model of each row, length n.
        qualities
            Quality of each row, shape (n,); 0.5 by default.
        latencies
            Latency of each row in nanoseconds, int64, shape (n,); without them every speed is 1.
        """
        super().fit(X)
        self.model_names_, self.model_indices_ = indexed(y)
        self.qualities_ = np.full(len(X), DEFAULT_QUALITY) if qualities is None else qualities
        self.speeds_ = np.ones(len(X)) if latencies is None else _VOTINGS[self.semantics].speeds(latencies)
        self.row_groups_ = row_groups(X)
        return self

    def decision_function(self, X: npt.ArrayLike) -> Matrix:
        """Vote sums per model, float64, shape (b, n_models)."""
        return self.vote(self.kneighbors(X, return_distance=False)).scores

    def predict(self, X: npt.ArrayLike) -> Names:
        """Names of the picked models, shape (b,)."""
        winners = self.vote(self.kneighbors(X, return_distance=False)).winners
        names: Names = self.model_names_[winners]
        return names

    def vote(self, rows: npt.NDArray[np.int64]) -> Vote:
        """Let rows vote, nearest first, int64, shape (b, k)."""
        weights = vote_weights(self.qualities_[rows], self.speeds_[rows], self.weights)
        preferred = None
        if _VOTINGS[self.semantics].ties_by_name:
            preferred = np.argsort(np.argsort(self.model_names_, kind="stable"), kind="stable").astype(np.int64)
        return vote(self.model_indices_[rows], weights, len(self.model_names_), preferred=preferred)


def _build(document: KNNDocument, k: int | None = None) -> KNNModelSelector:
    estimator = KNNModelSelector(document.k if k is None else k, document.source.semantics)
    if estimator.ranking == Metric.COSINE and not document.embeddings.any(axis=1).all():
        row = int(document.embeddings.any(axis=1).argmin())
        raise DocumentError(f"$.embeddings[{row}]: expected a vector that has a direction, got zeros")
    latencies = document.latencies if document.latencies.size else None
    return estimator.fit(document.embeddings, document.labels, document.qualities, latencies)


OUTPUTS = graph_of.OUTPUTS | {Output.MODEL: "int64", Output.QUALITY: "double", Output.SPEED: "double"}


def _add_graph(graph: Graph, estimator: KNNModelSelector, features: str, outputs: dict[str, str]) -> None:
    """Write the graph of `modelpick.converter.graphs.neighbours`, and what each neighbour votes.

    ::

        features ─ nearest rows ─ row (b, k) ─┬─ Gather ─ model (b, k)
        (b, d)                                ├─ Gather ─ quality (b, k)
                                              └─ Gather ─ speed (b, k)
    """
    k = min(estimator.n_neighbors, estimator.n_samples_fit_)
    members = graph_of.group_members(estimator.row_groups_, k, estimator.model_indices_)
    values = taken(estimator._fit_X, members[:, 0])
    graph_of.check_size(values, estimator.ranking)
    columns = {
        Output.MODEL: graph_of.Column(Table.ROW_MODEL, estimator.model_indices_, OUTPUTS[Output.MODEL]),
        Output.QUALITY: graph_of.Column(Table.ROW_QUALITY, estimator.qualities_, OUTPUTS[Output.QUALITY]),
        Output.SPEED: graph_of.Column(Table.ROW_SPEED, estimator.speeds_, OUTPUTS[Output.SPEED]),
    }
    rows = Rows(values, estimator.ranking)
    graph_of.add_neighbours(graph, features, outputs, rows, members, estimator.n_samples_fit_, k, columns)


def _describe(estimator: KNNModelSelector) -> dict[str, Any]:
    tied = "name" if _VOTINGS[estimator.semantics].ties_by_name else "best-ranked neighbour"
    distinct = int(estimator.row_groups_.max()) + 1
    return {
        Entry.CHOICES: list(estimator.model_names_),
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


def _probes(estimator: KNNModelSelector) -> Probes:
    return Probes(estimator._fit_X, estimator.model_indices_)


def _expect(estimator: KNNModelSelector, queries: Matrix, explained: Sequence[Explanation]) -> Iterator[Expected]:
    rows = {row: row for row in range(estimator.n_samples_fit_)}
    for found in found_neighbours(estimator, queries, explained, estimator.row_groups_, rows):
        outcome = estimator.vote(found.rows[None])
        models = {estimator.model_names_[outcome.winners[0]]}
        yield Expected(found.explained, Answer(outcome.scores[0], found.distances), models, found.rounded)


def _hold(estimator: KNNModelSelector, queries: Matrix, ask: WholeGraph) -> Iterator[Held]:
    columns = {
        Output.MODEL: estimator.model_indices_,
        Output.QUALITY: estimator.qualities_,
        Output.SPEED: estimator.speeds_,
    }
    return hold_neighbours(estimator, queries, ask, estimator.row_groups_, columns)


def train_rows(training: Training) -> dict[str, Any]:
    """Make the fields of a file: a row for each outcome."""
    benchmark = training.benchmark
    queries, models = np.nonzero(~np.isnan(benchmark.quality))
    latencies = np.rint(benchmark.filled_seconds()[queries, models] * NANOSECONDS).astype(np.int64)
    return {
        "k": training.settings.k,
        "embeddings": training.features[queries].tolist(),
        "labels": [benchmark.model_names[model] for model in models],
        "qualities": benchmark.quality[queries, models].tolist(),
        "latencies": latencies.tolist(),
        "model_names": sorted(benchmark.model_names),
        "num_samples": len(queries),
    }


def _grid(settings: Settings) -> list[Settings]:
    return [settings._replace(k=k) for k in NEIGHBOURS]


def _trials(semantics: str, training: Training, held_out: Matrix, grid: Sequence[Settings]) -> Iterator[Trial]:
    fields = train_rows(training)
    estimator = KNNModelSelector(max(settings.k for settings in grid), semantics).fit(
        np.array(fields["embeddings"]),
        fields["labels"],
        np.array(fields["qualities"]),
        np.array(fields["latencies"], dtype=np.int64),
    )
    rows = estimator.kneighbors(held_out, return_distance=False)
    index = {name: model for model, name in enumerate(training.benchmark.model_names)}
    models = np.array([index[name] for name in estimator.model_names_])
    for settings in grid:
        yield fixed(settings, models[estimator.vote(rows[:, : settings.k]).winners])


_rules = partial(
    Row,
    algorithm="knn",
    estimator=KNNModelSelector,
    outputs=OUTPUTS,
    graph=_add_graph,
    describe=_describe,
    stored_rows=lambda estimator: estimator.row_groups_.tolist(),
    probes=_probes,
    expect=_expect,
    hold=_hold,
    distances=lambda estimator: distances_between(estimator, estimator.row_groups_),
    options=(K,),
    graph_options=graph_of.OPTIONS,
)
ROWS = tuple(
    _rules(
        semantics=name,
        by_direction=voting.ranking != Metric.EUCLIDEAN,
        form=voting.form,
        load=via_document(voting.check, _build),
        train=voting.train,
        grid=_grid if voting.train else None,
        shared_trials=partial(_trials, name) if voting.train else None,
        settings=frozenset({"k"}),
    )
    for name, voting in _VOTINGS.items()
)
