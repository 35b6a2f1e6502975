"""Maps: vectors of a high dimension on the two axes along which they differ the most."""

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA

Matrix = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
AXES = 2
# Most vectors from which axes are computed; all vectors are placed on the axes.
FITTED = 1_000
SEED = 0


class Axes:
    """The first two principal components of vectors, float64, shape (n, d), n at least 1.

    Attributes
    ----------
    explained : list of float
        Share of the variance along each.
    """

    def __init__(self, vectors: Matrix) -> None:
        some = vectors[sample(len(vectors), FITTED)]
        # Scaled so that squares neither overflow nor vanish.
        self._scale = float(np.abs(some).max(initial=0.0)) or 1.0
        with np.errstate(invalid="ignore"):  # of vectors that are all the same, no share is known
            self._components = PCA(min(AXES, *some.shape), svd_solver="full").fit(
                np.resize(some / self._scale, (max(2, len(some)), some.shape[1]))
            )
        self.explained: list[float] = _padded(np.nan_to_num(self._components.explained_variance_ratio_)).tolist()

    def place(self, vectors: Matrix) -> Matrix:
        """Place vectors, shape (n, d), on the axes: float64, shape (n, 2)."""
        return _padded(self._components.transform(vectors / self._scale))


def _padded(values: Matrix) -> Matrix:
    """Append zeros to the last dimension of values for the axes that vectors of few dimensions lack."""
    return np.pad(values, [*[(0, 0)] * (values.ndim - 1), (0, AXES - values.shape[-1])])


def sample(n: int, most: int) -> Indices:
    """Return at most ``most`` of n indices, drawn uniformly, in ascending order; deterministic."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(SEED).choice(n, most, replace=False))
