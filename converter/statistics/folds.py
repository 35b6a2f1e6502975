"""Folds of a cross-validation over queries: no query is on both sides of a fold."""

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import PredefinedSplit

from modelpick.runtime import DocumentError

FOLDS = 5
Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def folds(features: npt.NDArray[np.float64], seed: int) -> Indices:
    """Return the fold of each query, int64, shape (n_queries,), drawn at random; equal vectors share a fold.

    Raises
    ------
    DocumentError
        When there is only one distinct vector.
    """
    places, n_groups = _shuffled(features, seed)
    fold: Indices = places % min(FOLDS, n_groups)
    return fold


def is_held_out(features: npt.NDArray[np.float64], seed: int, share: float = 1 / FOLDS) -> Mask:
    """Return whether each query is held out, shape (n_queries,), drawn at random; equal vectors stay together.

    Parameters
    ----------
    share
        The share of the distinct vectors to hold out, above 0 and below 1; at least one is. By default these are the
        first of `folds`.

    Raises
    ------
    DocumentError
        When there is only one distinct vector.
    """
    places, n_groups = _shuffled(features, seed)
    held_out: Mask = np.diff(np.floor(share * np.arange(-1, n_groups))) > 0
    return held_out[places]


def _shuffled(features: npt.NDArray[np.float64], seed: int) -> tuple[Indices, int]:
    """Return the place of each query's vector among the distinct vectors in random order, and their number."""
    groups = np.unique(features, axis=0, return_inverse=True)[1].ravel()
    n_groups = int(groups.max()) + 1
    if n_groups < 2:
        raise DocumentError(f"expected two distinct queries or more to cross-validate, got {n_groups}")
    places = np.empty(n_groups, dtype=np.int64)
    places[np.random.default_rng(seed).permutation(n_groups)] = np.arange(n_groups)
    return places[groups], n_groups


def splits(features: npt.NDArray[np.float64], seed: int) -> list[tuple[Indices, Indices]]:
    """Return for each of `folds` the queries to learn from, outside of it, and the held-out queries in it."""
    return list(PredefinedSplit(folds(features, seed)).split())
