"""Quality-weighted voting over the neighbours of a query. Pure numpy; no onnxruntime."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

# Sums of the same weights in another order differ in their last bits. Sums that differ by less than this, relatively,
# count as equal.
TIE_TOLERANCE = 1e-12
# Scores that are the same sums in another order differ by far less than this, relative to numbers up to 1.
CLOSE = 1e-7


class Weights(NamedTuple):
    """How an outcome becomes one number: ``quality * max(q, min_quality) + speed * s``."""

    quality: float
    """Share of the quality."""
    speed: float
    """Share of the speed."""
    min_quality: float | None = None
    """The least quality, that a lower quality counts as; None where there is none."""

    def weigh(self, qualities: npt.NDArray[np.float64], speeds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the weighted sum of qualities, as they count, and speeds."""
        return self.quality * qualities + self.speed * speeds

    def floored(self, qualities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return qualities, raised to the least quality."""
        return qualities if self.min_quality is None else np.maximum(qualities, self.min_quality)

    def with_quality(self, quality_weight: float) -> "Weights":
        """Return weights with another share of the quality, from 0 to 1, and the rest for the speed."""
        return self._replace(quality=quality_weight, speed=1.0 - quality_weight)


class Vote(NamedTuple):
    """The outcome of a vote over ``b`` queries."""

    scores: npt.NDArray[np.float64]
    """Vote sums, shape (b, n_models); 0 for a model without a neighbour."""
    picks: npt.NDArray[np.int64]
    """Indices of the picked models, shape (b,); -1 where no neighbour's model may win."""


def vote_weights(
    qualities: npt.NDArray[np.float64], speeds: npt.NDArray[np.float64], weights: Weights
) -> npt.NDArray[np.float64]:
    """Return the weight of each neighbour's vote, float64, elementwise; see `Weights`.

    The formula is that of the original library's KNN selector. The distance has no influence.

    Parameters
    ----------
    qualities, speeds
        Quality and speed of each neighbour, float64, of one shape. Speed is 1 for the fastest and falls toward 0.
    weights
        Shares of quality and speed.
    """
    return weights.weigh(weights.floored(qualities), speeds)


def vote_one(
    models: Sequence[int],
    votes: Sequence[float],
    allowed: npt.NDArray[np.bool_] | None = None,
    preferred: npt.NDArray[np.int64] | None = None,
) -> int | None:
    """Pick the model for a single query, as `vote_many` does for many, in a quarter of the time.

    Parameters
    ----------
    models, votes
        Model index and vote weight of each neighbour, nearest first.
    allowed, preferred
        See `vote_many`. Returns None where no neighbour's model is allowed.
    """
    sums: dict[int, float] = {}
    for model, weight in zip(models, votes, strict=True):
        if allowed is None or allowed[model]:
            sums[model] = sums.get(model, 0.0) + weight
    if not sums:
        return None
    highest = max(sums.values())
    least = highest * (1.0 - TIE_TOLERANCE if highest > 0.0 else 1.0 + TIE_TOLERANCE)
    tied = [model for model, total in sums.items() if total >= least]
    return tied[0] if preferred is None else min(tied, key=preferred.__getitem__)


def vote_many(
    models: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float64],
    n_models: int,
    allowed: npt.NDArray[np.bool_] | None = None,
    preferred: npt.NDArray[np.int64] | None = None,
) -> Vote:
    """Sum the neighbours' weights per model and pick the highest sum.

    Sums that are equal except for rounding are a tie.

    Parameters
    ----------
    models
        Model index of each neighbour, nearest first, int64, shape (b, k).
    weights
        Vote weight of each neighbour, float64, shape (b, k).
    n_models
        Number of models.
    allowed
        Which models may win, shape (n_models,); all by default. -1 is picked where no neighbour's model is allowed.
    preferred
        Place of each model in the order in which ties are broken, shape (n_models,); by default a tie goes to the tied
        model whose best-ranked neighbour comes first.
    """
    queries = np.arange(len(models))
    scores = np.zeros((len(models), n_models))
    for rank in range(models.shape[1]):
        scores[queries, models[:, rank]] += weights[:, rank]
    best = scores[queries[:, None], models]
    if allowed is not None:
        best = np.where(allowed[models], best, -np.inf)
    highest = best.max(axis=1, keepdims=True)
    tied = best >= highest * np.where(highest > 0.0, 1.0 - TIE_TOLERANCE, 1.0 + TIE_TOLERANCE)
    ranks = np.arange(models.shape[1]) if preferred is None else preferred[models]
    places = np.where(tied, ranks, max(n_models, models.shape[1])).argmin(axis=1)
    return Vote(scores, np.where(np.isneginf(highest[:, 0]), -1, models[queries, places]))


