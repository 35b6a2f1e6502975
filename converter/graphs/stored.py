"""Storing float64 values in as few bytes as hold them exactly."""

import numpy as np
import numpy.typing as npt

from .builder import Graph


def stored_exactly(graph: Graph, name: str, values: npt.NDArray[np.float64]) -> str:
    """Add an initializer of float32 where that holds every value exactly, else of float64."""
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    return graph.constant(name, narrow if np.array_equal(narrow.astype(np.float64), values) else values)
