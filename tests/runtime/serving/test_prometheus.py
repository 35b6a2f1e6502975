"""The adapter to Prometheus, against the real library."""

import os
import pickle
import subprocess
import sys

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from modelpick.runtime.serving.prometheus import PrometheusObserver
from support.events import EVENTS


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
        'modelpick_far_total{selector="knn"} 2.0',
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
