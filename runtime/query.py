"""What a caller asks: the query and the preferences beside it, and every check on them."""

from collections.abc import Collection
from math import isfinite
from typing import Any, Literal, NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt

from .decision.voting import Weights
from .errors import FeatureError
from .events import logger
from .features import FeatureBuilder

Array = npt.NDArray[Any]
Queries = npt.NDArray[np.float64]


class Asked(TypedDict, total=False):
    """What may be asked of every call that picks, for one query or many."""

    candidates: Collection[str] | None
    """Models that may win; all by default. Votes and scores of others do not count: KMeans falls to the nearest cluster
    whose model is a candidate, and KNN, where no neighbour's model is one, to the nearest row whose is."""
    quality_weight: float | None
    """Share of the quality in the votes of KNN, from 0 to 1; the rest is speed's."""


class Features(TypedDict, total=False):
    """One query, where it is not given as a feature vector."""

    embedding: npt.ArrayLike | None
    """Shape (e,)."""
    category: str | None
    """Category whose one-hot stands behind the embedding, see `FeatureBuilder.build`."""


class Request(Features, Asked, total=False):
    """What `Selector.select` and the methods like it take beside the features; None is as if it was not given."""


UnknownCandidates = Literal["error", "ignore"]


class Preferences(NamedTuple):
    """What is asked beside the query, checked."""

    weights: Weights | None
    """Shares of quality and speed in a vote; None where the algorithm has none."""
    allowed: npt.NDArray[np.bool_] | None = None
    """Which models may win, shape (n_models,); all by default."""
    order: tuple[int, ...] | None = None
    """The same, as indices in the order of the candidates."""


class Checks:
    """Checks what callers give to a selector.

    Parameters
    ----------
    features
        Makes feature vectors of the width that the selector expects.
    model_names
        Language models that can be picked.
    algorithm
        Name of the algorithm, for messages.
    weights
        Shares of quality and speed by default; None where the algorithm takes none.
    unknown_candidates
        Whether a candidate that is not a name of ``model_names`` is an error, or is ignored and logged once.

    Raises
    ------
    FeatureError
        From each method, when what it checks is invalid.
    """

    def __init__(
        self,
        features: FeatureBuilder,
        model_names: tuple[str, ...],
        algorithm: str,
        weights: Weights | None,
        unknown_candidates: UnknownCandidates = "error",
    ) -> None:
        if unknown_candidates not in ("error", "ignore"):
            raise FeatureError(f"unknown_candidates: expected 'error' or 'ignore', got {unknown_candidates!r}")
        self._ignores_unknown = unknown_candidates == "ignore"
        self._ignored: set[str] = set()
        self._features, self._names, self._algorithm = features, model_names, algorithm
        self._shape = (features.n_features_in,)
        self._index = {model: index for index, model in enumerate(model_names)}
        self.default = Preferences(weights)

    def with_quality(self, quality_weight: float) -> Preferences:
        """Check a quality weight: the default preferences with it."""
        if self.default.weights is None:
            raise FeatureError(f"quality_weight: expected a KNN selector, whose rows vote, got {self._algorithm}")
        if not isinstance(quality_weight, (int, float)) or not 0.0 <= quality_weight <= 1.0:
            raise FeatureError(f"quality_weight: expected a number from 0 to 1, got {quality_weight!r}")
        return Preferences(self.default.weights.with_quality(float(quality_weight)))

    def preferences(self, asked: Asked) -> Preferences:
        """Check what is asked beside the query."""
        candidates, quality_weight = asked.get("candidates"), asked.get("quality_weight")
        preferences = self.default if quality_weight is None else self.with_quality(quality_weight)
        if candidates is None:
            return preferences
        if isinstance(candidates, str) or len(candidates) == 0:
            raise FeatureError(f"candidates: expected at least one of {', '.join(self._names)}")
        order = [index for candidate in candidates if (index := self._index_of(candidate)) is not None]
        if not order:
            raise FeatureError(f"candidates: expected at least one of {', '.join(self._names)}, got only unknown ones")
        allowed = np.zeros(len(self._names), dtype=np.bool_)
        allowed[order] = True
        return preferences._replace(allowed=allowed, order=tuple(dict.fromkeys(order)))

    def _index_of(self, candidate: object) -> int | None:
        """Return the index of a candidate's model, or None where it is to be ignored."""
        index = self._index.get(candidate) if isinstance(candidate, str) else None
        if index is None and isinstance(candidate, str) and self._ignores_unknown:
            if candidate not in self._ignored:
                self._ignored.add(candidate)
                logger.warning("the candidate %r is ignored: the artifact does not know it", candidate)
        elif index is None:
            raise FeatureError(f"candidates: expected some of {', '.join(self._names)}, got {candidate!r}")
        return index

    def query(self, features: npt.ArrayLike | None, given: Features) -> tuple[Queries, float]:
        """Check one query: the query, float64, (1, d), and its squared norm."""
        embedding, category = given.get("embedding"), given.get("category")
        if embedding is not None or category is not None:
            if features is not None or embedding is None:
                raise FeatureError("expected features, or an embedding and its category")
            features = self._features.build(embedding, category)
        query = _numbers(features, f"{self._shape[0]} numbers")
        if query.shape != self._shape:
            raise FeatureError(f"expected {self._shape[0]} numbers, got shape {query.shape}")
        return _finite(query[None], None)

    def batch(self, matrix: npt.ArrayLike) -> Array:
        """Check the shape of many queries, (b, d); `finite` checks their values, chunk by chunk."""
        expected = f"rows of {self._shape[0]} numbers"
        queries = _numbers(matrix, expected)
        if queries.shape == (0,):
            return queries.reshape(0, *self._shape)
        if queries.ndim != 2 or queries.shape[1:] != self._shape:
            raise FeatureError(f"expected {expected}, got shape {queries.shape}")
        return queries

    def finite(self, chunk: Array, first_row: int) -> Queries:
        """Check the values of some of many queries, of which the first is row ``first_row``: float64, (b, d)."""
        return _finite(chunk, first_row)[0]


def _numbers(values: npt.ArrayLike | None, expected: str) -> Array:
    try:
        array: Array = np.asarray(values)
    except (ValueError, TypeError, OverflowError):
        raise FeatureError(f"expected {expected}, got ragged rows or non-numeric values") from None
    if array.dtype.kind not in "fiu":
        raise FeatureError(f"expected {expected}, got dtype {array.dtype}")
    return array


def _finite(queries: Array, first_row: int | None) -> tuple[Queries, float]:
    """Make contiguous float64 of queries, (b, d), and refuse NaN and infinity; also returns the sum of squares."""
    if queries.dtype.itemsize > 8:
        with np.errstate(over="ignore"):  # long doubles may overflow
            queries = queries.astype(np.float64)
    queries = np.ascontiguousarray(queries, dtype=np.float64)
    # The sum is finite only if every value is, costs half of looking at each, and warns of no overflow. For many values
    # BLAS would start threads.
    squares = np.vdot(queries, queries) if first_row is None else np.einsum("ij,ij", queries, queries)
    if not isfinite(squares) and not np.isfinite(queries).all():
        row, column = (int(place[0]) for place in np.nonzero(~np.isfinite(queries)))
        place = f"[{column}]" if first_row is None else f"[{first_row + row}][{column}]"
        raise FeatureError(f"expected finite numbers, got {queries[row, column]} at {place}")
    return queries, float(squares)
