"""Paired bootstrap intervals: every column of outcomes is resampled over the same queries."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from threadpoolctl import threadpool_limits

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]
BOOTSTRAPS, CONFIDENCE = 2_000, 0.95
# Queries are drawn for as many samples at once as stay below so many values.
BLOCK_VALUES = 2**20


def resampled(tables: Iterable[Mapping[str, Vector]], seed: int) -> list[dict[str, Vector]]:
    """Sum columns over all queries, then over each of BOOTSTRAPS samples of as many queries, drawn with replacement.

    Sample r holds the queries ``default_rng(seed).integers(n, size=(BOOTSTRAPS, n))[r]``, whatever the columns are and
    however many samples are drawn at once: all columns are paired.

    Parameters
    ----------
    tables
        Name -> column, float64, shape (n_queries,), finite. A mean over some of the queries is a ratio of the sums of
        two columns. Each table is taken when the one before it is stored, so that an iterator saves memory.

    Returns
    -------
    list of dict
        Of each table, name -> sums, float64, shape (1 + BOOTSTRAPS,).
    """
    stored = [(list(table), np.column_stack(list(table.values()))) for table in tables]
    sums = [[columns.sum(axis=0, keepdims=True)] for _, columns in stored]
    with threadpool_limits(1):  # the products are small: threads would mostly wait for each other
        for counts in _drawn(len(stored[0][1]), seed):
            for found, (_, columns) in zip(sums, stored, strict=True):
                found.append(counts @ columns)
    return [dict(zip(names, np.vstack(found).T, strict=True)) for found, (names, _) in zip(sums, stored, strict=True)]


def _drawn(n: int, seed: int) -> Iterator[Matrix]:
    """Draw samples, in blocks: how often each holds each query, float64, (b, n)."""
    rng = np.random.default_rng(seed)
    block = max(1, BLOCK_VALUES // n)
    for start in range(0, BOOTSTRAPS, block):
        size = min(block, BOOTSTRAPS - start)
        draws = rng.integers(n, size=(size, n)) + n * np.arange(size)[:, None]
        yield np.bincount(draws.ravel(), minlength=draws.size).reshape(draws.shape).astype(np.float64)


def ratio(upper: Vector, lower: Vector) -> Vector:
    """Divide, NaN where ``lower`` is 0."""
    divided: Vector = np.divide(upper, lower, out=np.full(np.shape(lower), np.nan), where=lower != 0)
    return divided


class Estimate(Struct, frozen=True):
    """A statistic and its 95 % interval; NaN where it is undefined."""

    value: float
    low: float
    high: float


def estimate(samples: Vector) -> Estimate:
    """Return a statistic, the first value, and the percentile interval of its bootstrap samples, the others.

    Samples in which the statistic is undefined, NaN, are left out; the interval is NaN where there are no others.
    Source: B. Efron, R. Tibshirani, An Introduction to the Bootstrap, 1993, 13.3.
    """
    defined = samples[1:][~np.isnan(samples[1:])]
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(defined, [tail, 100 - tail]) if len(defined) else (np.nan, np.nan)
    return Estimate(float(samples[0]), float(low), float(high))


def signed(estimate: Estimate) -> str:
    """Write an estimate and its interval with their signs."""
    return f"{estimate.value:+z.3f} [{estimate.low:+z.3f}, {estimate.high:+z.3f}]"


def percent(estimate: Estimate) -> str:
    """Write an estimate and its interval in percent."""
    return f"{100 * estimate.value:z.1f} % [{100 * estimate.low:z.1f}, {100 * estimate.high:z.1f}]"
