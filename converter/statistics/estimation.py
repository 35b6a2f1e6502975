"""What policies would have achieved, from the log of another: doubly robust estimates, cross-fitted.

A log holds one answer a question, of the model that a policy picked, with the probability of this pick. Means over the
records of a log are wrong where the pick depended on the question. The outcome r of a model on a question is estimated
by ``q + [recorded] / propensity * (r - q)``, q being a prediction from other questions. The mean of the estimates over
questions is right if either the propensities or the predictions are right. Source: M. Dudík, J. Langford, L. Li, Doubly
Robust Policy Evaluation and Learning, ICML 2011; cross-fitting: V. Chernozhukov et al., Double/debiased machine
learning, 2018.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..formats.outcomes import Benchmark, Matrix
from .bootstrap import WANTED
from .dependence import depends
from .folds import folds
from .landmarks import Landmarks, landmarks, regressed
from .offers import offered

GIVEN = "doubly robust, with the propensities of the log"
GUESSED = "doubly robust, with propensities that were estimated from the questions: hidden causes are not corrected"
# Where the choice of the model depends on the question, it may depend on more than the embeddings show.
ASSUMED = (
    "doubly robust, with propensities that were estimated from the questions, on which the choice of the model "
    "depends: right only if nothing else decided it"
)
# Why such a log is not believed.
CONFOUNDED = "which model answered depends on the question, and the log has no propensities to correct for it"
# Kernel ridge of the predictions: the width of its kernel on directions, its penalty, and its most landmarks.
GAMMA, RIDGE, LANDMARKS = 1.0, 4.0, 500
# Least estimated propensity: it bounds the weight of an answer. Given propensities are taken as they are.
CLIPPED = 0.02
# Standard errors by which the answers of a policy's picks may stand for fewer than all picks, and the share of picks
# that the log's policy may never make: they are predicted without a correction.
MOST_ERRORS, TOLERATED = 4.0, 0.05
Mask = npt.NDArray[np.bool_]


class Estimation(NamedTuple):
    """A completed log: a single cell tells nothing, but means of cells over many questions are right."""

    benchmark: Benchmark
    """Records with an estimate of each kind of outcome in the log, for each model and question."""
    weights: Matrix
    """Number of answers that a recorded one stands for, 1 / propensity; 0 without one, shape (n_queries, n_models)."""
    predicted: Matrix
    """Outcomes of each kind, predicted from other questions, shape (n_queries, n_kinds, n_models)."""
    estimator: str
    """In words: `GIVEN`, `GUESSED` or `ASSUMED`."""


def estimated(benchmark: Benchmark, seed: int = 0, features: Matrix | None = None) -> Estimation:
    """Estimate the outcome of every model on every question of a log, or of any records.

    Complete records are returned unchanged, to the last digit. A model's outcomes are unknown, NaN, for questions at
    which it was not on offer: it was added later, or retired before.

    Parameters
    ----------
    benchmark
        Records. Of answers without a propensity it is estimated: by kernel ridge of which model was recorded on the
        embeddings of other questions, not below `CLIPPED`; 1 where all models were recorded.
    seed
        Seed of the folds.
    features
        Features to predict outcomes from, shape (n_queries, d); the embeddings by default.
    """
    recorded = ~np.isnan(benchmark.quality)
    features = _directions(benchmark.embeddings if features is None else features, len(recorded))
    fold = folds(features, seed) if len(np.unique(features, axis=0)) > 1 else np.arange(len(features)) % 2
    mapped = Landmarks(landmarks(features, LANDMARKS, seed), GAMMA).mapped(features)
    there = recorded | offered(benchmark)
    picked, unknown = np.where(there, recorded, np.nan), np.full(recorded.shape, np.nan)
    unlogged = recorded & np.isnan(benchmark.propensity) & ~recorded.all(axis=1, keepdims=True)
    propensity = np.where(np.isnan(benchmark.propensity), 1.0, benchmark.propensity)
    if unlogged.any():
        chances = np.clip(_predicted(mapped, fold, picked[:, None], unknown)[:, 0], CLIPPED, 1.0) * there
        chances = np.clip(chances * recorded.sum() / len(recorded) / chances.sum(axis=1, keepdims=True), CLIPPED, 1.0)
        propensity = np.where(unlogged, chances, propensity)
    weights = np.where(recorded, 1.0 / propensity, 0.0)
    kinds = np.concatenate([benchmark.outcomes(), benchmark.failures[:, None]], axis=1)
    predicted = _predicted(mapped, fold, kinds, propensity)
    corrected = np.where(there[:, None], doubly_robust(kinds, weights[:, None], predicted), np.nan)
    complete = benchmark._replace(recorded=corrected[:, :-1], failures=corrected[:, -1])
    estimator, lacked = GUESSED if unlogged.any() else GIVEN, unlogged.any(axis=1)
    if lacked.sum() >= WANTED:
        # How hard a question seems shows a choice by difficulty in fewer answers than its embedding does.
        difficulty = _predicted(mapped, fold, _excess(benchmark.quality)[:, None, None], unknown[:, :1])[:, 0]
        if depends(picked[lacked], (mapped[lacked], difficulty[lacked]), seed):
            estimator = ASSUMED
    return Estimation(complete, weights, predicted[:, :-1], estimator)


def doubly_robust(values: Matrix, weights: Matrix, predicted: Matrix) -> Matrix:
    """Correct predictions by recorded outcomes: (n_queries, n_models) each, or (n_queries, n_kinds, n_models).

    Parameters
    ----------
    values
        Outcomes of one kind, NaN where unknown.
    weights
        1 / propensity of recorded answers.
    predicted
        Outcomes predicted from other questions.
    """
    known = ~np.isnan(values)
    corrected = predicted + np.where(known, weights * (np.where(known, values, 0.0) - predicted), 0.0)
    return np.where(known & (weights == 1.0), values, corrected)


def effective_sample(chances: Matrix, weights: Matrix) -> tuple[float, float]:
    """Return about how many answers a policy's estimate rests on, and the largest weight of one.

    ``(sum w)^2 / sum w^2`` over the weights of the answers that it would have given: L. Kish, Survey Sampling, 1965.
    """
    found = (chances * weights).sum(axis=1)
    squares = float((found**2).sum())
    return (float(found.sum()) ** 2 / squares if squares else 0.0), float(found.max(initial=0.0))


def lacking(estimation: Estimation, chances: Matrix, queries: Mask | None = None) -> str:
    """Return the reason why a log does not support an estimate; empty where it does.

    Parameters
    ----------
    estimation
        The log.
    chances
        Probabilities with which a policy calls each model, shape (n_queries, n_models).
    queries
        Some of the queries, shape (n_queries,); all by default.
    """
    chances = chances if queries is None else np.where(queries[:, None], chances, 0.0)
    effective, _ = effective_sample(chances, estimation.weights)
    if effective == 0:
        return "no answer of the log is of its picks: a log of a policy that explores would tell"
    if estimation.estimator == GIVEN and (part := _without_chance(estimation, chances)):
        gave = f"the policy of the log gave about {100 * part:.0f} % of its picks little or no chance"
        return f"{gave}: a log that explores more would tell"
    if effective >= WANTED:
        return ""
    answers = int((estimation.weights > 0).sum())
    stands = f"it rests on {effective:.0f} answers by weight, {WANTED} are needed"
    return f"{stands}: about {answers * (WANTED / effective - 1):,.0f} more in the log would do"


def _without_chance(estimation: Estimation, chances: Matrix) -> float:
    """Return for which share of a policy's picks the log has no answers that stand for them; 0 where it may have them.

    If the log's policy gives all of them some chance, the weights of the answers add up to the number of picks, with a
    variance of about the sum of ``(1 - propensity) / propensity^2``. Of chances so small that none was taken, the
    answers do not tell.
    """
    weights = estimation.weights
    picks = float((chances * ~np.isnan(estimation.benchmark.quality)).sum())
    found = float((chances * weights).sum())
    error = float(np.sqrt((chances**2 * weights * (weights - 1.0)).clip(min=0.0).sum()))
    return 1 - found / picks if found + MOST_ERRORS * error < (1 - TOLERATED) * picks else 0.0


def carried(estimation: Estimation) -> Benchmark:
    """Leave out models that a log does not support estimates of; none is left out where it supports none."""
    benchmark, (n, m) = estimation.benchmark, estimation.weights.shape
    few = np.array([bool(lacking(estimation, np.tile(always, (n, 1)))) for always in np.eye(m)])
    if few.all():
        return benchmark
    return benchmark._replace(recorded=np.where(few, np.nan, benchmark.recorded))


def _directions(embeddings: Matrix | None, n: int) -> Matrix:
    """Scale embeddings to unit length; without embeddings, all n questions are equal."""
    if embeddings is None or np.isnan(embeddings).any():
        return np.ones((n, 1))
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return np.asarray(embeddings / np.where(norms > 0, norms, 1.0))


def _excess(quality: Matrix) -> Matrix:
    """Return by how much the answers to each question exceed the means of their models, (n_queries,); NaN without one.

    Where a question has one answer, the mean over the answers of each model is 0: it tells nothing of the model.
    """
    known = ~np.isnan(quality)
    counts = np.maximum(known.sum(axis=0), 1)
    excess = np.where(known, quality - np.where(known, quality, 0.0).sum(axis=0) / counts, 0.0)
    return np.where(known.any(axis=1), excess.sum(axis=1) / np.maximum(known.sum(axis=1), 1), np.nan)


def _predicted(mapped: Matrix, fold: npt.NDArray[np.int64], outcomes: Matrix, propensity: Matrix) -> Matrix:
    """Predict outcomes, (n, n_kinds, m), of each fold from the others; NaN for unknown kinds."""
    predicted = np.empty_like(outcomes)
    for number in range(int(fold.max()) + 1):
        learned, held_out = fold != number, fold == number
        found = regressed(mapped[learned], outcomes[learned], propensity[learned], RIDGE)
        predicted[held_out] = found(mapped[held_out])
    return predicted
