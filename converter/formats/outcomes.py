"""Outcomes of language models on queries, and what training makes of them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from modelpick.runtime.artifact.metadata import EncoderIdentity
from modelpick.runtime.decision.objective import Objective, utilities
from modelpick.runtime.decision.outcomes import COST, KINDS, PLACES, PRICES, QUALITY, SECONDS
from modelpick.runtime.errors import DocumentError

Matrix = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
NANOSECONDS = 1e9


class Benchmark(NamedTuple):
    """Outcomes of models on queries; queries and models are in order of their first record.

    A missing outcome is NaN, also the mean of none. Of several records of one query and model, the mean counts.
    """

    queries: list[str]
    categories: list[str]
    model_names: list[str]
    recorded: Matrix
    """Outcomes of each kind of `modelpick.runtime.decision.outcomes.KINDS`, float64, shape (n_queries, n_kinds,
    n_models). Where an answer did not fail, seconds are those of such answers. Without a quality there is no record."""
    failures: Matrix
    """Share of failed answers, whose quality counts as 0, float64, shape (n_queries, n_models)."""
    embeddings: Matrix | None
    """Float64, shape (n_queries, e), rows of NaN where a query has none; None where no query has one."""
    bad: list[str]
    """The error of each record that was left out, with its line."""
    warnings: list[str]
    """One line for each kind of oddity: how many records have it, and how they count."""
    places: list[str]
    """File and line of each query's first record."""
    encoder: EncoderIdentity | None = None
    """What embedded the queries, if that is known."""
    form: str = "records"
    """What the files were recognised as."""
    propensities: Matrix | None = None
    """Probability with which the policy of a log picked the model, likewise; None where no record has one."""

    @property
    def quality(self) -> Matrix:
        """Recorded quality, float64, shape (n_queries, n_models); NaN where a model has no record."""
        return self.recorded[:, QUALITY]

    @property
    def cost(self) -> Matrix:
        """Recorded cost likewise."""
        return self.recorded[:, COST]

    @property
    def seconds(self) -> Matrix:
        """Recorded response time likewise."""
        return self.recorded[:, SECONDS]

    @property
    def propensity(self) -> Matrix:
        """Likewise; all NaN where no record has one."""
        return np.full_like(self.quality, np.nan) if self.propensities is None else self.propensities

    @property
    def is_log(self) -> bool:
        """Whether each question was answered by the model that some policy picked, mostly by one."""
        answers, models = (~np.isnan(self.quality)).sum(axis=1), self.quality.shape[1]
        if (answers == models).all():
            return False
        return self.propensities is not None or bool(np.median(answers) <= 1)

    @property
    def failed(self) -> npt.NDArray[np.bool_]:
        """Whether no answer of a model to a query succeeded, shape (n_queries, n_models)."""
        return np.equal(self.failures, 1.0)

    @property
    def answered(self) -> Matrix:
        """Recorded outcomes, without those that answers which failed do not have: of these, response times."""
        unknown = ~np.array([[kind.counts_failures] for kind in KINDS])
        return np.where(self.failed[:, None] & unknown, np.nan, self.recorded)

    def outcomes(self) -> Matrix:
        """Outcomes as objectives weigh them, (n_queries, n_kinds, n_models); NaN where unknown.

        No weights prefer a failed answer to a successful one of the same query: in each kind it counts as no better
        than the worst of those. Where all failed, it took as long as answers take on average.
        """
        outcomes, failed = self.answered, self.failed
        if not failed.any():
            return outcomes
        signs = np.array([[kind.sign] for kind in KINDS])  # the lower, the worse
        usual = np.array([[np.nan if kind.counts_failures else mean(outcomes[:, PLACES[kind.name]])] for kind in KINDS])
        of_others = np.where(failed[:, None], np.inf, np.nan_to_num(signs * outcomes, nan=np.inf))
        worst = of_others.min(axis=2, keepdims=True)
        worst = np.where(np.isfinite(worst), worst, signs * usual)
        return np.where(failed[:, None], signs * np.fmin(signs * outcomes, worst), outcomes)

    def filled_seconds(self) -> Matrix:
        """Return response times for files that have no word for unknown ones: as `outcomes` counts them, `filled`."""
        return filled(self.outcomes()[:, SECONDS])

    def utilities(self, objective: Objective) -> Matrix:
        """Return the utility of each outcome, (n_queries, n_models); NaN where one that has a weight is unknown."""
        return utilities(self.outcomes(), objective)

    def known_utilities(self, objective: Objective) -> Matrix:
        """Return what `utilities` does.

        Raises
        ------
        DocumentError
            When none is known.
        """
        utility = self.utilities(objective)
        if np.isnan(utility).all():
            nouns = " or ".join(kind.noun for kind in PRICES)
            raise DocumentError(f"expected records with the {nouns} that the objective has a weight for")
        return utility

    def of_models(self, columns: Sequence[int]) -> "Benchmark":
        """Return the records of some of the models, without embeddings."""
        fields = self._replace(embeddings=None)._asdict().items()
        part: dict[str, Any] = {name: each[..., columns] for name, each in fields if isinstance(each, np.ndarray)}
        return self._replace(embeddings=None, model_names=[self.model_names[column] for column in columns], **part)

    def of(self, queries: Indices) -> "Benchmark":
        """Return the outcomes on some of the queries."""
        lists = ("queries", "categories", "places")
        part: dict[str, Any] = {name: [getattr(self, name)[query] for query in queries] for name in lists}
        part |= {name: each[queries] for name, each in self._asdict().items() if isinstance(each, np.ndarray)}
        return self._replace(**part)


