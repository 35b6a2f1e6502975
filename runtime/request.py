"""A caller's query and preferences, and every check on them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from functools import partial
from math import isfinite
from typing import Literal, NamedTuple, TypedDict, TypeVar

import numpy as np
import numpy.typing as npt

from .decision.objective import NOTHING_GIVEN, GivenOutcomes, Objective
from .decision.operating_points import OperatingPoint, cheapest
from .decision.outcomes import KINDS, PLACES, PRICES, Kind
from .decision.voting import Weights
from .errors import FeatureError
from .events import NAME_LENGTH, Remembered, logger
from .features import Array, FeatureBuilder, numbers
from .keywords import refuse_unknown

Queries = npt.NDArray[np.float64]
Norms = npt.NDArray[np.float64]
# The parameter of a feature vector, and the keywords of a query that is not given as one.
FEATURES, _QUERY = "features", frozenset({"embedding", "category"})
_EITHER = "expected features, or an embedding and its category"
_FLOATS = (np.dtype(np.float64), np.dtype(np.float32))
_Squares = TypeVar("_Squares", float, npt.NDArray[np.float64])


class Given(TypedDict, total=False):
    """Preferences of a call that picks, for one query or many; or of `Selector.load`, for all calls."""

    candidates: Iterable[str] | None
    """Models that may win; all by default. Votes and scores of other models do not count. KMeans picks the nearest
    cluster whose model is a candidate. KNN, where no neighbour's model is a candidate, picks the nearest row whose
    model is a candidate."""
    quality_weight: float | None
    """Share of the quality in the votes of KNN, from 0 to 1; the speed has the rest."""
    objective: Objective | None
    """What a unit of quality is worth, where outcomes are predicted; by default quality alone counts."""
    keep: float | None
    """Instead of an objective: pick by the objective of the cheapest operating point that kept this share of the best
    single model's quality in cross-validation."""
    costs: Mapping[str, float] | None
    """Cost of an answer by model, instead of the predicted cost."""
    seconds: Mapping[str, float] | None
    """Seconds of an answer by model, instead of the predicted seconds."""
    evidence: float | None
    """Standard errors by which another model must exceed the default model over the neighbours to be picked. At 0, the
    default, the highest utility wins."""


class Features(TypedDict, total=False):
    """One query, where it is not given as a feature vector."""

    embedding: npt.ArrayLike | None
    """Shape (e,)."""
    category: str | None
    """Category whose one-hot stands behind the embedding, see `FeatureBuilder.build`."""


class Request(Features, Given, total=False):
    """Keywords of `Selector.select` and similar methods, in addition to the features; None counts as not given."""


class BatchRequest(Given, total=False):
    """Keywords of `Selector.select_batch`, in addition to the matrix; None counts as not given."""

    embedding: npt.ArrayLike | None
    """Embeddings instead of a matrix, shape (b, e)."""
    category: Sequence[str] | None
    """Category of each embedding; None where the selector takes the embeddings alone."""


_Given = TypeVar("_Given", bound=Given)
UnknownCandidates = Literal["error", "ignore"]


class Preferences(NamedTuple):
    """Preferences, checked."""

    weights: Weights | None = None
    """Shares of quality and speed in a vote; None where the algorithm has none."""
    allowed: npt.NDArray[np.bool_] | None = None
    """Which models may win, shape (n_models,); all by default."""
    order: tuple[int, ...] | None = None
    """Indices of the models that may win, in the order of the candidates."""
    objective: Objective = Objective()
    """Weights of the outcomes in the utility."""
    given: GivenOutcomes = NOTHING_GIVEN
    """Outcomes that count in the place of predictions."""
    evidence: float = 0.0
    """Standard errors by which another model must exceed the default model."""
    only: str | None = None
    """The only candidate, where there is only one. It is the pick without running the graph, and the artifact may not
    know it."""


class Known(NamedTuple):
    """Facts of an artifact that the checks need."""

    model_names: tuple[str, ...]
    takes: frozenset[str]
    """Keys of `Given` that mean something to its algorithm."""
    able: Callable[[str], str]
    """Returns the names of the algorithms that take a key of `Given`, for messages."""
    skips_unknown: bool = False
    """Whether unknown candidates are skipped unless all are unknown, see `modelpick.runtime.algorithms`."""
    weights: Weights | None = None
    """Shares of quality and speed by default."""
    outcomes: tuple[str, ...] = ()
    """Kinds of outcomes that it predicts."""
    points: tuple[OperatingPoint, ...] = ()
    """Operating points that were recorded."""
    evidence: float = 0.0
    """Standard errors of evidence by default."""


