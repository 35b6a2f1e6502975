"""Drift: how far queries are from what a selector was trained on."""

import numpy as np
import pytest

from modelpick.runtime import ArtifactError, DriftMonitor, Selector
from modelpick.runtime.selector import Drift
from support.artifacts import loaded
from support.catalogue import knn

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(300, 24))


@pytest.mark.parametrize("search", ["plain", "quantised"])
@pytest.mark.parametrize("semantics", ["native", "queries", "trainer"])
@pytest.mark.parametrize("rows", [ROWS, ROWS + 100, ROWS * 1e14], ids=["near", "far from zero", "large"])
def test_drift_is_the_distance_to_the_nearest_row(rows, semantics, search):
    with loaded(knn(rows, ["a", "b"]), semantics, search) as selector:
        for query in rows[:10] + RNG.normal(size=(10, 24)) * np.abs(rows).std():
            distance, rank = selector.drift(query)
            expected = selector.explain(query)["neighbours"][0]["distance"]
            assert distance == pytest.approx(expected, rel=2e-3, abs=1e-6)
            assert 0 <= rank <= 1


def test_drift_is_ranked_among_the_rows_own_distances():
    with loaded(knn(ROWS, ["a", "b"]), "native") as selector:
        apart = np.linalg.norm(ROWS[:, None] - ROWS, axis=2)
        apart[np.eye(len(ROWS), dtype=bool)] = np.inf
        assert selector.metadata.distances[0] >= apart.min() * 0.999
        ranks = [selector.drift(row).rank for row in RNG.normal(size=(500, 24))]
        assert 0.35 < np.mean(ranks) < 0.65
        assert selector.drift(ROWS[0]).rank == 0
        assert selector.drift(ROWS[0] + 100).rank == 1

        monitor = DriftMonitor(window=200)
        assert monitor.share == 0
        for row in RNG.normal(size=(300, 24)):
            share = monitor.observe(selector.drift(row))
        assert monitor.share == share < 0.1
        for _ in range(100):
            share = monitor.observe(selector.drift(np.full(24, 50.0)))
        assert 0.5 <= share < 0.6


def test_kmeans_drift_is_the_distance_to_the_nearest_centroid(sample_artifacts, sample_queries):
    with Selector.load(sample_artifacts / "kmeans.onnx") as selector:
        for query in sample_queries:
            assert selector.drift(query).distance == selector.explain(query)["distance"]


def test_only_rows_and_centroids_tell_drift(sample_artifacts, sample_queries):
    with (
        Selector.load(sample_artifacts / "mlp.onnx") as selector,
        pytest.raises(ArtifactError, match="records distances"),
    ):
        selector.drift(sample_queries[0])


def test_a_monitor_shares_what_is_as_far_as_99_of_100_rows_among_the_last():
    monitor = DriftMonitor(window=4)
    assert monitor.share == 0.0
    ranks = [0.99, 0.98, 1.0, 0.5, 0.2, 0.3, 0.1]
    assert [monitor.observe(Drift(1.0, rank)) for rank in ranks] == [1.0, 0.5, 2 / 3, 0.5, 0.25, 0.25, 0.0]
    assert monitor.share == 0.0
