"""Outcomes of language models on queries, and what training makes of them."""

from collections.abc import Sequence
from datetime import UTC, datetime
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
# Most answers a question, on average, of records that are sparse.
SPARSE = 2.0


class Benchmark(NamedTuple):
    """Outcomes of models on queries; queries and models are in order of their first record.

    A missing outcome is NaN, and so is the mean of no outcomes. Of several records of one query and model, the mean
    counts.
    """

    queries: list[str]
    categories: list[str]
    model_names: list[str]
    recorded: Matrix
    """Outcomes of each kind of `modelpick.runtime.decision.outcomes.KINDS`, float64, shape (n_queries, n_kinds,
    n_models). Seconds are the mean of answers that did not fail, if any. Without a quality there is no record."""
    failures: Matrix
    """Share of failed answers, whose quality counts as 0, float64, shape (n_queries, n_models)."""
    embeddings: Matrix | None
    """Float64, shape (n_queries, e), rows of NaN where a query has none; None where no query has one."""
    bad: list[str]
    """The error of each record that was left out, with the record's line."""
    warnings: list[str]
    """One line for each kind of oddity: the number of records that have it, and how they count."""
    places: list[str]
    """File and line of each query's first record."""
    encoder: EncoderIdentity | None = None
    """The encoder that embedded the queries, if it is known."""
    form: str = "records"
    """The form that the files were recognised as."""
    propensities: Matrix | None = None
    """Probability with which the policy of a log picked the model, float64, shape (n_queries, n_models); None where no
    record has one."""
    times: Matrix | None = None
    """Seconds since 1970 of the answers, float64, shape (n_queries, n_models), NaN where unknown; None where no record
    has a time."""

    @property
    def quality(self) -> Matrix:
        """Recorded quality, float64, shape (n_queries, n_models); NaN where a model has no record."""
        return self.recorded[:, QUALITY]

    @property
    def cost(self) -> Matrix:
        """Recorded cost, float64, shape (n_queries, n_models); NaN where it is unknown."""
        return self.recorded[:, COST]

    @property
    def seconds(self) -> Matrix:
        """Recorded response time, float64, shape (n_queries, n_models); NaN where it is unknown."""
        return self.recorded[:, SECONDS]

    @property
    def propensity(self) -> Matrix:
        """Likewise; all NaN where no record has one."""
        return np.full_like(self.quality, np.nan) if self.propensities is None else self.propensities

    @property
    def asked(self) -> Matrix:
        """Seconds since 1970 of each query's first answer, shape (n_queries,); NaN where unknown."""
        if self.times is None:
            return np.full(len(self.queries), np.nan)
        first = np.where(np.isnan(self.times), np.inf, self.times).min(axis=1)
        return np.where(np.isfinite(first), first, np.nan)

    @property
    def is_log(self) -> bool:
        """Whether the records are a log: most questions were answered only by the model that a policy picked."""
        answers, models = (~np.isnan(self.quality)).sum(axis=1), self.quality.shape[1]
        if (answers == models).all():
            return False
        return self.propensities is not None or bool(np.median(answers) <= 1)

    @property
    def is_sparse(self) -> bool:
        """Whether models answered too few questions in common to compare their answers question by question."""
        answers, models = (~np.isnan(self.quality)).sum(axis=1), self.quality.shape[1]
        return bool(answers.mean() <= min(SPARSE, models / 2))

    @property
    def failed(self) -> npt.NDArray[np.bool_]:
        """Whether no answer of a model to a query succeeded, shape (n_queries, n_models)."""
        return np.equal(self.failures, 1.0)

    @property
    def answered(self) -> Matrix:
        """Recorded outcomes, without the response times of failed answers."""
        unknown = ~np.array([[kind.counts_failures] for kind in KINDS])
        return np.where(self.failed[:, None] & unknown, np.nan, self.recorded)

    def outcomes(self) -> Matrix:
        """Outcomes as objectives weigh them, (n_queries, n_kinds, n_models); NaN where unknown.

        No weights prefer a failed answer to a successful answer to the same query: in each kind, a failed answer counts
        as no better than the worst successful one. Where all answers failed, they took as long as answers do on
        average.
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
        """Return response times, as in `outcomes`, for files that cannot express unknown ones: `filled`."""
        return filled(self.outcomes()[:, SECONDS])

    def utilities(self, objective: Objective) -> Matrix:
        """Return the utility of each answer, (n_queries, n_models); NaN where an outcome with a weight is unknown."""
        return utilities(self.outcomes(), objective)

    def known_utilities(self, objective: Objective) -> Matrix:
        """Return the `utilities`, at least one of which must be known.

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
    """What a user may choose about training; tuning chooses the settings that an algorithm has."""

    k: int = 5
    """Neighbours of KNN."""
    evidence: float = 0.0
    """Standard errors by which a model must exceed KNN's default model."""
    clusters: int = 8
    """Clusters of KMeans."""
    min_support: int = 1
    """Least number of records of a model in a cluster: below it, the model's score over all queries counts there."""
    gamma: float = 1.0
    """Width of the kernel of SVM and kernel ridge."""
    ridge: float = 4.0
    """Penalty of kernel ridge."""
    landmarks: int | None = None
    """Most support vectors of kernel ridge; 1,000 where None, or as many as tuning chooses."""
    C: float = 1.0
    """Penalty of SVM."""
    hidden: tuple[int, ...] = (64,)
    """Widths of the hidden layers of MLP."""
    kernel: str = "rbf"
    """Kernel of SVM, rbf or linear."""
    quality_weight: float | None = None
    """Share of quality, 0.9 where None, in the labels of KMeans 1, SVM and MLP; the speed has the rest."""
    objective_quality: float = 0.9
    """Weight of quality in the original's objective, by which KMeans 2 scores."""
    objective_latency: float = 0.1
    """Weight of the decaying speed in the original's objective."""
    objective_cost: float = 0.0
    """Weight of the decaying cost in the original's objective."""
    latency_scale_ms: float = 10_000.0
    """Milliseconds at which the decaying speed is a half."""
    cost_scale: float = 1.0
    """Cost at which the decaying cost is a half."""
    latency_weight: float = 0.0
    """Quality that the greatest mean latency is worth in HierShrink."""
    objective: Objective = Objective()
    """What a unit of quality is worth."""
    seed: int = 0


