"""Squared distances in float64. Each is summed by itself, so that it is the same number in any batch."""

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
SMALLEST = 5e-324
# Squared norms between these bounds lost nothing that counts to under- or overflow.
SAFE = 1e-250, 1e250
# Number of rows whose squares are in memory at once.
AT_ONCE = 4096


class StoredRows:
    """Rows of an artifact, (n, d), to take some from.

    They are kept as bytes: numbers within a file's bytes need not be aligned, and unaligned numbers are taken slowly.
    """

    def __init__(self, values: npt.NDArray[np.floating]) -> None:
        self._bytes, self.dtype = values.view(np.uint8), values.dtype

    def take(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.floating]:
        """Return the rows at given places, (m,): (m, d)."""
        taken: npt.NDArray[np.floating] = self._bytes.take(places, axis=0).view(self.dtype)
        return taken


def squared_distances(vectors: npt.NDArray[np.floating], query: Matrix, unit: bool) -> Matrix:
    """Return squared distances of a query, float64, (1, d), to vectors, (m, d): (m,); ``unit``: of their directions."""
    if unit:
        if query[0, 0] == 0.0 and not query.any():  # a query of zeros has no direction: unit vectors are equally far
            return np.asarray(vectors.any(axis=1), dtype=np.float64)
        vectors, query = directions(vectors.astype(np.float64, copy=False)), directions(query)
    with np.errstate(over="ignore"):  # distances that overflow float64 are infinite
        moved = vectors - query
        squared: Matrix = np.multiply(moved, moved, out=moved).sum(axis=1)
    return squared


def directions(vectors: Matrix, min_norm: float = 0.0) -> Matrix:
    """Scale rows, float64, (n, d), to unit length, except rows whose norm is at most ``min_norm``."""
    squared = _squared_norms(vectors)
    smallest, greatest = SAFE
    if not min_norm and smallest < squared.min(initial=greatest) and squared.max(initial=smallest) < greatest:
        scaled: Matrix = vectors / np.sqrt(squared)
        return scaled
    # The squares of these rows overflow, or vanish.
    return _scaled_twice(vectors, min_norm)


def _squared_norms(vectors: Matrix) -> Matrix:
    if len(vectors) > AT_ONCE:
        return np.concatenate([_squared_norms(vectors[i : i + AT_ONCE]) for i in range(0, len(vectors), AT_ONCE)])
    with np.errstate(over="ignore"):
        squared: Matrix = (vectors * vectors).sum(axis=1, keepdims=True)
    return squared


def _scaled_twice(vectors: Matrix, min_norm: float) -> Matrix:
    """Divide rows by their largest absolute value first."""
    if len(vectors) > AT_ONCE:
        scaled = np.empty_like(vectors)
        for start in range(0, len(vectors), AT_ONCE):
            scaled[start : start + AT_ONCE] = _scaled_twice(vectors[start : start + AT_ONCE], min_norm)
        return scaled
    largest = np.maximum(np.abs(vectors).max(axis=1, keepdims=True), min_norm or SMALLEST)
    shrunk = vectors / largest
    norms = np.sqrt((shrunk * shrunk).sum(axis=1, keepdims=True))
    is_long = norms > min_norm / largest
    return np.where(is_long, shrunk / np.where(is_long, norms, 1.0), vectors)
