"""The feature vector of a query: its embedding, and the one-hot of its category behind it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import FeatureError

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


class FeatureBuilder:
    """Makes feature vectors for a selector.

    Parameters
    ----------
    n_features_in
        Width that the selector expects.
    embedding_dim
        Width of the embeddings that it was trained with; any that fits by default.
    categories
        Categories in the order of the one-hot.
    """

    def __init__(
        self, n_features_in: int, embedding_dim: int | None = None, categories: Sequence[str] = CATEGORIES
    ) -> None:
        self.n_features_in, self._dim, self._categories = n_features_in, embedding_dim, tuple(categories)
        self._index = {category: place for place, category in enumerate(self._categories)}
        self._other = self._index.get(OTHER, len(self._categories) - 1)

    def build(self, embedding: npt.ArrayLike, category: str | None = None) -> npt.NDArray[np.float64]:
        """Make the feature vector of one query, float64, shape (n_features_in,).

        Parameters
        ----------
        embedding
            Shape (e,).
        category
            Category of the query; an unknown one counts as "other". None where the selector takes the embedding alone.

        Raises
        ------
        FeatureError
            When the widths do not add up to what the selector expects.
        """
        vector = np.asarray(embedding)
        if vector.ndim != 1 or vector.dtype.kind not in "fiu":
            raise FeatureError(f"embedding: expected numbers, got {vector.dtype} of shape {vector.shape}")
        count = 0 if category is None else len(self._categories)
        if len(vector) + count != self.n_features_in or self._dim not in (None, len(vector)):
            raise FeatureError(self._mismatch(len(vector), category))
        features = np.zeros(self.n_features_in)
        features[: len(vector)] = vector
        if category is not None:
            features[len(vector) + self._index.get(category, self._other)] = 1.0
        return features

    def build_batch(self, embeddings: npt.ArrayLike, categories: Sequence[str]) -> npt.NDArray[np.float64]:
        """Make feature vectors, (b, n_features_in), of embeddings, (b, e); without the one-hot where they fill them."""
        matrix: npt.NDArray[Any] = np.asarray(embeddings)
        whole = matrix.shape[1:] == (self.n_features_in,)
        return np.array(
            [self.build(row, None if whole else category) for row, category in zip(matrix, categories, strict=True)]
        ).reshape(len(matrix), self.n_features_in)

    def _mismatch(self, width: int, category: str | None) -> str:
        categories = f"{len(self._categories)} categories" if category is not None else "no category"
        of = f" (embeddings of {self._dim})" if self._dim is not None else ""
        return f"embedding: expected {self.n_features_in} features{of}, got {width} numbers and {categories}"
