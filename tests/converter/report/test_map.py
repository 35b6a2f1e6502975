"""Principal components, held against numpy's covariance."""

import numpy as np
import pytest

from modelpick.converter.report.map import Axes, sample


def test_the_axes_are_the_eigenvectors_of_the_covariance():
    vectors = np.random.default_rng(0).normal(size=(300, 5)) * [1, 9, 2, 0.5, 4] + 3
    axes = Axes(vectors)
    values, directions = np.linalg.eigh(np.cov(vectors.T))
    assert axes.explained == pytest.approx((values[::-1] / values.sum())[:2])
    expected = (vectors - vectors.mean(axis=0)) @ directions[:, :-3:-1]
    placed = axes.place(vectors)
    for axis in range(2):
        sign = np.sign(placed[:, axis] @ expected[:, axis])
        assert placed[:, axis] * np.abs(vectors).max() == pytest.approx(sign * expected[:, axis])


@pytest.mark.parametrize("vectors", [[[1.0, 2.0]], [[3.0]] * 4, [[0.0, 0.0]] * 3, [[1e300, 0.0], [-1e300, 1e-300]]])
def test_places_whatever_there_is(vectors):
    axes = Axes(np.array(vectors))
    placed = axes.place(np.array(vectors))
    assert placed.shape == (len(vectors), 2)
    assert np.isfinite(placed).all()
    assert len(axes.explained) == 2
    assert 0 <= sum(axes.explained) <= 1 + 1e-12


def test_samples_are_drawn_once():
    assert sample(5, 9).tolist() == [0, 1, 2, 3, 4]
    drawn = sample(10_000, 100)
    assert drawn.tolist() == sorted(set(sample(10_000, 100).tolist()))
    assert len(drawn) == 100
    assert drawn[-1] > 5_000
