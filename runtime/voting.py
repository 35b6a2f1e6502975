"""Quality-weighted voting over the neighbours of a query. Pure numpy; no onnxruntime."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

QUALITY_WEIGHT = 0.9
MIN_QUALITY = 0.01
# Sums of the same weights in another order differ in their last bits: such sums count as equal.
TIE_TOLERANCE = 1e-12


class Vote(NamedTuple):
    """The outcome of a vote over ``b`` queries."""

    scores: npt.NDArray[np.float64]
    """Vote sums, shape (b, n_models); 0 for a model without a neighbour."""
    winners: npt.NDArray[np.int64]
    """Indices of the winning models, shape (b,)."""


def vote_weights(qualities: npt.NDArray[np.float64], speeds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Weigh neighbours: ``0.9 * max(quality, 0.01) + 0.1 * speed``, float64, elementwise.

    The formula is that of the original library's KNN selector; distance does not weigh.

    Parameters
    ----------
    qualities, speeds
        Quality and speed of each neighbour, float64, of one shape. Speed is 1 for the fastest row of
        the model and 0 for the slowest.
    """
    return QUALITY_WEIGHT * np.maximum(qualities, MIN_QUALITY) + (1.0 - QUALITY_WEIGHT) * speeds


def vote_one(models: Sequence[int], qualities: Sequence[float], speeds: Sequence[float]) -> int:
    """Pick the model for a single query: as `vote` of `vote_weights` does, in a quarter of the time.

    Parameters
    ----------
    models, qualities, speeds
        Model index, quality and speed of each neighbour, nearest first.
    """
    sums: dict[int, float] = {}
    for model, quality, speed in zip(models, qualities, speeds, strict=True):
        weight = QUALITY_WEIGHT * max(quality, MIN_QUALITY) + (1.0 - QUALITY_WEIGHT) * speed
        sums[model] = sums.get(model, 0.0) + weight
    highest = max(sums.values())
    least = highest * (1.0 - TIE_TOLERANCE)
    return next(model for model, total in sums.items() if total >= least)


def vote(models: npt.NDArray[np.int64], weights: npt.NDArray[np.float64], n_models: int) -> Vote:
    """Sum the neighbours' weights per model and pick the highest sum.

    Sums that are equal up to rounding are a tie, which goes to the tied model whose best-ranked
    neighbour comes first.

    Parameters
    ----------
    models
        Model index of each neighbour, nearest first, int64, shape (b, k).
    weights
        Vote weight of each neighbour, float64, shape (b, k).
    n_models
        Number of models.
    """
    queries = np.arange(len(models))
    scores = np.zeros((len(models), n_models))
    for rank in range(models.shape[1]):
        scores[queries, models[:, rank]] += weights[:, rank]
    best = scores[queries[:, None], models]
    highest = best.max(axis=1, keepdims=True)
    tied = best >= highest * (1.0 - TIE_TOLERANCE)
    return Vote(scores, models[queries, tied.argmax(axis=1)])


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
