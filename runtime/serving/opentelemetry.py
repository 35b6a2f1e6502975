"""Metrics of selectors and stores for OpenTelemetry; needs opentelemetry-api, the extra ``opentelemetry``."""

from collections import Counter

try:
    from opentelemetry.metrics import Meter, get_meter
except ModuleNotFoundError as missing:
    hint = f"modelpick.runtime.serving.opentelemetry needs {missing.name}: pip install 'modelpick[opentelemetry]'"
    raise ModuleNotFoundError(hint, name=missing.name) from None

from ..events import BUCKETS, Event, Far, Selection, Swap


class OpenTelemetryObserver:
    """Counts selections by model, calls by duration, far queries, and a store's swaps and refusals.

    Parameters
    ----------
    meter
        Makes the instruments; by default the meter of the global provider.
    """

    def __init__(self, meter: Meter | None = None) -> None:
        meter = meter or get_meter("modelpick")
        self._selections = meter.create_counter("modelpick.selections", "1", "Queries answered, by picked model.")
        self._seconds = meter.create_histogram(
            "modelpick.call.duration", "s", "Duration of calls that pick.", explicit_bucket_boundaries_advisory=BUCKETS
        )
        self._far = meter.create_counter("modelpick.far", "1", "Queries far from the training questions.")
        self._swaps = meter.create_counter("modelpick.swaps", "1", "New files of a store, by outcome.")

    def __call__(self, event: Event) -> None:
        """Record an event."""
        if isinstance(event, Selection):
            self._seconds.record(event.seconds, {"selector": event.selector})
            for model, count in Counter(event.models).items():
                self._selections.add(count, {"selector": event.selector, "model": model})
        elif isinstance(event, Far):
            self._far.add(event.queries, {"selector": event.selector})
        else:
            outcome = "swapped" if isinstance(event, Swap) else "refused"
            self._swaps.add(1, {"selector": event.selector, "outcome": outcome})
