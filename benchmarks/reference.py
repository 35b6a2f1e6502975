"""Selections in float64 and plain numpy, independent of the product, for as many queries as are measured."""

import numpy as np
import numpy.typing as npt
from data import MODELS, Data

AT_ONCE = 250
# Expanded squares of vectors of this size are off by far less.
NEAR = 1e-9


def selections(data: Data, k: int) -> npt.NDArray[np.int64]:
    """Pick the model of each query: the k nearest rows by (distance, row), and their vote."""
    rows = data.rows.astype(np.float64)
    norms = (rows**2).sum(axis=1)
    spread = data.latencies.max() - data.latencies.min()
    speeds = 1 - (data.latencies - data.latencies.min()) / max(spread, 1)
    weights = 0.9 * np.maximum(data.qualities, 0.01) + 0.1 * speeds
    picked = []
    for start in range(0, len(data.queries), AT_ONCE):
        queries = data.queries[start : start + AT_ONCE].astype(np.float64)
        scores = norms - 2 * queries @ rows.T
        reach = np.partition(scores, k - 1, axis=1)[:, k - 1] + NEAR
        for query, row_scores, limit in zip(queries, scores, reach, strict=True):
            near = np.flatnonzero(row_scores <= limit)
            distances = np.sqrt(((rows[near] - query) ** 2).sum(axis=1))
            nearest = near[np.argsort(distances, kind="stable")[:k]]
            votes = np.bincount(data.models[nearest], weights[nearest], MODELS)
            tied = votes[data.models[nearest]] >= votes.max() * (1 - 1e-12)
            picked.append(data.models[nearest[tied.argmax()]])
    return np.array(picked)
