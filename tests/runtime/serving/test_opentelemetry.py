"""The adapter to OpenTelemetry, against the real library."""

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from modelpick.runtime.events import Selection
from modelpick.runtime.serving.opentelemetry import OpenTelemetryObserver
from support.events import EVENTS


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
        ("modelpick.far", ("knn",)): 2,
        ("modelpick.swaps", ("knn", "swapped")): 1,
        ("modelpick.swaps", ("knn", "refused")): 1,
        ("modelpick.swaps", ("refused", "svm")): 1,
    }
