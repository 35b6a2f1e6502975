"""Paired bootstrap intervals: every column of outcomes is resampled over the same queries."""

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Interval = tuple[float, float]
BOOTSTRAPS, CONFIDENCE = 2_000, 0.95
# Queries are drawn for as many samples at once as stay below so many values.
BLOCK_VALUES = 2**20


def resampled_sums(columns: Matrix, seed: int) -> Matrix:
    """Draw queries with replacement, and sum each column over them.

    Sample r holds the queries ``default_rng(seed).integers(n, size=(BOOTSTRAPS, n))[r]``, whatever the columns are and
    however many samples are drawn at once. Columns of one call, and of calls with one seed, are therefore paired.

    Parameters
    ----------
    columns
        Float64, shape (n_queries, c), finite. A mean over some of the queries is a ratio of two columns' sums.

    Returns
    -------
    ndarray
        Float64, shape (BOOTSTRAPS, c).
    """
    n = len(columns)
    rng = np.random.default_rng(seed)
    sums = np.empty((BOOTSTRAPS, columns.shape[1]))
    block = max(1, BLOCK_VALUES // n)
    for start in range(0, BOOTSTRAPS, block):
        part = sums[start : start + block]
        draws = rng.integers(n, size=(len(part), n)) + n * np.arange(len(part))[:, None]
        counts = np.bincount(draws.ravel(), minlength=draws.size).reshape(draws.shape)
        np.matmul(counts.astype(np.float64), columns, out=part)
    return sums


def interval(samples: npt.NDArray[np.float64]) -> Interval:
    """Give the percentile interval of a statistic's samples.

    Samples in which the statistic is undefined, NaN, are left out; the interval is NaN where there are no others.
    Source: B. Efron, R. Tibshirani, An Introduction to the Bootstrap, 1993, 13.3.
    """
    defined = samples[~np.isnan(samples)]
    if not len(defined):
        return (np.nan, np.nan)
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(defined, [tail, 100 - tail])
    return float(low), float(high)