class Examples(NamedTuple):
    """What a classifier learns, (m,) each: indices of queries, the models that label them, and the labels' weights."""

    queries: Indices
    models: Indices
    weights: Matrix


class Training(NamedTuple):
    """What the models are trained on."""

    benchmark: Benchmark
    features: Matrix
    """Embedding, and the one-hot of the category unless it is left out, float64, shape (n_queries, d)."""
    weights: Matrix
    """``0.9 * quality + 0.1 * speed``, or by the user's shares, shape (n_queries, n_models); -inf where unknown."""
    settings: Settings
    categories: dict[str, Any] | None = None
    """Field of the JSON model with a classifier of categories, where requests may have no category."""

    @property
    def advantages(self) -> Matrix:
        """By how much each model exceeds the mean of the models known on each query, shape (n_queries, n_models)."""
        known = np.isfinite(self.weights)
        weights = np.where(known, self.weights, 0.0)
        means = weights.sum(axis=1, keepdims=True) / known.sum(axis=1, keepdims=True)
        return np.where(known, weights - means, 0.0)

    def examples(self) -> Examples:
        """Label each query with each model that exceeds the mean; a label weighs as much as the model exceeds it."""
        advantages = self.advantages
        if not (advantages > 0).any():
            return Examples(np.zeros(1, np.int64), np.zeros(1, np.int64), np.ones(1))
        queries, models = np.nonzero(advantages > 0)
        weights = advantages[queries, models]
        return Examples(queries, models, weights / weights.mean())

    def only(self, model: int) -> "Training":
        """Return the training of one model, on the queries that it has records for."""
        known = np.flatnonzero(~np.isnan(self.benchmark.quality[:, model]))
        part = self.of(known)
        return part._replace(benchmark=part.benchmark.of_models([model]), weights=part.weights[:, [model]])

    def of(self, queries: Indices) -> "Training":
        """Return the training of some of the queries."""
        part = self.benchmark._replace(embeddings=None).of(queries)
        return self._replace(benchmark=part, features=self.features[queries], weights=self.weights[queries])


def iso(seconds: float) -> str:
    """Write a time in seconds since 1970 as ISO 8601 does, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def mean(values: Matrix) -> float:
    """Return the mean of known values; NaN where none is known."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else np.nan


def filled(outcomes: Matrix) -> Matrix:
    """Replace unknown outcomes by the model's mean; for a model without outcomes, by the mean of all outcomes, or 0.

    The original's files cannot express unknown outcomes.

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
