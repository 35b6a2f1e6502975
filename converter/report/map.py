"""Maps: vectors of a high dimension on the two axes along which they differ the most."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
AXES = 2
# Axes are found from so many vectors at most; all are placed on them.
FITTED = 1_000
SEED = 0


class Axes(NamedTuple):
    """The principal components of some vectors."""

    scale: float
    """What vectors are divided by first, so that squares neither overflow nor vanish."""
    mean: Matrix
    """Float64, shape (d,)."""
    directions: Matrix
    """Of unit length, float64, shape (2, d); zero where there are fewer."""
    explained: list[float]
    """Share of the variance along each."""

    def place(self, vectors: Matrix) -> Matrix:
        """Place vectors, shape (n, d), on the axes: float64, shape (n, 2)."""
        placed: Matrix = (vectors / self.scale - self.mean) @ self.directions.T
        return placed


def principal_axes(vectors: Matrix) -> Axes:
    """Find the first two principal components of vectors, float64, shape (n, d), n at least 1.

    The largest entry of each is positive, so that they are the same each time.
    Source: I. Jolliffe, Principal Component Analysis, 2002, 3.5.
    """
    some = vectors[sample(len(vectors), FITTED)]
    scale = float(np.abs(some).max(initial=0.0)) or 1.0
    some = some / scale
    mean = some.mean(axis=0)
    _, strengths, directions = np.linalg.svd(some - mean, full_matrices=False)
    directions = directions * np.sign(np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], 1))
    variances = strengths**2 / max(float((strengths**2).sum()), np.finfo(np.float64).tiny)
    lacking = max(0, AXES - len(directions))
    directions = np.pad(directions[:AXES], ((0, lacking), (0, 0)))
    return Axes(scale, mean, directions, np.pad(variances[:AXES], (0, lacking)).tolist())


def sample(n: int, most: int) -> Indices:
    """Return so many of n indices at most, drawn evenly, ascending; the same each time."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(SEED).choice(n, most, replace=False))
