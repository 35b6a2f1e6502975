"""A query of zeros, where neighbours are ranked by direction: all unit rows are equally far, and the lowest count."""

import numpy as np
import pytest

from modelpick.converter import convert
from modelpick.runtime import Selector
from support.artifacts import built, encoded
from support.catalogue import knn

N, K, D = 400, 7, 24
RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(N, D)) * RNG.uniform(0.1, 9.0, (N, 1))
QUALITIES = RNG.uniform(0.1, 1.0, N)


def encoded_model(rows):
    return encoded(knn(rows, [f"m{row}" for row in range(5)], K, format_version=2, qualities=QUALITIES))


@pytest.mark.parametrize("zero_rows", [[], [5, 300]], ids=["no zeros", "zeros"])
@pytest.mark.parametrize("semantics", ["native/2", "trainer/1", "queries/3"])
def test_the_lowest_rows_are_nearest_to_a_query_of_zeros(semantics, zero_rows, tmp_path):
    if semantics == "trainer/1" and zero_rows:
        pytest.skip("rows without a direction are refused")
    rows = ROWS.copy()
    rows[zero_rows] = 0.0
    model = encoded_model(rows)
    # Zeros are nearest; by queries, identical rows are one neighbour.
    zeros = zero_rows[:1] if semantics == "queries/3" else zero_rows
    expected = [*zeros, *(row for row in range(N) if row not in zero_rows)][:K]
    assert convert(model, tmp_path / "a.onnx", semantics=semantics).passed
    estimator = built(model, semantics)
    zero = np.zeros((1, D))
    with Selector.load(tmp_path / "a.onnx") as selector:
        found = [neighbour["row"] for neighbour in selector.explain(zero[0])["neighbours"]]
        assert found == expected
        picked = selector.select_batch([zero[0], ROWS[1], zero[0]])
        assert picked[0] == picked[2] == selector.select(zero[0]) == estimator.predict(zero)[0]


def test_so_are_they_where_the_search_is_in_integers(tmp_path):
    model = encoded_model(ROWS)
    convert(model, tmp_path / "a.onnx", samples=12, exact_search="quantised")
    with Selector.load(tmp_path / "a.onnx") as selector:
        assert [neighbour["row"] for neighbour in selector.explain(np.zeros(D))["neighbours"]] == list(range(K))
