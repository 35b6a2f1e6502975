"""Operating points, as files and artifacts record them."""

import pytest

from modelpick.runtime import FeatureError
from modelpick.runtime.decision.operating_points import (
    cheapest,
    read_point,
    read_single,
    written_point,
    written_single,
)

POINT = {
    "cost_weight": 0.5,
    "seconds_weight": 0.0,
    "quality": [0.5, 0.25, 0.75],
    "cost": [2.0, 1.0, 3.0],
    "seconds": None,
    "kept": [0.97, 0.8, 1.0],
    "promised": 0.9,
    "saved": [0.5, 0.4, 0.6],
    "shares": {"a": 1.0},
}
SINGLE = {"model": "a", "quality": 0.5, "cost": None, "seconds": 2.0}


def test_what_is_read_is_written():
    point, single = read_point(POINT), read_single(SINGLE)
    assert list(written_point(point).items()) == list(POINT.items())
    assert list(written_single(single).items()) == list(SINGLE.items())
    assert (point.quality.mean, point.cost.low, point.seconds) == (0.5, 1.0, None)
    assert (single.quality, single.cost, single.seconds) == (0.5, None, 2.0)


@pytest.mark.parametrize("field", ["quality", "kept", "shares"])
def test_points_have_a_quality_and_a_share_of_it(field):
    with pytest.raises((KeyError, TypeError, AttributeError)):
        read_point(POINT | {field: None})


@pytest.mark.parametrize("value", [["1", 1, 1], [1, 1], [1, 1, float("nan")], [1, 1, 10**400]])
def test_refuses_what_is_no_interval(value):
    with pytest.raises((TypeError, ValueError)):
        read_point(POINT | {"cost": value})


def test_the_cheapest_that_keeps_enough():
    dear = read_point(POINT | {"cost": [9.0, 9.0, 9.0], "kept": [1.0, 1.0, 1.0], "promised": 1.0})
    points = [dear, read_point(POINT)]
    assert [cheapest(points, keep) for keep in (0.9, 0.95)] == [points[1], dear]
    with pytest.raises(FeatureError, match=r"up to 1\.000, got 1\.1"):
        cheapest(points, 1.1)
    with pytest.raises(FeatureError, match="expected operating points with costs"):
        cheapest([read_point(POINT | {"cost": None})], 0.9)


def test_points_without_a_bound_promise_their_mean():
    """As earlier releases recorded them."""
    older = {name: value for name, value in POINT.items() if name != "promised"}
    assert read_point(older).promised == 0.97
    assert cheapest([read_point(older)], 0.97) == read_point(older)
    with pytest.raises(FeatureError, match=r"up to 0\.900, got 0\.97"):
        cheapest([read_point(POINT)], 0.97)
    for malformed in (None, "1", float("nan")):
        with pytest.raises((TypeError, ValueError)):
            read_point(POINT | {"promised": malformed})
