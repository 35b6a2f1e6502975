"""How far the rows of a model lie apart: what queries are ranked among, see `modelpick.runtime.Selector.drift`."""

import numpy as np
from threadpoolctl import threadpool_limits

from ..algorithms.base import Estimator

QUANTILES = 100


def recorded_distances(estimator: Estimator) -> list[float]:
    """Return quantiles, evenly spaced, of the distance from a row, or centroid, to the nearest other; of some rows."""
    measure = estimator.row.distances
    if measure is None:
        return []
    # On one thread BLAS adds in one order, so that the artifact is the same each time.
    with np.errstate(over="ignore", invalid="ignore"), threadpool_limits(1):
        distances = measure(estimator)
    nearest = distances.min(axis=1)
    nearest = nearest[np.isfinite(nearest)]
    if not nearest.size:
        return []
    quantiles: list[float] = np.quantile(nearest, np.linspace(0, 1, QUANTILES)).tolist()
    return quantiles
