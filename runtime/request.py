"""A request, which is what a caller asks for in a call: a query, see `modelpick.runtime.queries`, and preferences."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from functools import partial
from math import ceil
from typing import Literal, NamedTuple, TypedDict, TypeVar

import numpy as np
import numpy.typing as npt

from .artifact.entries import MOST
from .artifact.metadata import Metadata
from .decision.objective import NOTHING_GIVEN, TIE, GivenOutcomes, Objective
from .decision.operating_points import cheapest
from .decision.outcomes import KINDS, PLACES, PRICES, Kind
from .decision.voting import Weights
from .errors import FeatureError, some_of
from .events import NAME_LENGTH, Remembered, logger
from .keywords import refuse_unknown
from .queries import FEATURES, BatchFeatures, Features

# Keywords of a query that is not given as a feature vector.
_QUERY = frozenset(Features.__annotations__)


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
    """Instead of an objective: pick by the objective of the cheapest operating point that promises this share of the
    best single model's quality, see `modelpick.runtime.OperatingPoint.promised`."""
    at_least: float | None
    """Instead of an objective: pick the cheapest model whose predicted quality reaches this number, or, where no model
    reaches it, the model of the highest predicted quality."""
    far: float | None
    """Share of the recorded distances, above 0 and up to 1: a query whose nearest training question is farther away
    than this share of them gets the default model, see `modelpick.runtime.Selector.drift`."""
    costs: Mapping[str, float] | None
    """Cost of an answer by model, instead of the predicted cost."""
    seconds: Mapping[str, float] | None
    """Seconds of an answer by model, instead of the predicted seconds."""
    evidence: float | None
    """Standard errors by which another model must exceed the default model over the neighbours to be picked. At 0, the
    default, the highest utility wins."""


class Request(Features, Given, total=False):
    """Keywords of `Selector.select` and similar methods, in addition to the features; None counts as not given."""


class BatchRequest(BatchFeatures, Given, total=False):
    """Keywords of `Selector.select_batch`, in addition to the matrix; None counts as not given."""


_Given = TypeVar("_Given", bound=Given)
UnknownCandidates = Literal["error", "ignore"]


class FarFrom(NamedTuple):
    """From which distance on a query is far from the training questions."""

    share: float
    """Share of the recorded distances that are below this distance."""
    distance: float
    """A query is far if it is farther away than this."""


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
    at_least: float | None = None
    """Predicted quality that is good enough: the cheapest model that reaches it is picked."""
    far: FarFrom | None = None
    """What is far; None where nothing is."""
    given: GivenOutcomes = NOTHING_GIVEN
    """Outcomes that count in the place of predictions."""
    evidence: float = 0.0
    """Standard errors by which another model must exceed the default model."""
    only: str | None = None
    """The only candidate, where there is only one. It is the pick without running the graph, and the artifact may not
    know it."""


