"""Frontiers: the hull of points is what mixing two of them reaches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelpick.converter.statistics.frontier import aiq, height, hull, static_mix

POINTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=8)


def mixed_best(price, quality, at):
    """Try all mixes of two points whose mean price is at most what may be paid; none: the cheapest."""
    if at < price.min():
        return quality[price == price.min()].max()
    best = quality[price <= at].max()
    for x1, y1 in zip(price, quality, strict=True):
        for x2, y2 in zip(price, quality, strict=True):
            if x1 <= at < x2:
                best = max(best, y1 + (y2 - y1) * (at - x1) / (x2 - x1))
    return best


@given(POINTS, st.floats(-1, 11))
def test_hull_is_what_mixing_two_points_reaches(points, at):
    price, quality = np.array(points, dtype=np.float64).T
    assert height(price, quality, np.float64(at)) == pytest.approx(mixed_best(price, quality, at))
    shares = static_mix(price, quality, at)
    assert shares.sum() == pytest.approx(1)
    assert (shares > 0).sum() <= 2
    assert shares @ quality == pytest.approx(mixed_best(price, quality, at))
    corners = hull(price, quality)
    assert (np.diff(price[corners]) > 0).all()
    assert (np.diff(quality[corners]) > 0).all()


@given(POINTS)
def test_aiq_is_the_mean_height(points):
    price, quality = np.array(points, dtype=np.float64).T
    middles = (np.arange(20_000) + 0.5) / 20_000 * 8 + 0.5
    assert aiq(price, quality, 0.5, 8.5) == pytest.approx(height(price, quality, middles).mean(), abs=1e-4)


def test_what_is_unknown_is_left_out():
    price, quality = np.array([1.0, np.nan, 3.0]), np.array([0.0, 5.0, 1.0])
    assert height(price, quality, np.array([0.0, 2.0, 9.0])).tolist() == [0, 0.5, 1]
    assert np.isnan(height(price[1:2], quality[1:2], np.array([1.0]))).all()
    assert np.isnan(aiq(price, quality, 2.0, 2.0))
