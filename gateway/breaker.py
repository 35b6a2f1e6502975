"""A circuit breaker for each backend: after repeated failures a backend is asked last, until a probe of it serves."""

import time
from collections.abc import Callable

from prometheus_client import Counter

CIRCUITS = Counter("modelpick_gateway_circuits", "Circuits of backends that opened or closed.", ["model", "state"])
# Most doublings of the time until the next probe.
MOST_DOUBLINGS = 5


class Breaker:
    """Whether a backend is worth asking; used only from the event loop.

    Parameters
    ----------
    name
        Name of the backend.
    failures
        Number of consecutive failures after which the circuit opens.
    seconds
        Seconds until the first probe; each failed probe doubles them.
    clock
        A monotonic clock, in seconds.
    """

    def __init__(self, name: str, failures: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._name, self._most, self._seconds, self._clock = name, failures, seconds, clock
        self._failures, self._until, self._probes = 0, 0.0, 0

    @property
    def is_open(self) -> bool:
        """Whether the circuit is open: only probes are sent until one serves."""
        return self._failures >= self._most

    def take(self) -> bool:
        """Return whether the backend may be asked in its turn; where the circuit is open, this permits one probe."""
        if not self.is_open:
            return True
        if self._clock() < self._until:
            return False
        self._wait(None)  # so that no other request probes meanwhile
        return True

    def served(self) -> None:
        """Close the circuit."""
        if self.is_open:
            CIRCUITS.labels(self._name, "closed").inc()
        self._failures = self._probes = 0

    def failed(self, retry_after: float | None = None) -> None:
        """Count a failure. The backend may have given the seconds after which to ask it again."""
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
