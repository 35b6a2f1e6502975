"""The table of kinds of outcomes. Each array of outcomes has an axis of kinds, in this order.

A new kind is a row here, and a field of the forms that records and models are read from.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple


class Kind(NamedTuple):
    """A kind of outcome."""

    name: str
    """Name in explanations, operating points and files."""
    fields: Mapping[str, float]
    """Fields of a record, of which the first one present counts -> how many units of the field are one unit of the
    kind."""
    noun: str
    """Name in messages."""
    label: str
    """Label of a plot's axis, behind "mean"."""
    unit: str = ""
    """Name of one unit, behind "a" or "one"."""
    weight: str = ""
    """Keyword of `modelpick.runtime.Objective` for its weight; empty for quality, whose weight is 1."""
    given: str = ""
    """Keyword for values by model that a caller gives instead of predictions."""
    sign: int = -1
    """1 where more is better; -1 for a price, where less is better, and no prediction counts as less than 0."""
    style: str = ".3g"
    """Format of a mean."""
    counts_failures: bool = True
    """Whether failed answers have it; they have no seconds, since failing fast is no evidence of speed."""
    is_usual: bool = False
    """Whether all records are expected to have it."""


KINDS: Final = (
    Kind("quality", {"performance": 1.0}, "quality", "quality", sign=1, style="z.4f"),
    Kind("cost", {"cost": 1.0}, "cost", "cost per answer", "unit of cost", "cost_weight", "costs"),
    Kind(
        "seconds",
        {"response_time": 1.0, "latency_ms": 1e3},
        "response time",
        "response time, seconds",
        "second",
        "seconds_weight",
        "seconds",
        counts_failures=False,
        is_usual=True,
    ),
)
# The kinds that are paid for quality: all the others.
PRICES: Final = KINDS[1:]
OUTCOMES: Final = tuple(kind.name for kind in KINDS)
PLACES: Final[Mapping[str, int]] = {name: place for place, name in enumerate(OUTCOMES)}
# The number of kinds in the first artifacts; all artifacts hold at least these.
_FIRST = 3
# Kinds with a role of their own: ties go to the cheaper model, and the original's files hold latencies.
QUALITY, COST, SECONDS = (PLACES[name] for name in ("quality", "cost", "seconds"))


def n_held(kinds: Iterable[str]) -> int:
    """Return the length of the axis of kinds in an artifact that predicts some kinds."""
    return max(_FIRST, *(1 + PLACES[kind] for kind in kinds), 0)
