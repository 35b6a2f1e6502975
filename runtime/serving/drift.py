"""A running signal of how far requests are from what a model knows."""

from collections import deque
from threading import Lock

from ..selector import Drift

# Of the distances recorded at conversion, one of a hundred is farther.
FAR = 0.99


class DriftMonitor:
    """Measures the share of recent requests that lie farther out than 99 of 100 of the model's own rows.

    The share is about 0.01 while requests resemble the rows, and 1.0 where none does. Threads may share a monitor.

    Parameters
    ----------
    window
        Number of recent requests that count.
    """

    def __init__(self, window: int = 1_000) -> None:
        self._far: deque[bool] = deque(maxlen=window)
        self._count = 0
        self._lock = Lock()

    def observe(self, drift: Drift) -> float:
        """Record the `Selector.drift` of a request, and return the share."""
        is_far = drift.rank >= FAR
        with self._lock:
            if len(self._far) == self._far.maxlen:
                self._count -= self._far[0]
            self._far.append(is_far)
            self._count += is_far
            return self._count / len(self._far)

    @property
    def share(self) -> float:
        """Share of the remembered requests that are far; 0 before the first."""
        with self._lock:
            return self._count / max(len(self._far), 1)
