"""Means of models that answered different queries, and means over neighbours that are drawn toward them. Pure numpy.

A model's mean over few neighbours is drawn toward its mean over all records, and this mean toward the average model's.
Both levels are shrunken means, the best linear predictors of random effects: S. Searle, G. Casella, C. McCulloch,
Variance Components, 1992, chapter 7. Queries differ in difficulty. An outcome is therefore split into a part that the
models share on a query and a part of each model, so that a model with only hard queries does not seem bad.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
# How many records the average model counts for in a model's mean, and how many 0 counts for in a query's effect.
OWN, COMMON = 10.0, 1.0


class Deviations(NamedTuple):
    """Outcomes of one kind, split in ``base + common + own``."""

    base: Array
    """Mean of each model, shape (n_models,)."""
    common: Array
    """Effect of each query, which its models share, shape (n,)."""
    own: Array
    """Remainder of each model, shape (n, n_models); 0 where the outcome is unknown."""
    known: npt.NDArray[np.bool_]
    """Shape (n, n_models)."""


def model_means(outcomes: Array) -> Array:
    """Return the mean outcome of each model, adjusted for the difficulty of its queries: (n, n_models) -> (n_models,).

    Minimises ``sum (y_im - b_m - a_i)^2 + COMMON * sum a_i^2 + OWN * sum (b_m - mean(b))^2`` over the known outcomes y,
    by one solve of n_models equations, from which the effects a are eliminated. Without missing outcomes, b differs
    from the mean by a share of about OWN / n. A model without outcomes gets the mean of the others. NaN where no
    outcome is known.
    """
    known = ~np.isnan(outcomes)
    n_models = outcomes.shape[1]
    if not known.any():
        return np.full(n_models, np.nan)
    counts = known.sum(axis=1) + COMMON
    filled = np.where(known, outcomes, 0.0)
    shrink = OWN * (np.eye(n_models) - 1.0 / n_models)
    normal = np.diag(known.sum(axis=0).astype(np.float64)) - known.T @ (known / counts[:, None]) + shrink
    right = filled.sum(axis=0) - known.T @ (filled.sum(axis=1) / counts)
    means: Array = np.linalg.solve(normal, right)
    return means


def deviations(outcomes: Array) -> Deviations:
    """Split outcomes, float64, (n, n_models), NaN where unknown: ``a_i = sum (y_im - b_m) / (n_i + COMMON)``."""
    base, known = model_means(outcomes), ~np.isnan(outcomes)
    rest = np.where(known, outcomes - base, 0.0)
    common = rest.sum(axis=1) / (known.sum(axis=1) + COMMON)
    return Deviations(base, common, np.where(known, rest - common[:, None], 0.0), known)


def neighbour_means(split: Deviations, rows: npt.NDArray[np.int64], shrinkage: float) -> Array:
    """Predict the outcome of each model from neighbours: (b, k) -> (b, n_models).

    ``b_m + sum(a) / (k + shrinkage) + sum(own_m) / (known_m + shrinkage)``, sums over the neighbours.

    Parameters
    ----------
    split
        Outcomes of all queries.
    rows
        Queries that are neighbours, int64, shape (b, k).
    shrinkage
        Number of neighbours with deviation 0 that are added to each sum; 0 or more.
    """
    common = split.common[rows].sum(axis=1, keepdims=True) / (rows.shape[1] + shrinkage)
    counts = split.known[rows].sum(axis=1) + shrinkage
    own: Array = split.own[rows].sum(axis=1) / np.where(counts > 0.0, counts, 1.0)
    means: Array = split.base + common + own
    return means
