"""Operating points in modelpick's JSON files: what picking by each objective achieved in cross-validation."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, defstruct

from modelpick.runtime.decision.outcomes import OUTCOMES, PRICES, QUALITY

from .decoding import Name, refuse

# Mean over queries, and the low and high ends of its 95 % interval.
Interval = Annotated[list[float], Meta(min_length=3, max_length=3)]
Weight = Annotated[float, Meta(ge=0)]

# The forms of `modelpick.runtime.OperatingPoint` and of the best single model: what is priced is the table's.
Point = defstruct(
    "Point",
    [
        *((kind.weight, Weight, 0.0) for kind in PRICES),
        (OUTCOMES[QUALITY], Interval),
        *((kind.name, Interval | None, None) for kind in PRICES),
        ("kept", Interval),
        ("promised", float | UnsetType, UNSET),
        ("saved", Interval | None, None),
        ("shares", dict[str, float]),
    ],
    kw_only=True,
)
BestSingle = defstruct(
    "BestSingle",
    [("model", Name), (OUTCOMES[QUALITY], float), *((kind.name, float | None, None) for kind in PRICES)],
)


class OperatingPoints(Struct):
    """The points in ascending order of their weights, and the best single model that they are compared with."""

    queries: Annotated[int, Meta(ge=1)]
    """Distinct queries of the training data."""
    folds: Annotated[int, Meta(ge=2)]
    """Folds of the cross-validation, over queries."""
    best_single: BestSingle  # type: ignore[valid-type]
    """What always calling the best single model achieved on the same queries."""
    points: Annotated[list[Point], Meta(min_length=1)]  # type: ignore[valid-type]


def checked_points(recorded: OperatingPoints | None, models: tuple[str, ...], path: str) -> dict[str, Any] | None:
    """Return operating points as they are recorded in an artifact; refuse models that the file does not know."""
    if recorded is None:
        return None
    found: dict[str, Any] = msgspec.to_builtins(recorded)
    single = found["best_single"]["model"]
    if single not in models:
        refuse(f"{path}.best_single.model", f"expected one of {', '.join(models)}, got '{single}'")
    for index, point in enumerate(found["points"]):
        unknown = next((model for model in point["shares"] if model not in models), None)
        if unknown is not None:
            refuse(f"{path}.points[{index}].shares", f"expected shares of {', '.join(models)}, got '{unknown}'")
    return found
