"""Folds of a cross-validation over queries: no query is on both sides of a fold."""

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import PredefinedSplit

from modelpick.runtime import DocumentError

FOLDS = 5
Indices = npt.NDArray[np.int64]


def folds(features: npt.NDArray[np.float64], seed: int) -> Indices:
    """Return the fold of each query, int64, shape (n_queries,), drawn at random; equal vectors share a fold.

    Raises
    ------
    DocumentError
        When there is only one distinct vector.
    """
    groups = np.unique(features, axis=0, return_inverse=True)[1].ravel()
    n_groups = int(groups.max()) + 1
    if n_groups < 2:
        raise DocumentError(f"expected two distinct queries or more to cross-validate, got {n_groups}")
    numbers = np.empty(n_groups, dtype=np.int64)
    numbers[np.random.default_rng(seed).permutation(n_groups)] = np.arange(n_groups) % min(FOLDS, n_groups)
    fold: Indices = numbers[groups]
    return fold


def splits(features: npt.NDArray[np.float64], seed: int) -> list[tuple[Indices, Indices]]:
    """Return for each of `folds` the queries to learn from, outside of it, and the held-out queries in it."""
    return list(PredefinedSplit(folds(features, seed)).split())
