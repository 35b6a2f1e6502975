"""Queries that are likely to separate an artifact from its estimator."""

import numpy as np

from modelpick.runtime.features import CATEGORIES

from ..algorithms.base import Estimator, Matrix

SAMPLES = 200
SEED = 0
# Kinds of queries that are made.
KINDS = 6


def made_queries(estimator: Estimator, samples: int) -> Matrix:
    """Make queries that try an estimator where it is likeliest to fail, float64, shape (samples, d).

    In turn: its own vectors; the same, perturbed; midpoints between vectors of different models; random
    directions as long as its vectors; one-hots alone; and the zero vector. The same each time.
    """
    rng = np.random.default_rng(SEED)
    vectors, owners = estimator.row.probes(estimator)
    width = vectors.shape[1]
    one = rng.integers(len(vectors), size=samples)
    other = rng.integers(len(vectors), size=samples)
    other = np.where(owners[one] == owners[other], (one + 1) % len(vectors), other)
    with np.errstate(over="ignore", invalid="ignore"):
        noise = rng.normal(size=(samples, width)) * np.sqrt((vectors[one] ** 2).mean(axis=1, keepdims=True))
        kinds = (
            vectors[one],
            vectors[one] + noise * 10.0 ** rng.integers(-8, 0, (samples, 1)),
            vectors[one] / 2 + vectors[other] / 2,
            noise,
            np.eye(width)[-1 - np.arange(samples) // KINDS % min(width, len(CATEGORIES))],
            np.zeros((samples, width)),
        )
        queries: Matrix = np.choose((np.arange(samples) % KINDS)[:, None], kinds)
    return np.nan_to_num(queries)