class PreferenceChecks:
    """Checks the preferences that callers give to a selector.

    Parameters
    ----------
    metadata
        Metadata of the artifact.
    takes
        Keys of `Given` that mean something to its algorithm.
    takers
        Names the algorithms that take a key of `Given`.
    skips_unknown
        Whether candidates that the artifact does not know are skipped until none is left, see
        `modelpick.runtime.algorithms.base.Row`.
    unknown_candidates
        Whether a candidate that the artifact does not know is an error, or is ignored and logged once; by default the
        algorithm decides.
    given
        Preferences of the calls that give none of their own.

    Raises
    ------
    FeatureError
        From each method, when an argument is invalid.
    """

    def __init__(
        self,
        metadata: Metadata,
        takes: frozenset[str],
        takers: Callable[[str], str],
        skips_unknown: bool = False,
        unknown_candidates: UnknownCandidates | None = None,
        given: Given | None = None,
    ) -> None:
        if unknown_candidates not in (None, "error", "ignore"):
            raise FeatureError(f"unknown_candidates: expected 'error' or 'ignore', got {unknown_candidates!r}")
        self._ignores_unknown = skips_unknown if unknown_candidates is None else unknown_candidates == "ignore"
        self._metadata, self._takes, self._takers, self._skips_unknown = metadata, takes, takers, skips_unknown
        self._names, self._unknown = metadata.model_names, Remembered()
        self._index = {model: index for index, model in enumerate(self._names)}
        self.default = Preferences(metadata.weights, evidence=metadata.evidence)
        self.default = self.check(given or {})

    def check(self, given: Given) -> Preferences:
        """Check the preferences of a call. Keywords of its query may be among them."""
        preferences = self.default
        if not given:
            return preferences
        try:
            for name, value in given.items():
                check = _CHECKS.get(name)
                if check is None:
                    if name not in _QUERY:
                        refuse_unknown(given, _KNOWN)
                elif value is not None:
                    if name not in self._takes:
                        raise FeatureError(f"{name}: expected an algorithm that takes it, {self._takers(name)}")
                    preferences = check(self, preferences, value)
        except FeatureError:
            refuse_unknown(given, _KNOWN)  # it may be what the caller relied on
            raise
        ways = [name for name in _WAYS if given.get(name) is not None]
        if len(ways) > 1:
            raise FeatureError(f"{ways[1]}: expected it without {ways[0]}: each says by what to pick")
        self._check_outcomes(preferences)
        return preferences

    def check_exploring(self, key: object, explore: object, margin: object) -> None:
        """Check what `modelpick.runtime.Selector.decide` takes in addition."""
        if key is not None and not isinstance(key, str):
            raise FeatureError(f"key: expected a text, got {key!r:.100}")
        is_usual = explore.__class__ is float and 0.0 <= explore <= 1.0
        if not is_usual and _number(explore, most=1.0) is None:
            raise FeatureError(f"explore: expected a number from 0 to 1, got {explore!r:.100}")
        if margin is not None:
            if _number(margin) is None:
                raise FeatureError(f"margin: expected a number, 0 or more, got {margin!r:.100}")
            if "objective" not in self._takes:
                raise FeatureError(f"margin: expected an algorithm that takes it, {self._takers('objective')}")

    def _check_outcomes(self, preferences: Preferences) -> None:
        """Refuse to count an outcome that is neither predicted nor given."""
        counting = [("objective", name) for name, _ in preferences.objective.weights]
        if preferences.at_least is not None:
            counting.append(("at_least", "cost"))  # it picks the cheapest
        for asked, name in counting:
            if name in self._metadata.outcomes:
                continue
            given = preferences.given.get(name)
            lacking = np.full(len(self._names), True) if given is None else np.isnan(given)
            if preferences.allowed is not None:
                lacking &= preferences.allowed
            if lacking.any():
                model = self._names[int(lacking.argmax())]
                option = KINDS[PLACES[name]].given
                raise FeatureError(f"{asked}: expected {option} of {model}: the artifact predicts no {name}")

    def _with_quality(self, preferences: Preferences, quality_weight: object) -> Preferences:
        weight = _number(quality_weight, most=1.0)
        if weight is None:
            raise FeatureError(f"quality_weight: expected a number from 0 to 1, got {quality_weight!r}")
        assert self._metadata.weights is not None
        return preferences._replace(weights=self._metadata.weights.with_quality(weight))

    def _with_objective(self, preferences: Preferences, objective: object) -> Preferences:
        if not isinstance(objective, Objective):
            raise FeatureError(f"objective: expected an Objective, got {objective!r}")
        return preferences._replace(objective=objective, at_least=None)

    def _with_keep(self, preferences: Preferences, keep: object) -> Preferences:
        share = _number(keep)
        if not share:
            raise FeatureError(f"keep: expected a positive number, got {keep!r}")
        return preferences._replace(objective=cheapest(self._metadata.points, share).objective, at_least=None)

    def _with_at_least(self, preferences: Preferences, at_least: object) -> Preferences:
        quality = _number(at_least)
        if quality is None:
            raise FeatureError(f"at_least: expected a number, 0 or more, got {at_least!r}")
        return preferences._replace(objective=Objective(), at_least=quality)

    def _with_far(self, preferences: Preferences, far: object) -> Preferences:
        share, distances = _number(far, most=1.0), self._metadata.distances
        if not share:
            raise FeatureError(f"far: expected a number above 0, up to 1, got {far!r}")
        if not distances:
            raise FeatureError("far: expected an artifact that records distances: convert its JSON model again")
        # The rank of a distance is the share of the recorded distances below it.
        return preferences._replace(far=FarFrom(share, distances[max(ceil(share * len(distances) - TIE), 1) - 1]))

    def _with_outcomes(self, preferences: Preferences, given: object, *, kind: Kind) -> Preferences:
        if not isinstance(given, Mapping):
            raise FeatureError(f"{kind.given}: expected a mapping of models to numbers, got {given!r}")
        values = np.full(len(self._names), np.nan)
        for model, value in given.items():
            index, number = self._index_of(model, kind.given), _number(value)
            if number is None:
                raise FeatureError(f"{kind.given}: expected a number, 0 or more, of {model}, got {value!r}")
            if index is not None:
                values[index] = number
        return preferences._replace(given={**preferences.given, kind.name: values})

    def _with_evidence(self, preferences: Preferences, evidence: object) -> Preferences:
        errors = _number(evidence)
        if errors is None:
            raise FeatureError(f"evidence: expected a number, 0 or more, got {evidence!r}")
        return preferences._replace(evidence=errors)

    def _with_candidates(self, preferences: Preferences, candidates: object) -> Preferences:
        expected = f"candidates: expected at least one of {some_of(self._names)}"
        if isinstance(candidates, str) or not isinstance(candidates, Iterable):
            raise FeatureError(expected)
        found = {candidate: self._index_of(candidate, "candidates") for candidate in candidates}
        if not found:
            raise FeatureError(expected)
        order = tuple(index for index in found.values() if index is not None)
        only = str(next(iter(found))) if len(found) == 1 else None
        if not order and (only is None or self._skips_unknown):
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
            raise FeatureError(f"{name}: expected some of {some_of(self._names)}, got {model!r}")
        return index


def lasting(given: _Given) -> _Given:
    """Return preferences that can be read repeatedly: candidates may be given as a generator."""
    candidates = given.get("candidates")
    if not isinstance(candidates, Iterator):
        return given
    given = copy(given)
    given["candidates"] = tuple(candidates)
    return given


# Keys of `Given` that say by what to pick; each replaces another one that was given at load.
# Keywords of a call.
_KNOWN = (*Request.__annotations__, FEATURES)
_WAYS = ("objective", "keep", "at_least")
# How each key of `Given` is checked.
_CHECKS: Mapping[str, Callable[[PreferenceChecks, Preferences, object], Preferences]] = {
    "quality_weight": PreferenceChecks._with_quality,
    "candidates": PreferenceChecks._with_candidates,
    "evidence": PreferenceChecks._with_evidence,
    "objective": PreferenceChecks._with_objective,
    "keep": PreferenceChecks._with_keep,
    "at_least": PreferenceChecks._with_at_least,
    "far": PreferenceChecks._with_far,
    **{kind.given: partial(PreferenceChecks._with_outcomes, kind=kind) for kind in PRICES},
}


def _number(value: object, most: float = MOST) -> float | None:
    """Return a number from 0 to ``most`` as a float, None where it is something else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        return None
    return float(value) if 0.0 <= value <= most else None
