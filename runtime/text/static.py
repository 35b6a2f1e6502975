"""Embeddings of static vectors in numpy: a look-up and a mean, faster than the start of a session's run."""

from collections.abc import Callable
from math import sqrt

import numpy as np
import numpy.typing as npt

from ..artifact.encoder import StaticTable

Embeddings = npt.NDArray[np.float32]
# As in the graph: a mean shorter than this is not scaled.
_LEAST_NORM = 1e-12
# Most texts have fewer tokens.
_USUAL = 512


def static_runner(table: StaticTable, normalised: bool) -> Callable[[list[list[int]]], Embeddings]:
    """Return a function that embeds tokens, a list for each text, as the graph does: float32, (b, e).

    The function raises IndexError for a token that has no row.
    """
    vectors, scales, unknown = table.vectors, table.scales, table.unknown
    if scales is None:  # numpy takes a microsecond a row to make float32 of float16
        vectors = vectors.astype(np.float32, copy=False)

    ones = np.ones(_USUAL, np.float32)

    def embed(ids: list[int]) -> npt.NDArray[np.float32]:
        if unknown in ids:
            ids = [one for one in ids if one != unknown]
        tokens = len(ids)
        if not tokens:
            return np.zeros(vectors.shape[1], np.float32)
        rows = vectors.take(ids, axis=0)
        if scales is not None:
            vector = scales.take(ids) @ rows.astype(np.float32)
        else:
            vector = (ones[:tokens] if tokens <= _USUAL else np.ones(tokens, np.float32)) @ rows
        length = max(sqrt(vector.dot(vector)), tokens * _LEAST_NORM) if normalised else tokens
        vector *= 1.0 / length
        return vector

    def run(tokens: list[list[int]]) -> Embeddings:
        if len(tokens) == 1:
            return embed(tokens[0])[np.newaxis]
        embeddings = np.empty((len(tokens), vectors.shape[1]), np.float32)
        for row, ids in enumerate(tokens):
            embeddings[row] = embed(ids)
        return embeddings

    return run
