"""Operating points: what picking by objectives achieved in cross-validation, and how files and artifacts record it."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import FeatureError
from .objective import Objective
from .outcomes import KINDS, PRICES


class Estimate(NamedTuple):
    """A mean over queries, and its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What picking by one objective achieved in cross-validation over the training queries."""

    objective: Objective
    outcomes: Mapping[str, Estimate]
    """Kind of outcome -> mean of an answer, without kinds that were not recorded."""
    kept: Estimate
    """Share of the best single model's quality."""
    saved: Estimate | None
    """Share of the best single model's cost that is not spent; None where no cost was recorded."""
    shares: Mapping[str, float]
    """Share of the queries that each model is picked for."""
    promised: float
    """Share of the best single model's quality that ``keep`` is held to: the lower 80 % bound of `kept`, one-sided, or
    the least bound on the way from the point of the highest one. Earlier releases recorded no bound: there it is the
    mean of `kept`."""

    @property
    def quality(self) -> Estimate:
        """Quality of an answer."""
        return self.outcomes["quality"]

    @property
    def cost(self) -> Estimate | None:
        """Cost of an answer; None where no cost was recorded."""
        return self.outcomes.get("cost")

    @property
    def seconds(self) -> Estimate | None:
        """Seconds of an answer; None where no seconds were recorded."""
        return self.outcomes.get("seconds")


@dataclass(frozen=True, slots=True)
class Single:
    """What always calling one model achieved on the training queries."""

    model: str
    outcomes: Mapping[str, float]
    """Kind of outcome -> mean, without kinds that were not recorded."""

    @property
    def quality(self) -> float:
        """Quality of an answer."""
        return self.outcomes["quality"]

    @property
    def cost(self) -> float | None:
        """Cost of an answer; None where no cost was recorded."""
        return self.outcomes.get("cost")

    @property
    def seconds(self) -> float | None:
        """Seconds of an answer; None where no seconds were recorded."""
        return self.outcomes.get("seconds")


def cheapest(points: Sequence[OperatingPoint], keep: float) -> OperatingPoint:
    """Return the cheapest operating point that promises a share of the best single model's quality.

    Raises
    ------
    FeatureError
        When no point promises that share, or no point has a cost.
    """
    priced = [(point.cost.mean, point) for point in points if point.cost is not None]
    if not priced:
        raise FeatureError(
            "keep: expected operating points with costs, as `modelpick train` records them from records with costs"
        )
    enough = [(cost, point) for cost, point in priced if point.promised >= keep]
    if not enough:
        most = max(point.promised for _, point in priced)
        raise FeatureError(f"keep: expected a share that an operating point promises, up to {most:.3f}, got {keep}")
    return min(enough, key=lambda pair: pair[0])[1]


def read_point(entry: Mapping[str, Any]) -> OperatingPoint:
    """Read an operating point as files and artifacts record it.

    Raises
    ------
    KeyError, TypeError, ValueError, AttributeError
        When it is malformed.
    """
    known = {key: Estimate(*_numbers(entry[key])) for key in _INTERVALS if entry.get(key) is not None}
    _numbers(entry["shares"].values())
    weights = {kind.weight: entry[kind.weight] for kind in PRICES if kind.weight in entry}
    outcomes = {kind.name: known[kind.name] for kind in KINDS if kind.name in known}
    outcomes["quality"]  # without it there is no point
    kept = known["kept"]
    (promised,) = _numbers([entry.get("promised", kept.mean)])
    return OperatingPoint(Objective(**weights), outcomes, kept, known.get("saved"), entry["shares"], promised)


def written_point(point: OperatingPoint) -> dict[str, Any]:
    """Write an operating point as `read_point` reads it."""
    return {
        **point.objective.keywords(),
        **{kind.name: _listed(point.outcomes.get(kind.name)) for kind in KINDS},
        "kept": _listed(point.kept),
        "promised": point.promised,
        "saved": _listed(point.saved),
        "shares": dict(point.shares),
    }


def read_single(entry: Mapping[str, Any]) -> Single:
    """Read the best single model as files and artifacts record it; raises the errors of `read_point`."""
    outcomes = {kind.name: entry[kind.name] for kind in KINDS if entry.get(kind.name) is not None}
    _numbers(outcomes.values())
    single = Single(entry["model"], outcomes)
    if not isinstance(single.model, str) or "quality" not in outcomes:
        raise ValueError("expected the name of a model, and its quality")
    return single


def written_single(single: Single) -> dict[str, Any]:
    """Write the best single model as `read_single` reads it."""
    return {"model": single.model, **{kind.name: single.outcomes.get(kind.name) for kind in KINDS}}


# The entries of a point that files record as intervals.
_INTERVALS = (*(kind.name for kind in KINDS), "kept", "saved")


def _listed(estimate: Estimate | None) -> list[float] | None:
    return None if estimate is None else list(estimate)


def _numbers(values: Iterable[Any]) -> list[float]:
    numbers = list(values)
    if not all(isinstance(value, (int, float)) and abs(value) <= sys.float_info.max for value in numbers):
        raise ValueError("expected finite numbers")
    return numbers
