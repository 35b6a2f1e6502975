"""KNN in scikit-learn: the nearest rows vote, or the nearest questions predict outcomes.

The vote: each row is a recorded answer, and votes for its model with a weight of its quality and speed. ``native/1``
ranks rows by Euclidean distance, ``native/2`` by the distance between directions, ``trainer/1`` by cosine distance. See
`modelpick.runtime.decision.voting.vote_many`.

Outcomes: rows of one embedding are one question, with the outcomes of all its models, and questions are ranked by the
distance between directions: the semantics ``queries``. See `modelpick.runtime.decision.shrinkage` for the prediction.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from modelpick.runtime.decision.guard import t_statistics
from modelpick.runtime.decision.objective import Objective, choose, floored, known_kinds, utilities
from modelpick.runtime.decision.outcomes import COST, QUALITY, n_held
from modelpick.runtime.decision.shrinkage import deviations, model_means, neighbour_means
from modelpick.runtime.decision.voting import Vote, Weights, vote_many, vote_weights
from modelpick.runtime.schema import Metric

from ...formats.distinct import Names, indexed, row_groups, taken
from ..base import Matrix
from ..outcomes import OutcomeSelector
from ..speeds import decaying_speeds, relative_speeds
from .neighbours import ExactNeighbors

# Quality of a row without one.
DEFAULT_QUALITY = 0.5
# Weights of the original library's KNN selector; the distance has no influence.
NATIVE_1 = Weights(quality=0.9, speed=0.1, min_quality=0.01)
# The second generation has no least quality.
NATIVE_2 = Weights(quality=0.9, speed=0.1, min_quality=None)
# Default number of neighbours with deviation 0 that are added to the neighbours.
DEFAULT_SHRINKAGE = 3.0


class Voting(NamedTuple):
    """How rows are ranked, and how they vote."""

    ranking: str
    """Metric of the distance to the query."""
    speeds: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float64]]
    """Computes speeds from latencies in nanoseconds, shape (n,)."""
    weights: Weights
    ties_by_name: bool = False
    """Whether equal sums go to the first name, instead of the model of the nearest neighbour."""


VOTINGS: Mapping[str, Voting] = {
    "native/1": Voting(Metric.EUCLIDEAN, relative_speeds, NATIVE_1),
    "native/2": Voting(Metric.CHORD, decaying_speeds, NATIVE_2, ties_by_name=True),
    "trainer/1": Voting(Metric.COSINE, decaying_speeds, NATIVE_1),
}


class KNNModelSelector(ExactNeighbors):
    """Picks a model by a quality-weighted vote of the k nearest rows.

    Parameters
    ----------
    n_neighbors : int, default=5
        Number of neighbours that vote; at most all rows.
    semantics : {"native/1", "native/2", "trainer/1"}, default="native/1"
        Distance, speeds, weights and how ties are broken, as `VOTINGS` lists them.

    Attributes
    ----------
    classes_ : ndarray of str, shape (n_models,)
        Language models, in order of their first row.
    model_indices_ : ndarray of int64, shape (n,)
        Index into ``classes_`` of each row.
    qualities_, speeds_ : ndarray of float64, shape (n,)
        The parts of each vote's weight, see `modelpick.runtime.decision.voting.vote_weights`.
    row_groups_ : ndarray of int64, shape (n,)
        Index of each row among the distinct rows, in order of their first appearance.
    """

    classes_: Names
    row_groups_: npt.NDArray[np.int64]

    def __init__(self, n_neighbors: int = 5, semantics: str = "native/1") -> None:
        super().__init__(n_neighbors=n_neighbors, algorithm="brute")
        self.semantics = semantics

    @property
    def ranking(self) -> str:
        """One of `Metric`."""
        return VOTINGS[self.semantics].ranking

    @property
    def weights(self) -> Weights:
        """Shares of quality and speed in a vote."""
        return VOTINGS[self.semantics].weights

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
            Latency of each row in nanoseconds, int64, shape (n,); without latencies each speed is 1.
        """
        self.keep(X)
        self.classes_, self.model_indices_ = indexed(y)
        self.qualities_ = np.full(len(X), DEFAULT_QUALITY) if qualities is None else qualities
        self.speeds_ = np.ones(len(X)) if latencies is None else VOTINGS[self.semantics].speeds(latencies)
        self.row_groups_ = row_groups(X)
        return self

    def decision_function(self, X: npt.ArrayLike) -> Matrix:
        """Vote sums per model, float64, shape (b, n_models)."""
        return self.vote(self.kneighbors(X, return_distance=False)).scores

    def predict(self, X: npt.ArrayLike) -> Names:
        """Names of the picked models, shape (b,)."""
        winners = self.vote(self.kneighbors(X, return_distance=False)).picks
        names: Names = self.classes_[winners]
        return names

    def vote(self, rows: npt.NDArray[np.int64]) -> Vote:
        """Let rows vote, nearest first, int64, shape (b, k)."""
        weights = vote_weights(self.qualities_[rows], self.speeds_[rows], self.weights)
        preferred = None
        if VOTINGS[self.semantics].ties_by_name:
            preferred = np.argsort(np.argsort(self.classes_, kind="stable"), kind="stable").astype(np.int64)
        return vote_many(self.model_indices_[rows], weights, len(self.classes_), preferred=preferred)


