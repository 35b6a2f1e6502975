"""Queries: feature vectors that a caller gives, one or many, checked once and handed down with their squared norms."""

from collections.abc import Sequence
from functools import partial
from math import isfinite
from typing import NamedTuple, TypedDict, TypeVar

import numpy as np
import numpy.typing as npt

from .errors import FeatureError
from .features import Array, FeatureBuilder, numbers

Vectors = npt.NDArray[np.float64]
Norms = npt.NDArray[np.float64]
# The parameter that a feature vector is given by.
FEATURES = "features"
_EITHER = "expected features, or an embedding and its category"
_DOUBLE, _SINGLE = np.dtype(np.float64), np.dtype(np.float32)
_FLOATS = (_DOUBLE, _SINGLE)
_Squares = TypeVar("_Squares", float, Norms)


class Query(NamedTuple):
    """One query, checked: contiguous and finite."""

    vector: Vectors
    """Float64, shape (1, d); float32 may stay where a subgraph takes that."""
    squared_norm: float
    """Its squared norm, which the check that it is finite computes anyway. Of float32 it is an upper bound."""


class Queries(NamedTuple):
    """Many queries, checked as one is."""

    vectors: Vectors
    """Shape (b, d)."""
    squared_norms: Norms
    """Float64, shape (b,)."""

    def one(self, place: int | np.integer) -> Query:
        """Take one of them."""
        return Query(self.vectors[place : place + 1], self.squared_norms.item(int(place)))

    def some(self, places: npt.NDArray[np.intp] | slice) -> "Queries":
        """Take some of them."""
        return Queries(self.vectors[places], self.squared_norms[places])


class Features(TypedDict, total=False):
    """One query, where it is not given as a feature vector."""

    embedding: npt.ArrayLike | None
    """Shape (e,)."""
    category: str | None
    """Category whose one-hot stands behind the embedding, see `FeatureBuilder.build`."""


class BatchFeatures(TypedDict, total=False):
    """Many queries, where they are not given as a matrix."""

    embedding: npt.ArrayLike | None
    """Embeddings, shape (b, e)."""
    category: Sequence[str] | None
    """Category of each embedding; None where the selector takes the embeddings alone."""


class QueryChecks:
    """Checks the queries that callers give to a selector.

    Parameters
    ----------
    features
        Makes feature vectors of the width that the selector expects.
    single
        Whether the algorithm reads queries in float32, so that these are not converted to float64.

    Raises
    ------
    FeatureError
        From each method, when an argument is invalid.
    """

    def __init__(self, features: FeatureBuilder, single: bool = False) -> None:
        self._features, self._single = features, single
        self._shape, self._expected = (features.n_features_in,), f"{features.n_features_in} numbers"

    def one(self, features: npt.ArrayLike | None, given: Features, may_be_single: bool = False) -> Query:
        """Check one query.

        With ``may_be_single`` a query in float32 stays in float32 where the algorithm reads float32.
        """
        if given:
            embedding, category = given.get("embedding"), given.get("category")
            if embedding is not None or category is not None:
                if features is not None or embedding is None:
                    raise FeatureError(_EITHER)
                features = self._features.build(embedding, category)
        if type(features) is np.ndarray and features.dtype in _FLOATS:  # what `numbers` returns of most queries
            vector: Array = features
        elif features is None:
            raise FeatureError(_EITHER)
        else:
            vector = numbers(features, self._expected, self._shape[0])
        if vector.shape != self._shape:
            raise FeatureError(f"expected {self._expected}, got shape {vector.shape}")
        if vector.dtype is not _DOUBLE:
            vector = _floats(vector, may_be_single and self._single)
        vector = np.ascontiguousarray(vector)
        squares = float(np.vdot(vector, vector))  # which warns of no overflow
        if vector.itemsize < _DOUBLE.itemsize:
            squares = self._bound(squares)
        if not isfinite(squares):
            _refuse_infinite(vector[None], None)
        return Query(vector[None], squares)

    def batch(self, matrix: npt.ArrayLike | None, given: BatchFeatures) -> Array:
        """Check the shape of many queries, (b, d); `many` checks their values, chunk by chunk."""
        embedding, category = given.get("embedding"), given.get("category")
        if (matrix is None) == (embedding is None) or (embedding is None and category is not None):
            raise FeatureError("expected a matrix, or embeddings and their categories")
        if embedding is not None:
            return self._features.build_batch(embedding, category)
        expected = f"rows of {self._shape[0]} numbers"
        queries = numbers(matrix, expected, 0)
        if queries.shape == (0,):
            return queries.reshape(0, *self._shape)
        if queries.ndim != 2 or queries.shape[1:] != self._shape:
            raise FeatureError(f"expected {expected}, got shape {queries.shape}")
        return queries

    def many(self, chunk: Array, first_row: int) -> Queries:
        """Check the values of a chunk of queries, whose first row is row ``first_row`` of the matrix."""
        vectors = np.ascontiguousarray(_floats(chunk, self._single))
        squares = squared_norms(vectors)
        if vectors.itemsize < _DOUBLE.itemsize:
            squares = self._bound(squares.astype(np.float64))
        # A norm is finite only if every value is, and takes half the time of a look at each value.
        if not np.isfinite(squares).all():
            _refuse_infinite(vectors, first_row)
        return Queries(vectors, squares)

    def _bound(self, squares: _Squares) -> _Squares:
        """Return upper bounds on squared norms that are summed in float32, in any order.

        The relative error of a sum of d squares is at most ``d 2^-24``, see `modelpick.converter.graphs.exact_search`;
        each square that underflows adds at most ``2^-150``. The bounds allow four times these errors.
        """
        width = self._shape[0]
        return squares * (1.0 + width * 2.0**-22) + width * 2.0**-148


def _floats(values: Array, single: bool) -> Vectors:
    """Make numbers float64; leave float32 if ``single`` allows it."""
    if values.dtype is _DOUBLE or (single and values.dtype == _SINGLE):
        return values
    if values.itemsize > _DOUBLE.itemsize:
        with np.errstate(over="ignore"):  # long doubles may overflow
            return values.astype(_DOUBLE)
    return values.astype(_DOUBLE, copy=False)


def squared_norms(vectors: Vectors) -> Norms:
    """Return the squared norms of vectors, (b, d): (b,), infinite where they overflow."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares: Norms = _VECDOT(vectors, vectors)
    return squares


# BLAS would start threads for one product of many values. numpy before 2 has no vecdot.
_VECDOT = getattr(np, "vecdot", partial(np.einsum, "ij,ij->i"))


def _refuse_infinite(vectors: Vectors, first_row: int | None) -> None:
    """Refuse NaN and infinity. Called where a sum of squares is not finite, which finite values may cause too."""
    if np.isfinite(vectors).all():
        return
    row, column = (int(place[0]) for place in np.nonzero(~np.isfinite(vectors)))
    place = f"[{column}]" if first_row is None else f"[{first_row + row}][{column}]"
    raise FeatureError(f"expected finite numbers, got {vectors[row, column]} at {place}")
