"""Distances between the rows of a model, among which queries are ranked, see `modelpick.runtime.Selector.drift`."""

import numpy as np
from threadpoolctl import threadpool_limits

from ..algorithms.base import Estimator

QUANTILES = 100


def recorded_distances(estimator: Estimator) -> list[float]:
    """Return evenly spaced quantiles of the distance from a row, or centroid, to the nearest other, over some rows."""
    measure = estimator.row.distances
    if measure is None:
        return []
    # BLAS adds in a fixed order on one thread, so that the artifact is the same each time.
    with np.errstate(over="ignore", invalid="ignore"), threadpool_limits(1):
        distances = measure(estimator)
    nearest = distances.min(axis=1)
    nearest = nearest[np.isfinite(nearest)]
    if not nearest.size:
        return []
    quantiles: list[float] = np.quantile(nearest, np.linspace(0, 1, QUANTILES)).tolist()
    return quantiles
