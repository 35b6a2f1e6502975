"""Rows, moved and scaled: the bound on the error of their scores in float32 holds, and is not far above the error."""

import numpy as np
import pytest

from modelpick.converter.graphs.rows import Rows, roundings

RNG = np.random.default_rng(0)
WIDTH = 48
NEAR_ZERO = RNG.normal(size=(200, WIDTH))
ROWS = {"near zero": NEAR_ZERO, "far": NEAR_ZERO + 50.0, "large": 1e20 * NEAR_ZERO}


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("length", [0.0, 0.01, 1.0, 100.0])
def test_scores_in_float32_are_within_the_bound(name, length):
    rows = Rows(ROWS[name])
    moved = RNG.normal(size=(50, WIDTH)) * length * rows.longest / rows.factor / WIDTH**0.5
    slope, constant = rows.error()
    bounds = slope * (moved**2).sum(axis=1) + constant
    single, queries = rows.scaled.astype(np.float32), (moved * rows.factor).astype(np.float32)
    scores = (rows.norms.astype(np.float32) - np.float32(2.0) * (queries @ single.T)).astype(np.longdouble)
    wide = rows.scaled.astype(np.longdouble)
    exact = (wide**2).sum(axis=1) - 2.0 * (moved.astype(np.longdouble) * rows.factor) @ wide.T
    errors = abs(scores - exact).max(axis=1)
    assert (errors <= bounds).all()
    assert errors.max() > bounds.max() / 1e4


def test_rows_far_from_zero_are_moved_and_large_ones_scaled():
    assert {name: (Rows(rows).center is not None, Rows(rows).factor < 1.0) for name, rows in ROWS.items()} == {
        "near zero": (False, False),
        "far": (True, False),
        "large": (False, True),
    }


def test_sums_of_products_in_float32_are_within_the_bound():
    for products in (1, 10, 1_000):
        left, right = RNG.normal(size=(2, 30, products))
        relative, absolute = roundings(products)
        found = (left.astype(np.float32) * right.astype(np.float32)).sum(axis=1)
        exact = (left.astype(np.longdouble) * right).sum(axis=1)
        lengths = np.linalg.norm(left, axis=1), np.linalg.norm(right, axis=1)
        assert (abs(found - exact) <= relative * lengths[0] * lengths[1] + absolute * (1.0 + lengths[1])).all()
