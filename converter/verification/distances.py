"""How far the rows of a model lie apart: what queries are ranked among, see `modelpick.runtime.Selector.drift`."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from ..documents import Semantics
from ..estimators import KMeansModelSelector, KNNModelSelector, QueryModelSelector, directions

Matrix = npt.NDArray[np.float64]
MOST_ROWS, QUANTILES = 128, 100


def recorded_distances(estimator: Any) -> list[float]:
    """Give quantiles, evenly spaced, of the distance from a row, or centroid, to the nearest other; of some rows."""
    if type(estimator) not in _TO_OTHERS:
        return []
    # On one thread BLAS adds in one order, so that the artifact is the same each time.
    with np.errstate(over="ignore", invalid="ignore"), threadpool_limits(1):
        distances = _TO_OTHERS[type(estimator)](estimator)
    nearest = distances.min(axis=1)
    nearest = nearest[np.isfinite(nearest)]
    if not nearest.size:
        return []
    quantiles: list[float] = np.quantile(nearest, np.linspace(0, 1, QUANTILES)).tolist()
    return quantiles


def _between_rows(estimator: KNNModelSelector) -> Matrix:
    return _between(estimator, estimator.row_groups_)


def _between_queries(estimator: QueryModelSelector) -> Matrix:
    return _between(estimator, np.arange(estimator.n_samples_fit_))


def _between(estimator: Any, groups: npt.NDArray[np.int64]) -> Matrix:
    first = np.unique(groups, return_index=True)[1]
    sample = first[np.linspace(0, len(first) - 1, min(MOST_ROWS, len(first))).astype(np.int64)]
    is_cosine = estimator.semantics == Semantics.trainer
    rows = directions(estimator._fit_X) if is_cosine else estimator._fit_X
    norms = np.einsum("ij,ij->i", rows, rows)
    # The expanded square loses digits that a rank does not need, and is many times faster than the difference.
    squares: Matrix = np.maximum(norms[sample][:, None] + norms - 2.0 * rows[sample] @ rows.T, 0.0)
    squares[groups[sample][:, None] == groups] = np.inf
    return squares / 2.0 if is_cosine else np.sqrt(squares)


def _between_centroids(estimator: KMeansModelSelector) -> Matrix:
    distances = estimator.transform(estimator.cluster_centers_)
    distances[np.eye(len(distances), dtype=bool)] = np.inf
    return distances


_TO_OTHERS: dict[type, Callable[[Any], Matrix]] = {
    KNNModelSelector: _between_rows,
    QueryModelSelector: _between_queries,
    KMeansModelSelector: _between_centroids,
}
