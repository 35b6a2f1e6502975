"""Paired bootstrap intervals: all columns of outcomes are resampled over the same queries."""

from collections.abc import Iterable, Iterator, Mapping
from math import sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from threadpoolctl import threadpool_limits

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]
BOOTSTRAPS, CONFIDENCE = 2_000, 0.95
# One query says nothing about how others differ from it.
FEWEST = 2
# About this number of queries tells large differences from chance.
WANTED = 30
# Written instead of a number that the data do not support.
UNKNOWN = "—"
# Queries are drawn for as many samples at once as stay below this number of values.
BLOCK_VALUES = 2**20


class Sums(dict[str, Vector]):
    """Sums of columns, of each float64, shape (1 + BOOTSTRAPS,): over all queries, then over each sample of them."""

    def __init__(self, sums: Mapping[str, Vector], counts: Mapping[str, int]) -> None:
        super().__init__(sums)
        self.counts = counts
        """Number of queries in which a column is not 0."""


def resampled(tables: Iterable[Mapping[str, Vector]], seed: int) -> list[Sums]:
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
    list of Sums
        Of each table.
    """
    stored = [(list(table), np.column_stack(list(table.values()))) for table in tables]
    sums = [[columns.sum(axis=0, keepdims=True)] for _, columns in stored]
    with threadpool_limits(1):  # the products are small: threads would mostly wait for each other
        for counts in drawn(len(stored[0][1]), seed):
            for found, (_, columns) in zip(sums, stored, strict=True):
                found.append(counts @ columns)
    return [
        Sums(
            dict(zip(names, np.vstack(found).T, strict=True)),
            dict(zip(names, np.count_nonzero(columns, axis=0).tolist(), strict=True)),
        )
        for found, (names, columns) in zip(sums, stored, strict=True)
    ]


def with_known(values: Mapping[str, Vector]) -> dict[str, Vector]:
    """Return columns to sum: each value, 0 where it is NaN, and as "NAME known" whether it is known, 1 or 0."""
    known = {f"{name} known": (~np.isnan(column)).astype(np.float64) for name, column in values.items()}
    return {name: np.nan_to_num(column) for name, column in values.items()} | known


def mean_of(sums: Sums, name: str) -> Vector:
    """Return the means of the known values of a column of `with_known`, float64, shape (1 + BOOTSTRAPS,)."""
    return ratio(sums[name], sums[f"{name} known"])


def estimated_mean(sums: Sums, name: str) -> "Estimate":
    """Estimate the mean of the known values of a column of `with_known`."""
    return estimate(mean_of(sums, name), sums.counts[f"{name} known"])


def drawn(n: int, seed: int) -> Iterator[Matrix]:
    """Draw samples, in blocks: the number of times that each sample holds each query, float64, (b, n)."""
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


def share(part: Vector, whole: Vector) -> Vector:
    """Divide samples of a part by samples of a whole; all are NaN where the whole is not surely above 0.

    A whole that may be 0 or less has no shares, since their sign would change with the sample. Source: E. Fieller, Some
    Problems in Interval Estimation, Journal of the Royal Statistical Society B 16, 1954.
    """
    if not (whole[0] > 0 and np.quantile(whole[1:], (1 - CONFIDENCE) / 2) > 0):
        return np.full(np.shape(whole), np.nan)
    return ratio(part, np.maximum(whole, 0.0))


class Estimate(Struct, frozen=True, omit_defaults=True):
    """A statistic and its 95 % interval; NaN where the data do not support it."""

    value: float
    low: float
    high: float
    reason: str = ""
    """Why the value, or the interval, is not known."""


def estimate(samples: Vector, queries: int, reason: str = "") -> Estimate:
    """Return a statistic, the first value, and the percentile interval of its bootstrap samples, the others.

    Samples in which the statistic is undefined, NaN, are left out. Source: B. Efron, R. Tibshirani, An Introduction to
    the Bootstrap, 1993, 13.3.

    Parameters
    ----------
    samples
        Shape (1 + BOOTSTRAPS,).
    queries
        Number of queries of the statistic; fewer than two have no interval.
    reason
        Why the statistic is undefined, if it is.
    """
    defined = samples[1:][~np.isnan(samples[1:])]
    if np.isnan(samples[0]) or not len(defined):
        return Estimate(np.nan, np.nan, np.nan, reason)
    if queries < FEWEST:
        return Estimate(float(samples[0]), np.nan, np.nan, f"{queries} query has no interval: {FEWEST} or more have")
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(defined, [tail, 100 - tail])
    return Estimate(float(samples[0]), float(low), float(high))


def lower_bound(samples: Vector, confidence: float) -> float:
    """Return the lower end of the one-sided percentile interval of bootstrap samples, as `estimate` takes them."""
    return float(np.nanpercentile(samples[1:], 100 * (1 - confidence)))


def proportion(count: int, n: int) -> Estimate:
    """Estimate a share of n independent cases by Wilson's interval, which has a width where the share is 0 or 1, too.

    Source: E. Wilson, Probable Inference, the Law of Succession, and Statistical Inference, 1927.
    """
    share, z = count / n, NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    middle, scale = share + z**2 / (2 * n), 1 + z**2 / n
    half = z * sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return Estimate(share, (middle - half) / scale, (middle + half) / scale)


def written(estimate: Estimate, style: str, factor: float = 1.0, unit: str = "", sign: str = "") -> str:
    """Write an estimate and its interval, with a dash for what is unknown; ``sign`` leads the style of the value."""
    if np.isnan(estimate.value):
        return UNKNOWN
    value, low, high = (factor * number for number in (estimate.value, estimate.low, estimate.high))
    interval = UNKNOWN if np.isnan(low) else f"{low:{style}}, {high:{style}}"
    return f"{value:{sign}{style}}{unit} [{interval}]"


def signed(estimate: Estimate) -> str:
    """Write an estimate and its interval with their signs."""
    return written(estimate, "+z.3f")


def in_percent(share: float) -> str:
    """Write a share in percent."""
    return f"{100 * share:.1f} %"


def percent(estimate: Estimate) -> str:
    """Write an estimate and its interval in percent."""
    return written(estimate, "z.1f", 100.0, " %")


def whole(estimate: Estimate, sign: str = "") -> str:
    """Write an estimate and its interval in whole percents."""
    return written(estimate, "z.0f", 100.0, " %", sign)
