"""The bootstrap: paired, in blocks, in little memory."""

import tracemalloc

import numpy as np
import pytest

from modelpick.converter.statistics import bootstrap


@pytest.mark.parametrize("block", [1, 56, 1_000, 10**9])
def test_draws_the_same_in_any_blocks(block, monkeypatch):
    monkeypatch.setattr(bootstrap, "BLOCK_VALUES", block)
    columns = np.random.default_rng(1).normal(size=(56, 3))
    draws = np.random.default_rng(7).integers(56, size=(bootstrap.BOOTSTRAPS, 56))
    (found,) = bootstrap.resampled([dict(zip("abc", columns.T, strict=True))], 7)
    assert np.column_stack(list(found.values()))[1:] == pytest.approx(columns[draws].sum(axis=1))


def test_holds_few_draws_at_once():
    table = {"one": np.ones(36_000)}
    tracemalloc.start()
    try:
        bootstrap.resampled([table], 0)
        assert tracemalloc.get_traced_memory()[1] < 64e6
    finally:
        tracemalloc.stop()


def test_tables_are_paired():
    x = np.random.default_rng(2).normal(size=200)
    (a, b) = bootstrap.resampled([{"x": x, "n": np.ones(200)}, {"y": x + 1}], 3)
    assert a["x"][0] == pytest.approx(x.sum())
    assert b["y"] - a["x"] == pytest.approx(np.full(1 + bootstrap.BOOTSTRAPS, 200))
    assert set(a["n"]) == {200}


def test_estimates_have_percentile_intervals():
    samples = np.arange(2_000.0)
    found = bootstrap.estimate(np.append([7.0, np.nan], samples), 2)
    assert [found.value, found.low, found.high] == pytest.approx([7, *np.percentile(samples, [2.5, 97.5])])
    nothing = bootstrap.estimate(bootstrap.ratio(np.ones(9), np.zeros(9)), 2)
    assert np.isnan([nothing.value, nothing.low, nothing.high]).all()


def test_a_proportion_has_wilsons_interval():
    # Of the equation (p - s)^2 = z^2 p (1 - p) / n.
    for count, n in ((0, 50), (7, 40), (40, 40)):
        found, z = bootstrap.proportion(count, n), 1.959963984540054
        for end in (found.low, found.high):
            assert (end - count / n) ** 2 == pytest.approx(z**2 * end * (1 - end) / n, abs=1e-12)
        assert found.value == count / n
        assert found.high - found.low > 0.05