class Settings(NamedTuple):
    """What a user may choose about training; tuning chooses what an algorithm has of it."""

    k: int = 5
    """Neighbours of KNN."""
    evidence: float = 0.0
    """Standard errors by which KNN's default model must be led."""
    clusters: int = 8
    """Clusters of KMeans."""
    min_support: int = 1
    """Records below which a model's score in a cluster is that of all queries."""
    gamma: float = 1.0
    """Width of the kernel of SVM and kernel ridge."""
    ridge: float = 4.0
    """Penalty of kernel ridge."""
    landmarks: int = 1_000
    """Support vectors of kernel ridge at most."""
    C: float = 1.0
    """Penalty of SVM."""
    hidden: tuple[int, ...] = (64,)
    """Widths of the hidden layers of MLP."""
    kernel: str = "rbf"
    """Kernel of SVM, rbf or linear."""
    quality_weight: float | None = None
    """Share of quality in what KMeans 1, SVM and MLP take for the best model, the rest is speed's; 0.9 where None."""
    objective_quality: float = 0.9
    """Weight of quality in the original's objective, by which KMeans 2 scores."""
    objective_latency: float = 0.1
    """Weight of the decaying speed in it."""
    objective_cost: float = 0.0
    """Weight of the decaying cost in it."""
    latency_scale_ms: float = 10_000.0
    """Milliseconds at which speed is a half in it."""
    cost_scale: float = 1.0
    """Cost at which what counts of it is a half."""
    latency_weight: float = 0.0
    """Quality that the greatest mean latency is worth to HierShrink."""
    objective: Objective = Objective()
    """What a unit of quality is worth."""
    seed: int = 0


class Examples(NamedTuple):
    """What a classifier learns, (m,) each: queries, the models that they are labelled with, and the weights of that."""

    queries: Indices
    models: Indices
    weights: Matrix


class Training(NamedTuple):
    """What the models are trained on."""

    benchmark: Benchmark
    features: Matrix
    """Embedding, and one-hot of the category unless it is left away, float64, shape (n_queries, d)."""
    weights: Matrix
    """``0.9 * quality + 0.1 * speed``, or by the user's shares, shape (n_queries, n_models); -inf if unknown."""
    settings: Settings
    categories: dict[str, Any] | None = None
    """Field of the JSON model that predicts the category of an embedding, where text alone shall suffice."""

    @property
    def advantages(self) -> Matrix:
        """By how much each model exceeds the mean of the models known on each query, shape (n_queries, n_models)."""
        known = np.isfinite(self.weights)
        weights = np.where(known, self.weights, 0.0)
        means = weights.sum(axis=1, keepdims=True) / known.sum(axis=1, keepdims=True)
        return np.where(known, weights - means, 0.0)

    def examples(self) -> Examples:
        """Label each query with every model that exceeds the mean, weighted by how much: what it costs to miss it."""
        advantages = self.advantages
        if not (advantages > 0).any():
            return Examples(np.zeros(1, np.int64), np.zeros(1, np.int64), np.ones(1))
        queries, models = np.nonzero(advantages > 0)
        weights = advantages[queries, models]
        return Examples(queries, models, weights / weights.mean())

    def only(self, model: int) -> "Training":
        """Return the training of one model, on the queries that it is known for."""
        known = np.flatnonzero(~np.isnan(self.benchmark.quality[:, model]))
        part = self.of(known)
        return part._replace(benchmark=part.benchmark.of_models([model]), weights=part.weights[:, [model]])

    def of(self, queries: Indices) -> "Training":
        """Return the training of some of the queries."""
        part = self.benchmark._replace(embeddings=None).of(queries)
        return self._replace(benchmark=part, features=self.features[queries], weights=self.weights[queries])


def mean(values: Matrix) -> float:
    """Return the mean of known values; NaN where none is known."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else np.nan


def filled(outcomes: Matrix) -> Matrix:
    """Put the model's mean in the place of unknown outcomes, of a model without any the mean of all, or 0.

    The original's files have no word for what is unknown.

    Parameters
    ----------
    outcomes
        Of one kind, float64, shape (n_queries, n_models); NaN where unknown.
    """
    known = ~np.isnan(outcomes)
    values = np.where(known, outcomes, 0.0)
    overall = values.sum() / max(1, known.sum())
    means = np.where(known.any(axis=0), values.sum(axis=0) / np.maximum(1, known.sum(axis=0)), overall)
    return np.where(known, values, means)
