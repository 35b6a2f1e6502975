"""Observers, their adapters against the real client libraries, and drift."""

import logging
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry, generate_latest

from modelpick.runtime import ArtifactError, DriftMonitor, FeatureError, Selector
from modelpick.runtime.events import Refusal, Selection, Swap
from modelpick.runtime.serving.opentelemetry import OpenTelemetryObserver
from modelpick.runtime.serving.prometheus import PrometheusObserver
from support.artifacts import loaded
from support.catalogue import knn


def test_observers_are_told_what_was_picked(sample_artifacts, sample_queries):
    events = []
    with Selector.load(sample_artifacts / "knn.onnx", observer=events.append) as selector:
        one, many = selector.select(sample_queries[0]), selector.select_batch(sample_queries)
        with pytest.raises(FeatureError):
            selector.select([1.0])
    assert [(event.selector, event.models) for event in events] == [("knn", (one,)), ("knn", tuple(many))]
    assert all(0 < event.seconds < 10 for event in events)


def test_an_observer_that_fails_fails_no_request(sample_artifacts, sample_queries, caplog):
    def failing(event):
        raise RuntimeError("disk full")

    with Selector.load(sample_artifacts / "knn.onnx", observer=failing) as selector, caplog.at_level(logging.ERROR):
        assert selector.select(sample_queries[0]) in selector.model_names
    assert "an observer failed" in caplog.text
    assert "disk full" in caplog.text


EVENTS = (
    Selection("knn", ("a",), 30e-6),
    Selection("knn", ("a", "b", "a"), 0.5),
    Swap("knn", "ab"),
    Refusal("knn", "it was altered"),
    Refusal("svm", "it was altered"),
)


def test_prometheus_sees_every_event():
    registry = CollectorRegistry()
    observer = PrometheusObserver(registry)
    for event in EVENTS:
        observer(event)
    text = generate_latest(registry).decode()
    for line in (
        'modelpick_selections_total{model="a",selector="knn"} 3.0',
        'modelpick_selections_total{model="b",selector="knn"} 1.0',
        'modelpick_call_seconds_bucket{le="5e-05",selector="knn"} 1.0',
        'modelpick_call_seconds_count{selector="knn"} 2.0',
        'modelpick_swaps_total{outcome="swapped",selector="knn"} 1.0',
        'modelpick_swaps_total{outcome="refused",selector="svm"} 1.0',
    ):
        assert line in text


def test_observers_of_one_registry_share_its_metrics():
    registry = CollectorRegistry()
    for _ in range(2):
        PrometheusObserver(registry)(EVENTS[0])
    assert 'modelpick_call_seconds_count{selector="knn"} 2.0' in generate_latest(registry).decode()
    assert isinstance(pickle.loads(pickle.dumps(PrometheusObserver())), PrometheusObserver)
    with pytest.raises(TypeError, match="another registry"):
        pickle.dumps(PrometheusObserver(registry))


def test_the_exposition_is_that_of_all_processes(tmp_path):
    code = """
import sys
from modelpick.runtime.events import Selection
from modelpick.runtime.serving.prometheus import PrometheusObserver, exposition
PrometheusObserver()(Selection(sys.argv[1], ("a",), 30e-6))
print(exposition().decode())
"""
    for folder, expected in (({}, ["two"]), ({"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}, ["one", "two"])):
        for name in ("one", "two"):
            output = subprocess.run(
                [sys.executable, "-c", code, name], env=os.environ | folder, check=True, capture_output=True, text=True
            ).stdout
        for selector in expected:
            assert f'modelpick_selections_total{{model="a",selector="{selector}"}} 1.0' in output
        assert output.count("modelpick_selections_total{") == len(expected)


def test_opentelemetry_distinguishes_microseconds_from_milliseconds():
    reader = InMemoryMetricReader()
    observer = OpenTelemetryObserver(MeterProvider([reader]).get_meter("test"))
    for seconds in (20e-6, 2e-3):
        observer(Selection("knn", ("a",), seconds))
    (resource,) = reader.get_metrics_data().resource_metrics
    (point,) = next(
        metric.data.data_points
        for metric in resource.scope_metrics[0].metrics
        if metric.data.data_points[0].attributes and metric.name == "modelpick.call.duration"
    )
    assert sorted(point.bucket_counts)[-2:] == [1, 1]


def test_opentelemetry_sees_every_event():
    reader = InMemoryMetricReader()
    observer = OpenTelemetryObserver(MeterProvider([reader]).get_meter("test"))
    for event in EVENTS:
        observer(event)
    (resource,) = reader.get_metrics_data().resource_metrics
    points = {
        (metric.name, tuple(sorted(point.attributes.values()))): getattr(point, "value", None) or point.count
        for metric in resource.scope_metrics[0].metrics
        for point in metric.data.data_points
    }
    assert points == {
        ("modelpick.selections", ("a", "knn")): 3,
        ("modelpick.selections", ("b", "knn")): 1,
        ("modelpick.call.duration", ("knn",)): 2,
        ("modelpick.swaps", ("knn", "swapped")): 1,
        ("modelpick.swaps", ("knn", "refused")): 1,
        ("modelpick.swaps", ("refused", "svm")): 1,
    }


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
