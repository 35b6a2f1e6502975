"""The feature vector of a query: its embedding, and the one-hot of its category behind it."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import FeatureError
from .events import NAME_LENGTH, Remembered, logger

Array = npt.NDArray[Any]
CATEGORIES = (
    "math",
    "physics",
    "chemistry",
    "biology",
    "computer science",
    "history",
    "economics",
    "business",
    "law",
    "health",
    "psychology",
    "philosophy",
    "other",
    "unknown",
)
OTHER = "other"
_FLOATS = (np.float32, np.float64)


def numbers(values: npt.ArrayLike | bytes | bytearray | memoryview | None, expected: str, width: int) -> Array:
    """Return numbers, of any real type, as an array.

    Parameters
    ----------
    values
        A list, an array, a column of lists, or anything else that numpy converts to an array; or bytes that hold
        ``width`` values of float32 or float64 in the machine's byte order.
    expected
        What is expected, for messages.

    Raises
    ------
    FeatureError
        When the values are something else, or a masked array with masked values.
    """
    if isinstance(values, (bytes, bytearray, memoryview)):
        values = _of_buffer(values, width)
    try:
        array: Array = np.asarray(values)
    except Exception as cause:  # whatever an object raises that can become an array, such as a tensor on a GPU
        if isinstance(values, (list, tuple)) and isinstance(cause, (ValueError, OverflowError)):
            raise FeatureError(f"expected {expected}, got ragged rows or non-numeric values") from None
        raise FeatureError(f"expected {expected}, got {type(values).__name__}: {cause}") from None
    if array.dtype == object and array.ndim == 1 and all(isinstance(row, Collection) for row in array):
        array = _of_rows(array, expected)
    if array.dtype.kind not in "fiu":
        raise FeatureError(f"expected {expected}, got dtype {array.dtype}")
    rows = values if isinstance(values, (list, tuple)) else [values]
    if rows and isinstance(rows[0], np.ma.MaskedArray) and any(np.ma.is_masked(row) for row in rows):
        raise FeatureError(f"expected {expected}, got masked values")
    return array


def _of_rows(column: Array, expected: str) -> Array:
    """Make a matrix from a column of lists, the form of vectors in data frames."""
    try:
        return np.array([np.asarray(row) for row in column])
    except ValueError:
        raise FeatureError(f"expected {expected}, got ragged rows or non-numeric values") from None


def _of_buffer(buffer: bytes | bytearray | memoryview, width: int) -> Array | bytes | bytearray | memoryview:
    """Read ``width`` floats from a buffer, whose length tells float32 from float64.

    Other values are returned as they are, and so is memory that declares its own type.
    """
    if isinstance(buffer, memoryview) and buffer.format not in ("B", "b", "c"):
        return buffer
    kind = next((kind for kind in _FLOATS if memoryview(buffer).nbytes == width * np.dtype(kind).itemsize), None)
    return buffer if kind is None or not width else np.frombuffer(buffer, kind)


def _labelled(name: str, values: npt.ArrayLike, expected: str, width: int) -> Array:
    try:
        return numbers(values, expected, width)
    except FeatureError as error:
        raise FeatureError(f"{name}: {error}") from None


class FeatureBuilder:
    """Makes feature vectors for a selector.

    Parameters
    ----------
    n_features_in
        Width that the selector expects.
    embedding_dim
        Width of the embeddings that the selector was trained with; by default any width that fits.
    categories
        Categories in the order of the one-hot.

    Raises
    ------
    FeatureError
        From each method, when an argument does not fit.
    """

    def __init__(
        self, n_features_in: int, embedding_dim: int | None = None, categories: Sequence[str] = CATEGORIES
    ) -> None:
        self.n_features_in, self._dim, self._categories = n_features_in, embedding_dim, tuple(categories)
        self._index = {category: place for place, category in enumerate(self._categories)}
        self._other = self._index.get(OTHER, len(self._categories) - 1)
        self._unknown_names = Remembered()

    def build(self, embedding: npt.ArrayLike, category: str | None = None) -> Array:
        """Make the feature vector of one query, shape (n_features_in,): float32 where the embedding is, else float64.

        Parameters
        ----------
        embedding
            Shape (e,), see `numbers`.
        category
            Category of the query, spelled exactly. An unknown category counts as "other", and is logged once.
            None where the selector takes the embedding alone.
        """
        count = 0 if category is None else len(self._categories)
        vector = _labelled("embedding", embedding, "numbers", self.n_features_in - count)
        if vector.ndim != 1:
            raise FeatureError(f"embedding: expected numbers, got shape {vector.shape}")
        if len(vector) + count != self.n_features_in or self._dim not in (None, len(vector)):
            raise FeatureError(self._mismatch(len(vector), category))
        features = np.zeros(self.n_features_in, np.float32 if vector.dtype == np.float32 else np.float64)
        features[: len(vector)] = vector
        if category is not None:
            place = self._index.get(category) if isinstance(category, str) else None
            features[len(vector) + (self._unknown(category) if place is None else place)] = 1.0
        return features

    def _unknown(self, category: str) -> int:
        """Return the place of "other" for an unknown category, and log the category once."""
        if not isinstance(category, str):
            raise FeatureError(f"category: expected a name, got {category!r}")
        if self._unknown_names.is_new(category):
            from difflib import get_close_matches  # takes longer to import than most of this package

            near = get_close_matches(category[:NAME_LENGTH].strip().lower(), self._categories, 1)
            counts_as = repr(self._categories[self._other]) + (f": did you mean {near[0]!r}?" if near else "")
            logger.warning("category: %s is unknown and counts as %s", repr(category[:NAME_LENGTH]), counts_as)
        return self._other

    def build_batch(
        self, embeddings: npt.ArrayLike, categories: Sequence[str] | None = None
    ) -> npt.NDArray[np.float64]:
        """Make feature vectors, float64, (b, n_features_in), of embeddings, (b, e), which may fill them alone."""
        matrix = _labelled("embeddings", embeddings, "rows of numbers", 0)
        if matrix.ndim != 2 and matrix.shape != (0,):
            raise FeatureError(f"embeddings: expected rows of numbers, got shape {matrix.shape}")
        if isinstance(categories, str) or not isinstance(categories, Iterable | None):
            raise FeatureError(f"categories: expected a list of names, got {categories!r}")
        names = [None] * len(matrix) if categories is None else list(categories)
        if len(names) != len(matrix):
            raise FeatureError(f"categories: expected one for each of {len(matrix)} embeddings, got {len(names)}")
        whole = matrix.shape[1:] == (self.n_features_in,)
        rows = [self.build(row, None if whole else category) for row, category in zip(matrix, names, strict=True)]
        return np.array(rows, np.float64).reshape(len(matrix), self.n_features_in)

    def _mismatch(self, width: int, category: str | None) -> str:
        categories = f"{len(self._categories)} categories" if category is not None else "no category"
        of = f" (embeddings of {self._dim})" if self._dim is not None else ""
        return f"embedding: expected {self.n_features_in} features{of}, got {width} numbers and {categories}"
