"""Speeds of answers, computed from their latencies."""

import numpy as np
import numpy.typing as npt

# Latency at which the decaying speed is a half, in nanoseconds.
HALF_SPEED = 1e10


def relative_speeds(latencies: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Map latencies to speeds, ``1 - (latency - min) / max(max - min, 1)``, float64.

    The differences are taken modulo 2**64 so that they are exact for every pair of int64.
    """
    unsigned = latencies.view(np.uint64)
    above = (unsigned - unsigned[latencies.argmin()]).astype(np.float64)
    speeds: npt.NDArray[np.float64] = 1.0 - above / max(above.max(), 1.0)
    return speeds


def decaying_speeds(latencies: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Map latencies in nanoseconds to speeds, ``1 / (1 + milliseconds / 10000)``, float64; below 0 they count as 0."""
    return 1.0 / (1.0 + np.maximum(latencies, 0) / HALF_SPEED)
