"""Metrics of selectors and stores for Prometheus; needs prometheus-client, the extra ``prometheus``."""

import os
from threading import Lock
from typing import NamedTuple
from weakref import WeakKeyDictionary

try:
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector
except ModuleNotFoundError as missing:
    hint = f"modelpick.runtime.serving.prometheus needs {missing.name}: pip install 'modelpick[prometheus]'"
    raise ModuleNotFoundError(hint, name=missing.name) from None

from ..events import BUCKETS, Event, Far, Selection, Swap


class _Metrics(NamedTuple):
    selections: Counter
    seconds: Histogram
    swaps: Counter
    far: Counter


# A registry takes each name once.
_REGISTERED: WeakKeyDictionary[CollectorRegistry, _Metrics] = WeakKeyDictionary()
_LOCK = Lock()


def _metrics(registry: CollectorRegistry) -> _Metrics:
    """Return the metrics of a registry; the first call registers them."""
    with _LOCK:
        if registry not in _REGISTERED:
            picked, calls, files = ["selector", "model"], ["selector"], ["selector", "outcome"]
            _REGISTERED[registry] = _Metrics(
                Counter("modelpick_selections", "Queries answered, by picked model.", picked, registry=registry),
                Histogram(
                    "modelpick_call_seconds", "Duration of calls that pick.", calls, buckets=BUCKETS, registry=registry
                ),
                Counter("modelpick_swaps", "New files of a store, by outcome.", files, registry=registry),
                Counter("modelpick_far", "Queries far from the training questions.", calls, registry=registry),
            )
        return _REGISTERED[registry]


class PrometheusObserver:
    """Counts selections by model, calls by duration, far queries, and a store's swaps and refusals.

    Parameters
    ----------
    registry
        Where the metrics are registered; observers of one registry share them.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._metrics, self._is_default = _metrics(registry), registry is REGISTRY

    def __call__(self, event: Event) -> None:
        """Record an event."""
        if isinstance(event, Selection):
            self._metrics.seconds.labels(event.selector).observe(event.seconds)
            for model in event.models:
                self._metrics.selections.labels(event.selector, model).inc()
        elif isinstance(event, Far):
            self._metrics.far.labels(event.selector).inc(event.queries)
        else:
            outcome = "swapped" if isinstance(event, Swap) else "refused"
            self._metrics.swaps.labels(event.selector, outcome).inc()

    def __reduce__(self) -> tuple[type["PrometheusObserver"], tuple[()]]:
        if not self._is_default:
            raise TypeError("cannot pickle an observer of another registry than the default one")
        return PrometheusObserver, ()


def exposition() -> bytes:
    """Return the metrics as Prometheus reads them, added up over all processes that share a folder.

    The environment variable ``PROMETHEUS_MULTIPROC_DIR`` names the folder. The variable must be set, and the folder
    must be empty, before the first process imports prometheus_client.
    """
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
