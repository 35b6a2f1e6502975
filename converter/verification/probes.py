"""Queries on which an artifact and its estimator are likely to differ, if they do."""

import numpy as np

from modelpick.runtime.features import CATEGORIES

from ..algorithms.base import Estimator, Matrix

SAMPLES = 200
SEED = 0
# Number of kinds of made queries.
KINDS = 6


def made_queries(estimator: Estimator, samples: int) -> Matrix:
    """Make queries where an artifact is most likely to differ from its estimator, float64, shape (samples, d).

    In turn: the estimator's own vectors; perturbed vectors; midpoints between vectors of different models; random
    directions as long as the vectors; one-hots alone; and the zero vector. Deterministic.
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
