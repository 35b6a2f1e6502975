"""Distinct rows that no file can hold are refused before any work."""

import numpy as np
import pytest

from modelpick.converter import to_artifact
from modelpick.converter.algorithms.knn.estimators import KNNModelSelector
from modelpick.converter.graphs import neighbours
from modelpick.runtime import DocumentError


@pytest.mark.parametrize(
    ("semantics", "single", "each"), [("native/1", True, 5), ("native/1", False, 9), ("native/2", True, 9)]
)
def test_refuses_more_rows_than_a_file_holds(semantics, single, each, monkeypatch):
    rows = np.random.default_rng(0).normal(size=(40, 8))
    rows = rows.astype(np.float32).astype(np.float64) if single else rows
    estimator = KNNModelSelector(3, semantics).fit(rows, ["a", "b"] * 20)
    monkeypatch.setattr(neighbours, "LARGEST_FILE", 40 * 8 * each)
    to_artifact(estimator)
    monkeypatch.setattr(neighbours, "LARGEST_FILE", 40 * 8 * each - 1)
    with pytest.raises(DocumentError, match=r"expected at most 39 distinct rows of 8 numbers.* got 40"):
        to_artifact(estimator)
