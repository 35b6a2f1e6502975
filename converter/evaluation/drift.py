"""How far questions lie from what an artifact was trained on, by the distances recorded at its conversion."""

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from modelpick.runtime import Selector
from modelpick.runtime.serving.drift import FAR

Matrix = npt.NDArray[np.float64]
TENTHS = 10
# Most queries whose distances are measured, evenly spread: a few hundred tell.
MOST = 2_000


class Drift(Struct):
    """Distances of the records' queries, compared with the distances recorded at conversion."""

    queries: int
    far: float
    """Share of the queries that lie farther out than 99 % of the model's own rows."""
    recorded: list[float]
    """Deciles of the recorded distances, from the least to the greatest: 11 values."""
    found: list[float]
    """Deciles of the queries' distances."""
    tenths: list[float]
    """Share of the queries whose distance lies in each tenth of the recorded distances; without drift, 0.1 each."""


def drift(selector: Selector, queries: Matrix) -> Drift | None:
    """Measure queries, float64, shape (n, d); None where the artifact records no distances."""
    recorded = selector.metadata.distances
    if not recorded or not len(queries):
        return None
    some = np.linspace(0, len(queries) - 1, min(len(queries), MOST)).astype(np.int64)
    found = [selector.drift(query) for query in queries[some]]
    ranks = np.array([one.rank for one in found])
    tenths = np.bincount(np.minimum((ranks * TENTHS).astype(np.int64), TENTHS - 1), minlength=TENTHS)
    deciles = np.linspace(0, 1, TENTHS + 1)
    return Drift(
        queries=len(found),
        far=float((ranks >= FAR).mean()),
        recorded=np.quantile(recorded, deciles).tolist(),
        found=np.quantile([one.distance for one in found], deciles).tolist(),
        tenths=(tenths / len(found)).tolist(),
    )