def shrunk_means(
    outcomes: npt.NDArray[np.float64], overall: npt.NDArray[np.float64], weights: Weights, shrinkage: float
) -> npt.NDArray[np.float64]:
    """Score models by their mean outcomes in the neighbourhood of a query: (b, n_models).

    The score of a model is the mean weight ``w`` over the n neighbours that know it, drawn toward its overall mean as
    if ``shrinkage`` more neighbours had that mean: ``(sum(w) + shrinkage * mean) / (n + shrinkage)``. This is the
    m-estimate of B. Cestnik, Estimating Probabilities: A Crucial Task in Machine Learning, ECAI 1990. A model without
    outcomes scores 0.

    Parameters
    ----------
    outcomes
        Sums over the neighbours that know the model of its quality, floor included, of its speed, and of 1, float64,
        shape (b, 3, n_models).
    overall
        The same over all rows, shape (3, n_models).
    weights
        Shares of quality and speed.
    shrinkage
        How many neighbours the overall mean counts for, 0 or more.
    """
    sums = weights.weigh(outcomes[:, 0], outcomes[:, 1])
    means = weights.weigh(overall[0], overall[1]) / np.maximum(overall[2], 1.0)
    counts = outcomes[:, 2] + shrinkage
    scores: npt.NDArray[np.float64] = (sums + shrinkage * means) / np.where(counts > 0.0, counts, 1.0)
    return scores


def first_best(scores: npt.NDArray[np.float64], allowed: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[np.int64]:
    """Pick the highest score of each query, the first of those equal except for rounding: (b, n_models) -> (b,)."""
    if allowed is not None:
        scores = np.where(allowed, scores, -1.0)
    tied = scores >= scores.max(axis=1, keepdims=True) * (1.0 - TIE_TOLERANCE)
    picks: npt.NDArray[np.int64] = tied.argmax(axis=1)
    return picks


def are_close(scores: npt.NDArray[np.float64], allowed: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[np.bool_]:
    """Whether rounding could decide between the two highest scores of each query: (b, n) -> (b,).

    Parameters
    ----------
    scores
        Float64, shape (b, n).
    allowed
        Which of them count, shape (n,); all by default.
    """
    if allowed is not None:
        scores = scores[:, allowed]
    if scores.shape[1] < 2:
        return np.zeros(len(scores), dtype=np.bool_)
    second, best = np.partition(scores, -2, axis=1)[:, -2:].T
    close: npt.NDArray[np.bool_] = ~(best - second > CLOSE * np.maximum(np.abs(best), 1.0))
    return close


def best_per_model(
    scores: npt.NDArray[np.float64], models: Sequence[int] | npt.NDArray[np.int64], n_models: int
) -> npt.NDArray[np.float64]:
    """Take the highest score among each model's choices: (b, n_choices) -> (b, n_models).

    Parameters
    ----------
    scores
        Scores of the choices, float64, shape (b, n_choices).
    models
        Model index of each choice, length n_choices.
    n_models
        Number of models.
    """
    best = np.full((len(scores), n_models), -np.inf)
    for column, model in enumerate(models):
        np.maximum(best[:, model], scores[:, column], out=best[:, model])
    return best
