"""Embeddings of static vectors without a session: a look-up and a mean, which a session takes longer to begin."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ..artifact.encoder import StaticTable

Embeddings = npt.NDArray[np.float32]
# As in the graph: what is shorter is not scaled.
_LEAST_NORM = 1e-12


def static_runner(table: StaticTable, normalised: bool) -> Callable[[list[list[int]]], Embeddings]:
    """Return what embeds tokens, a list for each text, as the graph does: float32, (b, e).

    It raises IndexError for a token that has no row.
    """
    vectors, scales, unknown = table.vectors, table.scales, table.unknown
    if scales is None:  # numpy takes a microsecond a row to make float32 of float16
        vectors = vectors.astype(np.float32, copy=False)

    def embed(ids: list[int]) -> npt.NDArray[np.float32]:
        if unknown in ids:
            ids = [one for one in ids if one != unknown]
        if not ids:
            return np.zeros(vectors.shape[1], np.float32)
        rows = vectors.take(ids, axis=0)
        weights = np.ones(len(ids), np.float32) if scales is None else scales.take(ids)
        vector = weights @ (rows if scales is None else rows.astype(np.float32))
        mean: npt.NDArray[np.float32] = vector / np.float32(len(ids))
        return mean / np.float32(max(float(mean.dot(mean)) ** 0.5, _LEAST_NORM)) if normalised else mean

    def run(tokens: list[list[int]]) -> Embeddings:
        embeddings = np.empty((len(tokens), vectors.shape[1]), np.float32)
        for row, ids in enumerate(tokens):
            embeddings[row] = embed(ids)
        return embeddings

    return run
