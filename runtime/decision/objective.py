"""The utility of outcomes, and the model that an objective picks. Pure numpy."""

from collections.abc import Mapping
from dataclasses import FrozenInstanceError
from inspect import Parameter, Signature
from math import isfinite
from types import MappingProxyType
from typing import Final, NoReturn

import numpy as np
import numpy.typing as npt

from ..errors import FeatureError
from .outcomes import OUTCOMES, PLACES, PRICES, QUALITY

# Utilities that differ by less count as equal.
TIE = 1e-12
Array = npt.NDArray[np.float64]
# Outcomes that a caller gives instead of predictions: kind -> of each model, (n_models,), NaN where none is given.
GivenOutcomes = Mapping[str, Array]
NOTHING_GIVEN: Final[GivenOutcomes] = MappingProxyType({})


class Objective:
    """What a unit of quality is worth: ``utility = quality - cost_weight * cost - seconds_weight * seconds``.

    Each kind of `modelpick.runtime.decision.outcomes.PRICES` has a weight, 0 by default. Objectives are immutable, and
    are equal where their weights are.

    Raises
    ------
    FeatureError
        When a weight is negative or not finite.
    TypeError
        When a keyword is not the weight of a kind.
    """

    cost_weight: float
    """Quality that one unit of an answer's cost is worth, in the currency of the records."""
    seconds_weight: float
    """Quality that one second of an answer is worth."""
    weights: tuple[tuple[str, float], ...]
    """Kinds of outcomes whose weight is above 0, and the weights."""

    # Names every weight, as `help` shows it.
    __signature__ = Signature(
        [Parameter(kind.weight, Parameter.POSITIONAL_OR_KEYWORD, default=0.0, annotation=float) for kind in PRICES]
    )

    def __init__(self, cost_weight: float = 0.0, seconds_weight: float = 0.0, **weights: float) -> None:
        given = {"cost_weight": cost_weight, "seconds_weight": seconds_weight, **weights}
        known = {kind.weight: given.pop(kind.weight, 0.0) for kind in PRICES}
        for name in given:
            raise TypeError(f"unexpected keyword argument {name!r}: expected some of {', '.join(known)}")
        for name, weight in known.items():
            if isinstance(weight, bool) or not isinstance(weight, (int, float, np.floating, np.integer)):
                raise FeatureError(f"{name}: expected a number, 0 or more, got {weight!r}")
            if not (isfinite(weight) and weight >= 0.0):
                raise FeatureError(f"{name}: expected a number, 0 or more, got {weight!r}")
        vars(self).update(
            known, weights=tuple((kind.name, known[kind.weight]) for kind in PRICES if known[kind.weight])
        )

    def keywords(self) -> dict[str, float]:
        """Return the weight of each kind, under its keyword."""
        return {kind.weight: vars(self)[kind.weight] for kind in PRICES}

    def __repr__(self) -> str:
        return f"Objective({', '.join(f'{name}={weight!r}' for name, weight in self.keywords().items())})"

    def __eq__(self, other: object) -> bool:
        return self.weights == other.weights if isinstance(other, Objective) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.weights)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise FrozenInstanceError(f"cannot delete field {name!r}")


def floored(outcomes: Array, least_price: float) -> Array:
    """Raise predicted prices, of (b, n_kinds, n_models), to a least price, in place: no answer costs less than 0."""
    prices = outcomes[:, QUALITY + 1 :]
    np.maximum(prices, least_price, out=prices)
    return outcomes


def effective(outcomes: Array, kind: str, given: GivenOutcomes = NOTHING_GIVEN) -> Array:
    """Return one kind of outcomes, (b, n_kinds, n_models), or the given values of models instead: (b, n_models).

    Values given for all models may be of a kind that the outcomes of an earlier artifact do not hold.
    """
    place = PLACES[kind]
    if kind not in given:
        return outcomes[:, place]
    values = given[kind]
    if place >= outcomes.shape[1]:
        return np.broadcast_to(values, (len(outcomes), len(values)))
    return np.where(np.isnan(values), outcomes[:, place], values)


def utilities(outcomes: Array, objective: Objective, given: GivenOutcomes = NOTHING_GIVEN) -> Array:
    """Return the utility of models by an objective: (b, n_models).

    Parameters
    ----------
    outcomes
        Outcomes of models, float64, shape (b, n_kinds, n_models), the kinds in the order of
        `modelpick.runtime.decision.outcomes.KINDS`; NaN where they are not known.
    objective
        Weights of the outcomes.
    given
        Values that count instead of the outcomes.
    """
    utility = outcomes[:, QUALITY]
    for kind, weight in objective.weights:
        utility = utility - weight * effective(outcomes, kind, given)
    return utility


def utility_errors(errors: Array, objective: Objective) -> Array:
    """Return half a bound on the error of differences of utilities, (b,).

    Parameters
    ----------
    errors
        Bounds on the errors of predicted outcomes, (b, n_kinds) or (b, n_kinds + 1): see `Output.PREDICTION_ERROR`.
    objective
        What a unit of quality is worth.
    """
    found = errors[:, QUALITY if errors.shape[1] <= len(OUTCOMES) else len(OUTCOMES)]
    for kind, weight in objective.weights:
        if PLACES[kind] < errors.shape[1]:
            found = found + weight * errors[:, PLACES[kind]]
    return found


def known_kinds(outcomes: Array) -> list[str]:
    """Name the kinds of which some outcome is known, of (n_kinds, n_models), or (b, n_kinds, n_models)."""
    return [
        kind for kind, values in zip(OUTCOMES, np.moveaxis(outcomes, -2, 0), strict=False) if not np.isnan(values).all()
    ]


def choose(utility: Array, cost: Array, allowed: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[np.int64]:
    """Pick the highest utility; of equal utilities the cheaper model, then the first: (b, n_models) each -> (b,).

    Parameters
    ----------
    utility, cost
        Of each model, float64; unknown costs, NaN, count as 0.
    allowed
        Which models may win, bool, shape (n_models,) or (b, n_models); all by default.
    """
    if allowed is not None:
        utility = np.where(allowed, utility, -np.inf)
    best: npt.NDArray[np.int64] = utility.argmax(axis=1)
    tied = utility >= utility.max(axis=1, keepdims=True) - TIE
    rows = np.flatnonzero(tied.sum(axis=1) > 1)
    if rows.size:
        costs = np.nan_to_num(np.broadcast_to(cost, utility.shape)[rows], nan=0.0)
        best[rows] = np.where(tied[rows], costs, np.inf).argmin(axis=1)
    return best


def clear_choice(utility: Array, bound: float, allowed: npt.NDArray[np.bool_] | None = None) -> int | None:
    """Pick the highest utility of one query where it exceeds all others by more than a bound; else None.

    Parameters
    ----------
    utility
        Of each model, float64, shape (n_models,).
    bound
        Utilities that differ by less may be equal.
    allowed
        Which models may win, bool, shape (n_models,); all by default.
    """
    if allowed is not None:
        utility = np.where(allowed, utility, -np.inf)
    best = int(utility.argmax())
    near = utility >= utility[best] - max(bound, TIE)
    return best if np.count_nonzero(near) == 1 else None