class Checks:
    """Checks what callers give to a selector.

    Parameters
    ----------
    features
        Makes feature vectors of the width that the selector expects.
    known
        What the artifact knows.
    unknown_candidates
        Whether a candidate that the artifact does not know is an error, or is ignored and logged once; by default the
        algorithm decides.
    given
        Preferences of the calls that give none of their own.
    single
        Whether the algorithm reads queries in float32, so that these are not converted to float64.

    Raises
    ------
    FeatureError
        From each method, when an argument is invalid.
    """

    def __init__(
        self,
        features: FeatureBuilder,
        known: Known,
        unknown_candidates: UnknownCandidates | None = None,
        given: Given | None = None,
        single: bool = False,
    ) -> None:
        if unknown_candidates not in (None, "error", "ignore"):
            raise FeatureError(f"unknown_candidates: expected 'error' or 'ignore', got {unknown_candidates!r}")
        ignores = known.skips_unknown if unknown_candidates is None else unknown_candidates == "ignore"
        self._ignores_unknown, self._single = ignores, single
        self._unknown = Remembered()
        self._features, self._known, self._names = features, known, known.model_names
        self._shape = (features.n_features_in,)
        self._expected = f"{features.n_features_in} numbers"
        self._index = {model: index for index, model in enumerate(known.model_names)}
        self.default = Preferences(known.weights, evidence=known.evidence)
        self.default = self.preferences(given or {})

    def preferences(self, given: Given) -> Preferences:
        """Check the preferences of a call. Keywords of its query may be among them."""
        preferences = self.default
        if not given:
            return preferences
        for name, value in given.items():
            check = _CHECKS.get(name)
            if check is None:
                if name not in _QUERY:
                    refuse_unknown(given, (*Request.__annotations__, FEATURES))
            elif value is not None:
                if name not in self._known.takes:
                    raise FeatureError(f"{name}: expected an algorithm that takes it, {self._known.able(name)}")
                preferences = check(self, preferences, value)
        if given.get("objective") is not None and given.get("keep") is not None:
            raise FeatureError("keep: expected it without an objective, which it would choose")
        self._check_outcomes(preferences)
        return preferences

    def _check_outcomes(self, preferences: Preferences) -> None:
        """Refuse a weight of an outcome that is neither predicted nor given."""
        for name, _ in preferences.objective.weights:
            if name in self._known.outcomes:
                continue
            lacking = np.isnan(preferences.given.get(name, np.full(len(self._names), np.nan)))
            if preferences.allowed is not None:
                lacking &= preferences.allowed
            if lacking.any():
                model = self._names[int(lacking.argmax())]
                option = KINDS[PLACES[name]].given
                raise FeatureError(f"objective: expected {option} of {model}: the artifact predicts no {name}")

    def _with_quality(self, preferences: Preferences, quality_weight: object) -> Preferences:
        weight = _number(quality_weight)
        if weight is None or not 0.0 <= weight <= 1.0:
            raise FeatureError(f"quality_weight: expected a number from 0 to 1, got {quality_weight!r}")
        assert self._known.weights is not None
        return preferences._replace(weights=self._known.weights.with_quality(weight))

    def _with_objective(self, preferences: Preferences, objective: object) -> Preferences:
        if not isinstance(objective, Objective):
            raise FeatureError(f"objective: expected an Objective, got {objective!r}")
        return preferences._replace(objective=objective)

    def _with_keep(self, preferences: Preferences, keep: object) -> Preferences:
        share = _number(keep)
        if share is None or not 0.0 < share < np.inf:
            raise FeatureError(f"keep: expected a positive number, got {keep!r}")
        return preferences._replace(objective=cheapest(self._known.points, share).objective)

    def _with_outcomes(self, preferences: Preferences, given: object, *, kind: Kind) -> Preferences:
        if not isinstance(given, Mapping):
            raise FeatureError(f"{kind.given}: expected a mapping of models to numbers, got {given!r}")
        values = np.full(len(self._names), np.nan)
        for model, value in given.items():
            index, number = self._index_of(model, kind.given), _number(value)
            if number is None or not 0.0 <= number < np.inf:
                raise FeatureError(f"{kind.given}: expected a number, 0 or more, of {model}, got {value!r}")
            if index is not None:
                values[index] = number
        return preferences._replace(given={**preferences.given, kind.name: values})

    def _with_evidence(self, preferences: Preferences, evidence: object) -> Preferences:
        errors = _number(evidence)
        if errors is None or not 0.0 <= errors < np.inf:
            raise FeatureError(f"evidence: expected a number, 0 or more, got {evidence!r}")
        return preferences._replace(evidence=errors)

    def _with_candidates(self, preferences: Preferences, candidates: object) -> Preferences:
        expected = f"candidates: expected at least one of {', '.join(self._names)}"
        if isinstance(candidates, str) or not isinstance(candidates, Iterable):
            raise FeatureError(expected)
        found = {candidate: self._index_of(candidate, "candidates") for candidate in candidates}
        if not found:
            raise FeatureError(expected)
        order = tuple(index for index in found.values() if index is not None)
        only = str(next(iter(found))) if len(found) == 1 else None
        if not order and (only is None or self._known.skips_unknown):
            raise FeatureError(f"{expected}, got only unknown ones")
        allowed = np.zeros(len(self._names), dtype=np.bool_)
        allowed[list(order)] = True
        return preferences._replace(allowed=allowed, order=order, only=only)

    def _index_of(self, model: object, name: str) -> int | None:
        """Return the index of a model, or None for an unknown model that is ignored."""
        index = self._index.get(model) if isinstance(model, str) else None
        if index is None and isinstance(model, str) and self._ignores_unknown:
            if self._unknown.is_new(model):
                logger.warning("%s: the artifact does not know %s", name, repr(model[:NAME_LENGTH]))
        elif index is None:
            raise FeatureError(f"{name}: expected some of {', '.join(self._names)}, got {model!r}")
        return index

    def query(
        self, features: npt.ArrayLike | None, given: Features, may_be_single: bool = False
    ) -> tuple[Queries, float]:
        """Check one query. Returns the query, float64, (1, d), and its squared norm.

        With ``may_be_single`` a query in float32 stays in float32 where the algorithm reads float32; its squared norm
        is then an upper bound.
        """
        if given:
            embedding, category = given.get("embedding"), given.get("category")
            if embedding is not None or category is not None:
                if features is not None or embedding is None:
                    raise FeatureError(_EITHER)
                features = self._features.build(embedding, category)
        if type(features) is np.ndarray and features.dtype in _FLOATS:  # what `numbers` returns of most queries
            query: Array = features
        elif features is None:
            raise FeatureError(_EITHER)
        else:
            query = numbers(features, self._expected, self._shape[0])
        if query.shape != self._shape:
            raise FeatureError(f"expected {self._expected}, got shape {query.shape}")
        query = _contiguous(query, may_be_single and self._single)
        squares = float(np.vdot(query, query))  # which warns of no overflow
        if query.dtype == np.float32:
            squares = self._bound(squares)
        if not isfinite(squares):
            _refuse_infinite(query[None], None)
        return query[None], squares

    def batch(self, matrix: npt.ArrayLike | None, given: BatchRequest) -> Array:
        """Check the shape of queries, (b, d); `finite` checks their values, chunk by chunk."""
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

    def finite(self, chunk: Array, first_row: int) -> tuple[Queries, Norms]:
        """Check the values of a chunk of queries, whose first row is row ``first_row`` of the matrix.

        Returns
        -------
        (queries, float64, (b, d), and their squared norms, float64, (b,)); queries in float32 may stay, see `query`
        """
        queries = _contiguous(chunk, self._single)
        squares = squared_norms(queries)
        if queries.dtype == np.float32:
            squares = self._bound(squares.astype(np.float64))
        # A norm is finite only if every value is, and takes half the time of a look at each value.
        if not np.isfinite(squares).all():
            _refuse_infinite(queries, first_row)
        return queries, squares

    def _bound(self, squares: _Squares) -> _Squares:
        """Return upper bounds on squared norms that are summed in float32, in any order.

        The relative error of a sum of d squares is at most ``d 2^-24``, see `modelpick.converter.graphs.exact_search`;
        each square that underflows adds at most ``2^-150``. The bounds allow four times these errors.
        """
        width = self._shape[0]
        return squares * (1.0 + width * 2.0**-22) + width * 2.0**-148


