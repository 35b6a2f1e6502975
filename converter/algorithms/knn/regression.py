"""KNN regression: the k nearest queries predict the outcome of every model, which is drawn toward its overall mean.

The ``queries`` semantics of a KNN file: rows of one embedding are one query, with the outcomes of all its models. See
`modelpick.runtime.decision.voting.shrunk_means` for the scores; equal ones go to the model whose first row comes first.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from modelpick.runtime.decision.voting import Weights, first_best, shrunk_means
from modelpick.runtime.schema import Entry, Stored, Table

from ...formats.distinct import Names, indexed, row_groups, taken
from ...graphs import neighbours as graph_of
from ...graphs.builder import Graph
from ...graphs.exact_search import Rows
from ..base import Matrix
from ..row import TOLERANCE, Answer, Expected, Explanation, Option, Probes, Row
from ..speeds import relative_speeds
from .neighbours import (
    DEFAULT_QUALITY,
    ExactNeighbors,
    K,
    by_first_row,
    describe_neighbours,
    distances_between,
    found_neighbours,
    hold_queries,
)
from .vote import NATIVE_1, KNNDocument, KNNForm, check_knn

SHRINKAGE = Option(
    "shrinkage", "a number, 0 or more, for the semantics queries", lambda shrinkage: 0.0 <= shrinkage < np.inf
)


class QueryModelSelector(ExactNeighbors):
    """Picks the model that did best on the k nearest queries, each with the outcomes of all its models.

    Parameters
    ----------
    n_neighbors : int, default=5
        Queries that count; more than there are means all.
    shrinkage : float, default=1.0
        How many queries the overall mean of a model counts for.

    Attributes
    ----------
    model_names_ : ndarray of str, shape (n_models,)
        Language models, in order of their first row.
    outcomes_ : ndarray of float64, shape (n_queries, 3, n_models)
        Quality, speed and 1 for each model that is known of a query, else zeros; means of its rows.
    row_groups_ : ndarray of int64, shape (n,)
        Query of each row; queries count in order of their first row.
    first_row_ : ndarray of int64, shape (n_queries,)
    """

    semantics = "queries/1"
    model_names_: Names
    row_groups_: npt.NDArray[np.int64]

    def __init__(self, n_neighbors: int = 5, shrinkage: float = 1.0) -> None:
        super().__init__(n_neighbors=n_neighbors, algorithm="brute")
        self.shrinkage = shrinkage

    @property
    def weights(self) -> Weights:
        """Shares of quality and speed in an outcome."""
        return NATIVE_1

    def fit(
        self,
        X: Matrix,
        y: Sequence[str],
        qualities: npt.NDArray[np.float64] | None = None,
        latencies: npt.NDArray[np.int64] | None = None,
    ) -> Self:
        """Keep the queries; takes what `modelpick.converter.algorithms.knn.vote.KNNModelSelector.fit` does."""
        self.row_groups_ = row_groups(X)
        self.first_row_ = np.unique(self.row_groups_, return_index=True)[1].astype(np.int64)
        super().fit(taken(X, self.first_row_))
        self.model_names_, models = indexed(y)
        known = (
            np.full(len(X), DEFAULT_QUALITY) if qualities is None else qualities,
            np.ones(len(X)) if latencies is None else relative_speeds(latencies),
            np.ones(len(X)),
        )
        sums = np.zeros((len(self.first_row_), 3, len(self.model_names_)))
        for column, values in enumerate((self.weights.floored(known[0]), *known[1:])):
            np.add.at(sums[:, column], (self.row_groups_, models), values)
        self.outcomes_ = sums / np.maximum(sums[:, 2:], 1.0)
        return self

    def scores(self, rows: npt.NDArray[np.int64]) -> Matrix:
        """Score the models by neighbours, int64, shape (b, k): float64, (b, n_models)."""
        outcomes = self.outcomes_[rows].sum(axis=1)
        return shrunk_means(outcomes, self.outcomes_.sum(axis=0), self.weights, self.shrinkage)

    def decision_function(self, X: npt.ArrayLike) -> Matrix:
        """Scores per model, float64, shape (b, n_models)."""
        return self.scores(self.kneighbors(X, return_distance=False))

    def predict(self, X: npt.ArrayLike) -> Names:
        """Names of the picked models, shape (b,)."""
        names: Names = self.model_names_[first_best(self.decision_function(X))]
        return names


def _build(document: KNNDocument, k: int | None = None, shrinkage: float = 1.0) -> QueryModelSelector:
    estimator = QueryModelSelector(document.k if k is None else k, float(shrinkage))
    latencies = document.latencies if document.latencies.size else None
    return estimator.fit(document.embeddings, document.labels, document.qualities, latencies)


def _add_graph(graph: Graph, estimator: QueryModelSelector, features: str, outputs: dict[str, str]) -> None:
    """Write the graph of `modelpick.converter.graphs.neighbours`; the queries' outcomes stand beside it."""
    count = estimator.n_samples_fit_
    k = min(estimator.n_neighbors, count)
    graph_of.check_size(estimator._fit_X)
    members = np.arange(count)[:, None]
    graph_of.add_neighbours(graph, features, outputs, Rows(estimator._fit_X), members, count, k, {})
    graph.constant(Table.OUTCOMES, estimator.outcomes_)
    graph.constant(Table.FIRST_ROW, estimator.first_row_)


def _describe(estimator: QueryModelSelector) -> dict[str, Any]:
    entries = describe_neighbours(estimator, estimator.weights, "distance, then row; score, then model")
    entries[Entry.SHRINKAGE] = estimator.shrinkage
    entries[Entry.VALUES_PER_QUERY] += estimator.n_neighbors * estimator.outcomes_[0].size
    return entries


def _probes(estimator: QueryModelSelector) -> Probes:
    return Probes(estimator._fit_X, np.arange(estimator.n_samples_fit_))


def _expect(estimator: QueryModelSelector, queries: Matrix, explained: Sequence[Explanation]) -> Iterator[Expected]:
    numbers, groups = by_first_row(estimator.first_row_), np.arange(estimator.n_samples_fit_)
    for found in found_neighbours(estimator, queries, explained, groups, numbers):
        scores = estimator.scores(found.rows[None])[0]
        close = scores >= scores.max() - TOLERANCE
        models = set(estimator.model_names_[close])
        yield Expected(found.explained, Answer(scores, found.distances), models, bool(found.rounded or close.sum() > 1))


ROWS = (
    Row(
        algorithm="knn",
        semantics="queries/1",
        form=KNNForm,
        check=check_knn,
        build=_build,
        estimator=QueryModelSelector,
        outputs=graph_of.OUTPUTS,
        graph=_add_graph,
        describe=_describe,
        stored=(Stored.ROWS,),
        stored_rows=lambda estimator: estimator.row_groups_.tolist(),
        probes=_probes,
        expect=_expect,
        hold=hold_queries,
        distances=lambda estimator: distances_between(estimator, np.arange(estimator.n_samples_fit_)),
        options=(K, SHRINKAGE),
        graph_options=graph_of.OPTIONS,
    ),
)
