"""Metrics of selectors and stores for Prometheus; needs prometheus-client, the extra ``prometheus``."""

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram

from ..events import Event, Selection, Swap

# Seconds; one request takes microseconds, a large batch seconds.
BUCKETS = (10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 10e-3, 100e-3, 1.0, 10.0)


class PrometheusObserver:
    """Counts selections by model, calls by duration, and a store's swaps and refusals.

    Parameters
    ----------
    registry
        Where the metrics are registered.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._selections = Counter(
            "modelpick_selections", "Queries answered, by picked model.", ["selector", "model"], registry=registry
        )
        self._seconds = Histogram(
            "modelpick_call_seconds", "Duration of calls that pick.", ["selector"], buckets=BUCKETS, registry=registry
        )
        self._swaps = Counter(
            "modelpick_swaps", "New files of a store, by outcome.", ["selector", "outcome"], registry=registry
        )

    def __call__(self, event: Event) -> None:
        """Take in an event."""
        if isinstance(event, Selection):
            self._seconds.labels(event.selector).observe(event.seconds)
            for model in event.models:
                self._selections.labels(event.selector, model).inc()
        else:
            self._swaps.labels(event.selector, "swapped" if isinstance(event, Swap) else "refused").inc()