class OutcomeModelSelector(OutcomeSelector, ExactNeighbors):
    """Picks the model of the highest quality that the k nearest queries predict.

    Parameters
    ----------
    n_neighbors : int, default=50
        Number of queries that count; at most all.
    shrinkage : float, default=3.0
        Neighbours without a deviation from the mean of a model that are added to the mean over neighbours.
    evidence : float, default=0.0
        Standard errors over the neighbours by which another model must exceed the model that is best on average.
    semantics : {"queries/2", "queries/3"}, default="queries/3"

    Attributes
    ----------
    classes_ : ndarray of str, shape (n_models,)
        Language models, in order of their first row.
    outcomes_ : ndarray of float64, shape (n_queries, n_kinds, n_models)
        Mean outcomes of each model's rows on each query; NaN where they are not known.
    row_groups_ : ndarray of int64, shape (n,)
        Index of each row's query; queries are in order of their first row.
    first_row_ : ndarray of int64, shape (n_queries,)
    default_ : str
    operating_points_ : dict or None
    """

    least_prices = MappingProxyType({"queries/2": -np.inf, "queries/3": 0.0})
    classes_: Names
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
    def ranking(self) -> str:
        """One of `Metric`."""
        return Metric.CHORD

    def fit(
        self,
        X: Matrix,
        y: Sequence[str],
        outcomes: Matrix,
        default: str | None = None,
        operating_points: dict[str, Any] | None = None,
    ) -> Self:
        """Keep the queries.

        Parameters
        ----------
        X
            Feature vectors, shape (n, d).
        y
            Language model of each row, length n.
        outcomes
            Outcomes of each row, float64, shape (n, n_kinds); NaN where they are not known.
        default
            Model that is best on average; by default the model of the highest mean quality.
        operating_points
            See `modelpick.converter.formats.operating_points`.
        """
        self.row_groups_ = row_groups(X)
        self.first_row_ = np.unique(self.row_groups_, return_index=True)[1].astype(np.int64)
        self.keep(taken(X, self.first_row_))
        self.classes_, models = indexed(y)
        shape = (len(self.first_row_), n_held(known_kinds(outcomes[:, :, None])), len(self.classes_))
        sums, counts = np.zeros(shape), np.zeros(shape)
        for kind in range(shape[1]):
            known = ~np.isnan(outcomes[:, kind])
            place = (self.row_groups_[known], models[known])
            np.add.at(sums[:, kind], place, outcomes[known, kind])
            np.add.at(counts[:, kind], place, 1.0)
        with np.errstate(invalid="ignore"):
            self.outcomes_ = sums / counts
        self.deviations_ = [deviations(self.outcomes_[:, kind]) for kind in range(shape[1])]
        means = model_means(self.outcomes_[:, QUALITY])
        self.default_ = default or str(self.classes_[int(means.argmax())])
        self.operating_points_ = operating_points
        return self

    def outcomes(self, rows: npt.NDArray[np.int64]) -> Matrix:
        """Predict by neighbours, int64, (b, k): outcomes of each model, float64, (b, n_kinds, n_models)."""
        means = [neighbour_means(split, rows, self.shrinkage) for split in self.deviations_]
        return floored(np.stack(means, axis=1), self.least_price)

    def predict_outcomes(self, X: npt.ArrayLike) -> Matrix:
        """Predict outcomes of each model, float64, shape (b, n_kinds, n_models)."""
        return self.outcomes(self.kneighbors(X, return_distance=False))

    def t_statistics(self, rows: npt.NDArray[np.int64], objective: Objective) -> Matrix:
        """Return by how many standard errors each model exceeds the default model on neighbours, int64, (b, k).

        Returns
        -------
        ndarray of float64, shape (b, n_models)
            See `modelpick.runtime.decision.guard.t_statistics`. The default is the best on average by the objective.
        """
        base = np.array([split.base for split in self.deviations_])[None]
        default = choose(utilities(base, objective), base[:, COST])
        neighbours = self.outcomes_[rows]
        observed = utilities(neighbours.reshape(-1, *neighbours.shape[2:]), objective)
        return t_statistics(observed.reshape(*neighbours.shape[:2], -1), np.repeat(default, len(rows)))

    def predict(self, X: npt.ArrayLike) -> Names:
        """Names of the picked models, shape (b,): the highest quality among models with the evidence."""
        names: Names = self.classes_[self.pick(self.kneighbors(X, return_distance=False), Objective())]
        return names

    def pick(self, rows: npt.NDArray[np.int64], objective: Objective) -> npt.NDArray[np.int64]:
        """Pick by neighbours, int64, (b, k): the highest utility among models with the evidence, (b,)."""
        statistics = self.t_statistics(rows, objective) if self.evidence else None
        return self.choose(self.outcomes(rows), objective, statistics)

    def choose(self, outcomes: Matrix, objective: Objective, statistics: Matrix | None) -> npt.NDArray[np.int64]:
        """Pick by predicted outcomes, and by `t_statistics` where evidence is required: models, (b,)."""
        allowed = None if statistics is None else statistics > self.evidence
        return choose(utilities(outcomes, objective), outcomes[:, COST], allowed)
