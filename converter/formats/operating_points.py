"""Operating points in our JSON files: what picking by each objective achieved in cross-validation."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from .decoding import Name, refuse

# Mean over queries, and the low and high ends of its 95 % interval.
Interval = Annotated[list[float], Meta(min_length=3, max_length=3)]
Weight = Annotated[float, Meta(ge=0)]


class Point(Struct):
    """One objective; see `modelpick.runtime.OperatingPoint` for the fields."""

    cost_weight: Weight
    seconds_weight: Weight
    quality: Interval
    cost: Interval | None
    seconds: Interval | None
    kept: Interval
    saved: Interval | None
    shares: dict[str, float]


class BestSingle(Struct):
    """What always calling the best single model achieved on the same queries."""

    model: Name
    quality: float
    cost: float | None
    seconds: float | None


class OperatingPoints(Struct):
    """The points in ascending order of their weights, and what they are measured beside."""

    queries: Annotated[int, Meta(ge=1)]
    """Distinct queries of the training data."""
    folds: Annotated[int, Meta(ge=2)]
    """Folds of the cross-validation, over queries."""
    best_single: BestSingle
    points: Annotated[list[Point], Meta(min_length=1)]


def checked_points(recorded: OperatingPoints | None, models: tuple[str, ...], path: str) -> dict[str, Any] | None:
    """Return operating points as they are recorded in an artifact; refuse models that the file does not know."""
    if recorded is None:
        return None
    if recorded.best_single.model not in models:
        refuse(f"{path}.best_single.model", f"expected one of {', '.join(models)}, got '{recorded.best_single.model}'")
    for index, point in enumerate(recorded.points):
        unknown = next((model for model in point.shares if model not in models), None)
        if unknown is not None:
            refuse(f"{path}.points[{index}].shares", f"expected shares of {', '.join(models)}, got '{unknown}'")
    points: dict[str, Any] = msgspec.to_builtins(recorded)
    return points
