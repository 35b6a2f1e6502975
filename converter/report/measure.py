"""Measurements of an artifact on this machine: the time of picks."""

import os
import platform
from pathlib import Path
from time import perf_counter

import numpy as np
import numpy.typing as npt
import onnxruntime

from modelpick.runtime import Selector

from .facts import Latency, Machine

Matrix = npt.NDArray[np.float64]
WARM, CALLS = 20, 300
# Approximate seconds that measuring one artifact takes, whatever a pick takes.
SECONDS = 0.5


def machine() -> Machine:
    """Name this machine."""
    versions = {"Python": platform.python_version(), "numpy": np.__version__, "onnxruntime": onnxruntime.__version__}
    return Machine(_processor(), os.cpu_count() or 1, f"{platform.system()} {platform.machine()}", versions)


def _processor() -> str:
    """Return the processor's name, by Linux or else by Python."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def latency(selector: Selector, queries: Matrix) -> Latency:
    """Time single calls and one batch on queries, float64, shape (n, d), n at least 1."""
    start = perf_counter()
    times: list[float] = []
    while len(times) < WARM + CALLS and (len(times) <= WARM or perf_counter() - start < SECONDS):
        query = queries[len(times) % len(queries)]
        before = perf_counter()
        selector.select(query)
        times.append(perf_counter() - before)
    batch = queries[:CALLS]
    before = perf_counter()
    selector.select_batch(batch)
    per_query = (perf_counter() - before) / len(batch)
    median, p90, p99 = np.quantile(times[WARM:], [0.5, 0.9, 0.99]).tolist()
    return Latency(len(times) - WARM, median, p90, p99, len(batch), per_query)
