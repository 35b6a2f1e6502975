"""What mixtures of policies can reach: concave hulls of quality over price, and the areas under them.

A price is a mean cost; without recorded costs it is a mean response time. Sending a share of the queries to one policy
and the rest to another reaches every point on the line between the two.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from .bootstrap import Estimate, Matrix, Vector, estimate

GRID = 64
SAME_PRICE = "the strongest single model is the cheapest: there are no prices between them"
Indices = npt.NDArray[np.int64]


def hull(price: Vector, quality: Vector) -> Indices:
    """Find the non-decreasing concave hull of points: the indices of its corners, ascending in price.

    Points with NaN are left out. Source: A. Andrew, Another Efficient Algorithm for Convex Hulls in Two Dimensions,
    Information Processing Letters 9, 1979; non-decreasing as in Q. Hu et al., RouterBench, 2024.
    """
    corners: list[int] = []
    points = list(zip(price.tolist(), quality.tolist(), strict=True))
    finite = np.flatnonzero(np.isfinite(price) & np.isfinite(quality)).tolist()
    for index in sorted(finite, key=lambda i: (points[i][0], -points[i][1])):
        x, y = points[index]
        if corners and y <= points[corners[-1]][1]:
            continue
        while len(corners) > 1:
            (x1, y1), (x2, y2) = points[corners[-2]], points[corners[-1]]
            if (y2 - y1) * (x - x1) > (y - y1) * (x2 - x1):
                break
            corners.pop()
        corners.append(index)
    return np.array(corners, dtype=np.int64)


def height(price: Vector, quality: Vector, at: Vector) -> Vector:
    """Return the quality of the points' hull at prices, any shape; flat outside the points, NaN without any."""
    corners = hull(price, quality)
    if not len(corners):
        return np.full(np.shape(at), np.nan)
    return np.interp(at, price[corners], quality[corners])


def heights(price: Matrix, quality: Matrix, at: Matrix) -> Matrix:
    """Return `height` for each row: points, shape (r, k), at prices, shape (r, p)."""
    return np.array([height(*row) for row in zip(price, quality, at, strict=True)])


def static_mix(price: Vector, quality: Vector, at: float) -> Vector:
    """Mix at most two points for the highest quality at a mean price: their shares, shape (k,), which sum to 1.

    Outside the hull's prices, the cheapest or the dearest corner has the share 1.
    """
    corners = hull(price, quality)
    shares = np.zeros(len(price))
    for index, share in zip(corners, np.eye(len(corners)), strict=True):
        shares[index] = np.interp(at, price[corners], share)
    return shares


def aiq(price: Vector, quality: Vector, low: float, high: float) -> float:
    """Average the height of the points' hull over prices from low to high: RouterBench's AIQ.

    Flat outside the points. The hull is linear between its corners, so that the trapezoids are exact. NaN where low is
    not below high.

    Source: Q. Hu et al., RouterBench: A Benchmark for Multi-LLM Routing System, 2024, section 3.
    """
    if not low < high:
        return np.nan
    at = np.unique(np.concatenate([[low, high], price[(price > low) & (price < high)]]))
    return float(area(at, height(price, quality, at)) / (high - low))


def area(x: Vector, y: Vector) -> Vector:
    """Sum the trapezoids below curves, (..., k) each: (...)."""
    return np.asarray(((y[..., 1:] + y[..., :-1]) / 2 * np.diff(x)).sum(axis=-1))


class Frontier(Struct):
    """The quality that mixing the points of an artifact with the cheapest model reaches, at prices."""

    name: str
    aiq: Estimate
    """Mean of the quality between the prices of the cheapest and the strongest single model."""
    over_singles: Estimate
    """This mean minus the single models'."""
    price: list[float]
    quality: list[Estimate]


def frontiers_of(
    price: Matrix, quality: Matrix, of_single: npt.NDArray[np.bool_], artifacts: Sequence[str], queries: int
) -> list[Frontier]:
    """Return the frontiers of the single models, and of each artifact's points with the cheapest model.

    price, quality: (1 + BOOTSTRAPS, n_policies), the first row over all queries. None where no price
    is known.
    """
    prices = np.where(of_single, price[0], np.nan)
    if np.isnan(prices).all():
        return []
    cheapest = int(np.nanargmin(prices))
    low, high = prices[cheapest], price[0, int(np.nanargmax(np.where(of_single, quality[0], np.nan)))]
    families = {"single models": np.flatnonzero(of_single)}
    for name in dict.fromkeys(filter(None, artifacts)):
        families[name] = np.array([cheapest, *(place for place, of in enumerate(artifacts) if of == name)])
    frontiers: list[Frontier] = []
    areas: dict[str, Vector] = {}
    for name, places in families.items():
        points = price[:, places], quality[:, places]
        areas[name] = np.array([aiq(*row, low, high) for row in zip(*points, strict=True)])
        own = points[0][0]
        spaced = np.geomspace if low > 0 else np.linspace  # as a plot's axis is
        grid = np.union1d(spaced(low, max(high, np.nanmax(own)), GRID), own[own >= low])
        lines = heights(*points, np.tile(grid, (len(price), 1)))
        over = areas[name] - areas["single models"]
        band = [estimate(line, queries) for line in lines.T]
        area, gain = (estimate(samples, queries, SAME_PRICE) for samples in (areas[name], over))
        frontiers.append(Frontier(name, area, gain, grid.tolist(), band))
    return frontiers
