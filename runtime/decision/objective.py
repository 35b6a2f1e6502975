"""Outcomes and what they are worth: utility, operating points, and the model that an objective picks. Pure numpy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import FeatureError

# What is known of a model's answer, in the order of the axis that holds it.
OUTCOMES = ("quality", "cost", "seconds")
QUALITY, COST, SECONDS = range(len(OUTCOMES))
# Utilities that differ by less are equal.
TIE = 1e-12
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Objective:
    """What a unit of quality is worth: ``utility = quality - cost_weight * cost - seconds_weight * seconds``.

    Raises
    ------
    FeatureError
        When a weight is negative or not finite.
    """

    cost_weight: float = 0.0
    """Quality that is given up for one unit of cost, in the currency of the records, an answer."""
    seconds_weight: float = 0.0
    """Quality that is given up for one second, an answer."""

    def __post_init__(self) -> None:
        for name in ("cost_weight", "seconds_weight"):
            weight = getattr(self, name)
            if isinstance(weight, bool) or not isinstance(weight, (int, float, np.floating, np.integer)):
                raise FeatureError(f"{name}: expected a number, 0 or more, got {weight!r}")
            if not (isfinite(weight) and weight >= 0.0):
                raise FeatureError(f"{name}: expected a number, 0 or more, got {weight!r}")


class Estimate(NamedTuple):
    """A mean over queries, and its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What picking by one objective achieved in cross-validation over the training queries."""

    objective: Objective
    quality: Estimate
    cost: Estimate | None
    """An answer; None where no cost was recorded."""
    seconds: Estimate | None
    """An answer; None where no seconds were recorded."""
    kept: Estimate
    """Share of the best single model's quality."""
    saved: Estimate | None
    """Share of the best single model's cost that is not spent."""
    shares: Mapping[str, float]
    """Share of the queries that each model is picked for."""


@dataclass(frozen=True, slots=True)
class Single:
    """What always calling one model achieved on the training queries."""

    model: str
    quality: float
    cost: float | None
    seconds: float | None


def cheapest(points: Sequence[OperatingPoint], keep: float) -> OperatingPoint:
    """Return the cheapest operating point that kept a share of the best single model's quality.

    Raises
    ------
    FeatureError
        When no point did, or none has a cost.
    """
    priced = [(point.cost.mean, point) for point in points if point.cost is not None]
    if not priced:
        raise FeatureError(
            "keep: expected operating points with costs, as `modelpick train` records them from records with costs"
        )
    enough = [(cost, point) for cost, point in priced if point.kept.mean >= keep]
    if not enough:
        most = max(point.kept.mean for _, point in priced)
        raise FeatureError(f"keep: expected a share that an operating point kept, up to {most:.3f}, got {keep}")
    return min(enough, key=lambda pair: pair[0])[1]


def floored(outcomes: Array, least_price: float) -> Array:
    """Raise predicted costs and seconds, of (b, 3, n_models), in place: no answer costs less than nothing."""
    prices = outcomes[:, COST:]
    np.maximum(prices, least_price, out=prices)
    return outcomes


def effective(outcomes: Array, given: Array | None) -> Array:
    """Return outcomes of one kind, (b, n_models), or what is given of models, (n_models,), where that is not NaN."""
    return outcomes if given is None else np.where(np.isnan(given), outcomes, given)


def utilities(outcomes: Array, objective: Objective, costs: Array | None = None, seconds: Array | None = None) -> Array:
    """Return the utility of models by an objective: (b, n_models).

    Parameters
    ----------
    outcomes
        Outcomes of models, float64, shape (b, 3, n_models), see `OUTCOMES`; NaN where they are not known.
    objective
        What they are worth.
    costs, seconds
        Of each model, shape (n_models,), instead of its outcomes; NaN where the outcomes count.
    """
    utility = outcomes[:, QUALITY]
    if objective.cost_weight:
        utility = utility - objective.cost_weight * effective(outcomes[:, COST], costs)
    if objective.seconds_weight:
        utility = utility - objective.seconds_weight * effective(outcomes[:, SECONDS], seconds)
    return utility


def choose(utility: Array, cost: Array, allowed: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[np.int64]:
    """Pick the highest utility; of equal ones the cheaper, then the first: (b, n_models) each -> (b,).

    Parameters
    ----------
    utility, cost
        Of each model, float64; unknown costs, NaN, count as nothing.
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
