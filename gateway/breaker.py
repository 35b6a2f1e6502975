"""A circuit breaker for each backend: one that fails again and again is asked last, until a probe of it serves."""

import time
from collections.abc import Callable

from prometheus_client import Counter

CIRCUITS = Counter("modelpick_gateway_circuits", "Circuits of backends that opened or closed.", ["model", "state"])
# Doublings of the time until the next probe.
MOST_DOUBLINGS = 5


class Breaker:
    """Whether a backend is worth asking; used from the event loop alone.

    Parameters
    ----------
    name
        Of the backend.
    failures
        In a row, after which it opens.
    seconds
        Until the first probe; each that fails doubles them.
    clock
        Seconds that only grow.
    """

    def __init__(self, name: str, failures: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._name, self._most, self._seconds, self._clock = name, failures, seconds, clock
        self._failures, self._until, self._probes = 0, 0.0, 0

    @property
    def is_open(self) -> bool:
        """Whether it waits for a probe that serves."""
        return self._failures >= self._most

    def take(self) -> bool:
        """Return whether the backend may be asked in its turn; where it is open, that is one probe's permission."""
        if not self.is_open:
            return True
        if self._clock() < self._until:
            return False
        self._wait(None)  # so that no other request probes meanwhile
        return True

    def served(self) -> None:
        """Close it."""
        if self.is_open:
            CIRCUITS.labels(self._name, "closed").inc()
        self._failures = self._probes = 0

    def failed(self, retry_after: float | None = None) -> None:
        """Count a failure; the backend may have said after which seconds it wants to be asked again."""
        was_open = self.is_open
        self._failures += 1
        if not self.is_open:
            return
        if was_open:
            self._probes = min(self._probes + 1, MOST_DOUBLINGS)
        else:
            CIRCUITS.labels(self._name, "open").inc()
        self._wait(retry_after)

    def _wait(self, retry_after: float | None) -> None:
        longest = self._seconds * 2**MOST_DOUBLINGS
        self._until = self._clock() + min(max(self._seconds * 2**self._probes, retry_after or 0.0), longest)