def lasting(given: _Given) -> _Given:
    """Return preferences that can be read repeatedly: candidates may be given as a generator."""
    candidates = given.get("candidates")
    if not isinstance(candidates, Iterator):
        return given
    given = copy(given)
    given["candidates"] = tuple(candidates)
    return given


# How each key of `Given` is checked.
_CHECKS: Mapping[str, Callable[[Checks, Preferences, object], Preferences]] = {
    "quality_weight": Checks._with_quality,
    "candidates": Checks._with_candidates,
    "evidence": Checks._with_evidence,
    "objective": Checks._with_objective,
    "keep": Checks._with_keep,
    **{kind.given: partial(Checks._with_outcomes, kind=kind) for kind in PRICES},
}


def _number(value: object) -> float | None:
    """Return a number as a float, or None for anything else."""
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    return float(value) if is_number else None  # type: ignore[arg-type]


def _contiguous(queries: Array, single: bool) -> Queries:
    """Make queries contiguous float64; leave float32 if ``single`` allows it."""
    if single and queries.dtype == np.float32:
        return np.ascontiguousarray(queries)
    if queries.dtype.itemsize > 8:
        with np.errstate(over="ignore"):  # long doubles may overflow
            queries = queries.astype(np.float64)
    return np.ascontiguousarray(queries, dtype=np.float64)


def squared_norms(queries: Queries) -> Norms:
    """Return the squared norms of queries, (b, d): (b,), infinite where they overflow."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares: Norms = _VECDOT(queries, queries)
    return squares


# BLAS would start threads for one product of many values. numpy before 2 has no vecdot.
_VECDOT = getattr(np, "vecdot", partial(np.einsum, "ij,ij->i"))


def _refuse_infinite(queries: Queries, first_row: int | None) -> None:
    """Refuse NaN and infinity. Called where a sum of squares is not finite, which finite values may cause too."""
    if np.isfinite(queries).all():
        return
    row, column = (int(place[0]) for place in np.nonzero(~np.isfinite(queries)))
    place = f"[{column}]" if first_row is None else f"[{first_row + row}][{column}]"
    raise FeatureError(f"expected finite numbers, got {queries[row, column]} at {place}")
